package differential

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/vpsie/vpsie-autoscaler/test/conformance/generate"
)

// shrinksMax bounds the replays that one difference is worth.
const shrinksMax = 4000

// explain spells the smallest scenario that still shows a difference.
func (a *arena) explain(ctx context.Context, s generate.Scenario, d difference) string {
	small := a.shrink(ctx, s, d)
	text, err := yaml.Marshal(small)
	if err != nil {
		return fmt.Sprintf("seed %d: a %s that cannot be spelled: %v", s.Seed, d.outcome, err)
	}
	return fmt.Sprintf("seed %d, %s\n%s", s.Seed, a.first(ctx, small, d), tidy(string(text)))
}

// tidy drops the lines of fields that are empty.
func tidy(text string) string {
	lines := strings.Split(text, "\n")
	lines = slices.DeleteFunc(lines, func(line string) bool {
		return strings.HasSuffix(line, ": {}") && !strings.HasSuffix(line, "elector: {}") || strings.HasSuffix(line, ": null") || strings.HasSuffix(line, ": []") || strings.HasSuffix(line, `: ""`)
	})
	return strings.Join(lines, "\n")
}

// first is the first such difference, nil where there is none or the scenario makes no sense.
func (a *arena) first(ctx context.Context, s generate.Scenario, d difference) *comparison {
	var found *comparison
	err := a.replay(ctx, s, func(c comparison) {
		if found == nil && c.difference() == d {
			found = &c
		}
	})
	if err != nil {
		return nil
	}
	return found
}

// shrink drops what the difference does not need, one thing at a time, until nothing more can go.
func (a *arena) shrink(ctx context.Context, s generate.Scenario, d difference) generate.Scenario {
	replays := 0
	for progress := true; progress; {
		progress = false
		for i := 0; ; {
			smaller, more := cut(s, i)
			if !more || replays >= shrinksMax {
				break
			}
			replays++
			// What stands at this place after a cut is another thing, so the place is tried again.
			if smaller != nil && a.first(ctx, *smaller, d) != nil {
				s, progress = *smaller, true
				continue
			}
			i++
		}
	}
	return s
}

// cut is the scenario without its i-th part, nil where dropping it changes nothing; more says whether
// there is an i-th part at all.
func cut(s generate.Scenario, i int) (smaller *generate.Scenario, more bool) {
	out := s
	out.Objects = s.Objects.Clone()
	out.Steps = slices.Clone(s.Steps)
	o := &out.Objects
	for _, drop := range []func(*int) bool{
		dropOf(&out.Steps), dropOf(&o.Nodes), dropOf(&o.Pods), dropOf(&o.Claims), dropOf(&o.Volumes), dropOf(&o.CSINodes), dropOf(&o.Classes),
		dropOf(&o.Namespaces),
	} {
		if drop(&i) {
			settle(&out)
			return &out, true
		}
	}
	for j, step := range out.Steps {
		if step.Arrive == nil {
			continue
		}
		if i < len(podCuts) {
			pod := step.Arrive.Pod.DeepCopy()
			out.Steps[j].Arrive = &generate.Arrival{Pod: pod, Kinds: step.Arrive.Kinds}
			return changed(&out, podCuts[i](pod)), true
		}
		i -= len(podCuts)
	}
	for j, pod := range o.Pods {
		if i < len(podCuts) {
			o.Pods[j] = pod.DeepCopy()
			return changed(&out, podCuts[i](o.Pods[j])), true
		}
		i -= len(podCuts)
	}
	for j, node := range o.Nodes {
		if i < len(nodeCuts) {
			o.Nodes[j] = node.DeepCopy()
			return changed(&out, nodeCuts[i](o.Nodes[j])), true
		}
		i -= len(nodeCuts)
	}
	return nil, false
}

func changed(s *generate.Scenario, did bool) *generate.Scenario {
	if !did {
		return nil
	}
	return s
}

// dropOf drops the i-th element of a list, or counts i down by the length of the list.
func dropOf[T any](list *[]T) func(*int) bool {
	return func(i *int) bool {
		if *i < len(*list) {
			*list = slices.Delete(*list, *i, *i+1)
			return true
		}
		*i -= len(*list)
		return false
	}
}

// settle drops pods whose node is gone.
func settle(s *generate.Scenario) {
	s.Objects.Pods = slices.DeleteFunc(s.Objects.Pods, func(p *corev1.Pod) bool {
		return !slices.ContainsFunc(s.Objects.Nodes, func(n *corev1.Node) bool { return n.Name == p.Spec.NodeName })
	})
}
