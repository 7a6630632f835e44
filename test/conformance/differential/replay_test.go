package differential

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/test/conformance/generate"
	"github.com/vpsie/vpsie-autoscaler/test/conformance/oracle"
)

// comparison is what both judges say about a pod on a node.
type comparison struct {
	step      int
	arrival   *generate.Arrival
	node      string
	scheduler oracle.Verdict
	engine    scheduling.Verdict
}

// outcome is how two answers go together.
type outcome int

const (
	bothFit outcome = iota
	bothRefuse
	// falseFit is an engine that says that a pod fits where it does not.
	falseFit
	// falseRefusal is an engine that says that a pod does not fit where it does.
	falseRefusal
)

func (o outcome) String() string {
	return [...]string{"both fit", "both refuse", "false fit", "false refusal"}[o]
}

func (c *comparison) outcome() outcome {
	switch {
	case c.scheduler.OK() && c.engine.OK():
		return bothFit
	case !c.scheduler.OK() && !c.engine.OK():
		return bothRefuse
	case c.engine.OK():
		return falseFit
	}
	return falseRefusal
}

// difference tells differences apart by who refuses, which is most often by what is wrong.
type difference struct {
	outcome outcome
	plugin  string
	code    reason.Code
}

func (c *comparison) difference() difference {
	return difference{c.outcome(), c.scheduler.Plugin, c.engine.Code}
}

func (c *comparison) String() string {
	return fmt.Sprintf("%s: step %d, pod %s on node %s: the scheduler says %q (%s), the engine %q (%s)",
		c.outcome(), c.step, c.arrival.Pod.Name, c.node, c.scheduler.Plugin, c.scheduler.Message, c.engine.Code, c.engine.Message)
}

// arena holds both judges. distort, where set, spoils what the engine is told about a node.
type arena struct {
	oracle  *oracle.Oracle
	distort func(*corev1.Node) *corev1.Node
}

// replay runs a scenario in both worlds and tells seen about each pair of answers. A pod that both let
// in somewhere is placed there in both, so that later answers depend on what was counted before.
func (a *arena) replay(ctx context.Context, s generate.Scenario, seen func(comparison)) error {
	if err := a.oracle.Load(s.Objects); err != nil {
		return err
	}
	e, err := newEngine(a.told(&s))
	if err != nil {
		return err
	}
	nodes := slices.Clone(s.Objects.Nodes)
	for i, step := range s.Steps {
		switch {
		case step.Add != nil:
			a.oracle.AddNode(step.Add)
			e.addNode(step.Add)
			nodes = append(nodes, step.Add)
		case step.Remove != "":
			a.oracle.RemoveNode(ctx, step.Remove)
			e.removeNode(step.Remove)
			nodes = slices.DeleteFunc(nodes, func(n *corev1.Node) bool { return n.Name == step.Remove })
		case len(nodes) > 0:
			if err := a.arrive(ctx, e, i, step.Arrive, nodes, seen); err != nil {
				return fmt.Errorf("seed %d, step %d: %w", s.Seed, i, err)
			}
		}
	}
	return nil
}

// told is the scenario as the engine hears of it.
func (a *arena) told(s *generate.Scenario) *generate.Scenario {
	if a.distort == nil {
		return s
	}
	out := *s
	out.Objects = s.Objects.Clone()
	for i, node := range out.Objects.Nodes {
		out.Objects.Nodes[i] = a.distort(node)
	}
	return &out
}

func (a *arena) arrive(ctx context.Context, e *engine, step int, arrival *generate.Arrival, nodes []*corev1.Node, seen func(comparison)) error {
	item, err := e.item(arrival.Pod)
	if err != nil {
		return err
	}
	verdicts, err := a.oracle.Check(ctx, arrival.Pod)
	if err != nil {
		return err
	}
	var names, open []string
	for _, node := range nodes {
		names = append(names, node.Name)
	}
	e.detour(item, names)
	for _, name := range names {
		c := comparison{step: step, arrival: arrival, node: name, scheduler: verdicts[name], engine: e.check(item, name)}
		if c.outcome() == bothFit {
			open = append(open, name)
		}
		seen(c)
	}
	if len(open) == 0 {
		return nil
	}
	// Any choice will do that is the same each time, and is not always the first node.
	chosen := open[(7*step+len(nodes))%len(open)]
	return a.bind(ctx, e, comparison{step: step, arrival: arrival, node: chosen}, item, seen)
}

// bind places a pod, and replicas of it as far as they fit, on a node that both judges find fit. The
// engine places all of them in one go, which it may do by another way than judging them one by one.
func (a *arena) bind(ctx context.Context, e *engine, c comparison, item *scheduling.Item, seen func(comparison)) error {
	wanted := 1
	if len(c.arrival.Pod.Spec.Volumes) == 0 {
		// Replicas share the volumes of a pod, which both judges would have had to know before.
		wanted += c.step % 3
	}
	placed := e.place(item, c.node, wanted)
	for i := range wanted {
		pod := c.arrival.Pod
		if i > 0 {
			pod = pod.DeepCopy()
			pod.UID = types.UID(fmt.Sprintf("%s/%d", pod.Name, i))
		}
		verdict, err := a.oracle.Admit(ctx, pod, c.node)
		if err != nil {
			return err
		}
		c.scheduler, c.engine = verdict, scheduling.Verdict{}
		if i >= placed {
			c.engine = e.check(item, c.node)
		}
		if seen(c); !verdict.OK() {
			e.force(item, c.node, min(0, i-placed))
			return nil
		}
		if i >= placed {
			e.force(item, c.node, 1)
		}
	}
	return nil
}
