package performance_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/test/performance/plan"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

const seed = 42

// What the plans of the further workloads have to be like: everything is placed, and what each is about holds.
func TestScenarios(t *testing.T) {
	for name, tc := range map[string]struct {
		why       string
		w         workload.Workload
		nodesFrom int
		nodesMax  int
		check     func(*testing.T, workload.Workload, *plan.Plan)
	}{
		"Soft":        {"a wish for 4,000 nodes is worth a few percent", workload.Soft(4000, seed), 37, 200, nil},
		"Preferred":   {"", workload.Preferred(200, seed), 1, 100, nil},
		"Zonal":       {"volumes bind pods to zones", workload.Zonal(1000, seed), 3, 300, zonesHold},
		"Big":         {"no two fit on one machine", workload.Big(100, seed), 100, 100, nil},
		"Tiny":        {"a node runs 110 pods at most", workload.Tiny(10_000, seed), 91, 91, nil},
		"Deployments": {"", workload.Deployments(2000, seed), 1, 1000, nil},
		"Daemons":     {"each node pays for its DaemonSets, so there are fewer", workload.DaemonHeavy(500, seed), 5, 14, nil},
		"Enough":      {"", workload.Limited(300, seed, 5), 3, 5, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := planOf(t, tc.w)
			if len(p.Unplaced) > 0 {
				t.Errorf("%d pods are left, the first is %v", len(p.Unplaced), p.Unplaced[0])
			}
			if len(p.Nodes) < tc.nodesFrom || len(p.Nodes) > tc.nodesMax {
				t.Errorf("%d nodes, want %d to %d (%s)", len(p.Nodes), tc.nodesFrom, tc.nodesMax, tc.why)
			}
			if tc.check != nil {
				tc.check(t, tc.w, p)
			}
		})
	}
}

func zonesHold(t *testing.T, w workload.Workload, p *plan.Plan) {
	t.Helper()
	zoneOf := map[string]string{}
	for _, pod := range w.Pods {
		terms := pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
		zoneOf[pod.Name] = terms[0].MatchExpressions[0].Values[0]
	}
	for i, n := range p.Nodes {
		for _, pod := range n.Pods {
			if zoneOf[pod] != n.Zone {
				t.Fatalf("node %d in zone %s has pod %s of zone %s", i, n.Zone, pod, zoneOf[pod])
			}
		}
	}
}

// With half of the nodes that everything needs, those of high priority go first: nobody is left while a node
// runs pods of a lower priority that take as much.
func TestTooFewNodesGoByPriority(t *testing.T) {
	t.Parallel()
	const nodesMax = 2
	w := workload.Limited(300, seed, nodesMax)
	p := planOf(t, w)
	left := map[string]bool{}
	for _, u := range p.Unplaced {
		if !strings.HasSuffix(u.Reason, "[noscaleup.group.limit]") {
			t.Errorf("pod %s is left because %q, want the limit", u.Pod, u.Reason)
		}
		left[u.Pod] = true
	}
	if len(p.Nodes) != nodesMax || len(left) == 0 {
		t.Fatalf("%d nodes with %d pods left, want %d and some", len(p.Nodes), len(left), nodesMax)
	}
	served, lost := map[int32]int{}, map[int32]int{}
	for _, pod := range w.Pods {
		if left[pod.Name] {
			lost[*pod.Spec.Priority]++
		} else {
			served[*pod.Spec.Priority]++
		}
	}
	if lost[4] > 0 {
		t.Errorf("%d pods of the highest priority are left, %v are served by priority and %v left", lost[4], served, lost)
	}
	if lost[0] <= lost[3] {
		t.Errorf("%v are left by priority: more of the lowest than of the highest but one are expected", lost)
	}
}

// The rules of the diverse workload hold in its plan, whatever the engine says of itself.
func TestDiversePlanKeepsItsRules(t *testing.T) {
	t.Parallel()
	w := workload.Diverse(1000, seed)
	p := planOf(t, w)
	byApp := map[string]map[string]map[int]int{} // app, then zone, then node
	appOf := map[string]string{}
	for _, pod := range w.Pods {
		appOf[pod.Name] = pod.Labels["app"]
	}
	for i, n := range p.Nodes {
		for _, pod := range n.Pods {
			app := appOf[pod]
			if byApp[app] == nil {
				byApp[app] = map[string]map[int]int{}
			}
			if byApp[app][n.Zone] == nil {
				byApp[app][n.Zone] = map[int]int{}
			}
			byApp[app][n.Zone][i]++
		}
	}
	for _, pod := range w.Pods {
		if err := keepsRules(&pod.Spec, byApp[pod.Labels["app"]], len(p.Nodes)); err != nil {
			t.Fatalf("%s: %v", pod.Name, err)
		}
	}
}

// keepsRules checks the rules of one deployment, given its pods by zone and node.
func keepsRules(spec *corev1.PodSpec, zones map[string]map[int]int, nodes int) error {
	perZone, perNode := []int{}, []int{}
	for _, zone := range zones {
		sum := 0
		for _, n := range zone {
			perNode, sum = append(perNode, n), sum+n
		}
		perZone = append(perZone, sum)
	}
	for _, c := range spec.TopologySpreadConstraints {
		counts, domains := perZone, 3
		if c.TopologyKey == corev1.LabelHostname {
			counts, domains = perNode, nodes
		}
		least := 0
		if len(counts) == domains {
			least = slices.Min(counts)
		}
		if skew := slices.Max(counts) - least; skew > int(c.MaxSkew) {
			return fmt.Errorf("spread over %s by %d, which %v shows", c.TopologyKey, skew, counts)
		}
	}
	if a := spec.Affinity; a != nil && a.PodAffinity != nil && len(perZone) > 1 {
		return fmt.Errorf("its pods belong together and are in %d zones", len(perZone))
	}
	if a := spec.Affinity; a != nil && a.PodAntiAffinity != nil && slices.Max(perNode) > 1 {
		return fmt.Errorf("its pods want nodes of their own, and one has %d", slices.Max(perNode))
	}
	return nil
}
