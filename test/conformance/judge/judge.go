// Package judge replays a whole plan with kube-scheduler's own filters: each pod of the plan must fit the
// node that the plan gives it, with all pods before it in place.
package judge

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/test/conformance/cluster"
	"github.com/vpsie/vpsie-autoscaler/test/conformance/oracle"
)

// Placement is a pod and the node that a plan puts it on. Pods have different names within a namespace.
type Placement struct {
	Pod  *corev1.Pod
	Node string
}

// Refusal is a placement that kube-scheduler would not have made. Index is its place in the plan.
type Refusal struct {
	Index   int
	Pod     string
	Node    string
	Verdict oracle.Verdict
}

// String spells the refusal in one line.
func (r Refusal) String() string {
	return fmt.Sprintf("placement %d: pod %s on node %q: %s: %s", r.Index, r.Pod, r.Node, r.Verdict.Plugin, r.Verdict.Message)
}

// RefusedError is returned for a plan that kube-scheduler would not have followed. The refusals are in the plan's order.
type RefusedError struct {
	Refusals   []Refusal
	Placements int
}

// shownMax is how many refusals the error's text lists.
const shownMax = 5

// Error implements error.
func (e *RefusedError) Error() string {
	lines := []string{fmt.Sprintf("kube-scheduler refuses %d of the plan's %d placements:", len(e.Refusals), e.Placements)}
	for i, r := range e.Refusals {
		if i == shownMax {
			lines = append(lines, fmt.Sprintf("and %d more", len(e.Refusals)-i))
			break
		}
		lines = append(lines, r.String())
	}
	return strings.Join(lines, "\n")
}

// Judge replays placements, in order, on a cluster and the nodes planned for it. A pod that is refused
// is left out, and the replay goes on without it. The error is a *RefusedError where pods were refused.
func Judge(ctx context.Context, objects cluster.Objects, planned []*corev1.Node, placements []Placement) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o, err := oracle.New(ctx)
	if err != nil {
		return err
	}
	objects = objects.Clone()
	objects.Nodes = append(objects.Nodes, planned...)
	known := make(map[string]bool, len(objects.Nodes))
	for _, node := range objects.Nodes {
		if known[node.Name] {
			return fmt.Errorf("judge a plan: node %q is there twice: give planned nodes names of their own", node.Name)
		}
		known[node.Name] = true
	}
	if err := o.Load(objects); err != nil {
		return err
	}
	refused := &RefusedError{Placements: len(placements)}
	for i, p := range placements {
		if !known[p.Node] {
			return fmt.Errorf("judge a plan: placement %d names node %q, which is neither in the cluster nor planned", i, p.Node)
		}
		verdict, err := o.Admit(ctx, p.Pod, p.Node)
		if err != nil {
			return fmt.Errorf("judge a plan: placement %d: %w", i, err)
		}
		if !verdict.OK() {
			refused.Refusals = append(refused.Refusals, Refusal{i, p.Pod.Namespace + "/" + p.Pod.Name, p.Node, verdict})
		}
	}
	if len(refused.Refusals) > 0 {
		return refused
	}
	return nil
}

// Refusals are those that an error of Judge is about, none where it is about something else.
func Refusals(err error) []Refusal {
	var refused *RefusedError
	if errors.As(err, &refused) {
		return refused.Refusals
	}
	return nil
}
