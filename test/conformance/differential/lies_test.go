package differential

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/test/conformance/generate"
)

// An engine that is told a lie about nodes gives wrong answers, and the smallest cluster that shows them
// is a node and a pod.
func TestLiesAreFoundAndShrunk(t *testing.T) {
	for name, c := range map[string]struct {
		lie  func(*corev1.Node)
		want outcome
		// plugin is the one that knows better; it has nothing to say about a false refusal.
		plugin string
	}{
		"NoTaints":       {func(n *corev1.Node) { n.Spec.Taints = nil }, falseFit, "TaintToleration"},
		"NoCordon":       {func(n *corev1.Node) { n.Spec.Unschedulable = false }, falseFit, "NodeUnschedulable"},
		"EveryoneCordon": {func(n *corev1.Node) { n.Spec.Unschedulable = true }, falseRefusal, ""},
		"OneZone":        {func(n *corev1.Node) { n.Labels[corev1.LabelTopologyZone] = "z0" }, falseFit, "NodeAffinity"},
		"NoRoom":         {func(n *corev1.Node) { delete(n.Status.Allocatable, corev1.ResourcePods) }, falseRefusal, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArena(t)
			a.distort = func(node *corev1.Node) *corev1.Node {
				out := node.DeepCopy()
				c.lie(out)
				return out
			}
			s, d := a.hunt(t, c.want, c.plugin)
			small := a.shrink(t.Context(), s, d)
			if n, p, steps := len(small.Objects.Nodes), len(small.Objects.Pods), len(small.Steps); n != 1 || p != 0 || steps != 1 {
				t.Errorf("seed %d: the smallest cluster has %d nodes, %d pods and %d steps, want 1, 0 and 1", s.Seed, n, p, steps)
			}
			if found := a.first(t.Context(), small, d); found == nil {
				t.Errorf("seed %d: the smallest cluster does not show the difference", s.Seed)
			}
		})
	}
}

// hunt returns a scenario that has a difference with a refusal of a plugin.
func (a *arena) hunt(t *testing.T, want outcome, plugin string) (generate.Scenario, difference) {
	t.Helper()
	const scenariosMax = 3000
	for seed := range uint64(scenariosMax) {
		s := generate.New(seed)
		var found *difference
		err := a.replay(t.Context(), s, func(c comparison) {
			if d := c.difference(); found == nil && d.outcome == want && d.plugin == plugin {
				found = &d
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if found != nil {
			return s, *found
		}
	}
	t.Fatalf("no %s in %d scenarios", want, scenariosMax)
	return generate.Scenario{}, difference{}
}
