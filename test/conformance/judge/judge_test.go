package judge_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/test/conformance/cluster"
	"github.com/vpsie/vpsie-autoscaler/test/conformance/judge"
)

// planned is a node with 8 cores in one of three zones.
func planned(i int) *corev1.Node {
	name := fmt.Sprintf("node-%d", i)
	return judge.NodeOf(&scheduling.Node{
		Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelTopologyZone: fmt.Sprintf("z%d", i%3)},
		Allocatable: scheduling.Resources{corev1.ResourceCPU: 8000, corev1.ResourceMemory: 8 << 30, corev1.ResourcePods: 110},
	})
}

func selects(app string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

// shape asks for a tenth of a core, and for what else its app stands for.
func shape(app string) *scheduling.Shape {
	s := &scheduling.Shape{
		Namespace: "default", Labels: map[string]string{"app": app},
		Requests: scheduling.Resources{corev1.ResourceCPU: 100, corev1.ResourceMemory: 64 << 20, corev1.ResourcePods: 1},
	}
	switch app {
	case "spread":
		s.Spread = []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: selects(app)}}
	case "together":
		s.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
			{TopologyKey: corev1.LabelTopologyZone, LabelSelector: selects(app)},
		}}}
	case "apart":
		s.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
			{TopologyKey: corev1.LabelHostname, LabelSelector: selects(app)},
		}}}
	case "large":
		s.Requests[corev1.ResourceCPU] = 5000
	}
	return s
}

func place(t testing.TB, app string, number, node int) judge.Placement {
	t.Helper()
	pod, err := judge.PodOf(shape(app), fmt.Sprintf("%s-%d", app, number))
	if err != nil {
		t.Fatal(err)
	}
	return judge.Placement{Pod: pod, Node: fmt.Sprintf("node-%d", node)}
}

func TestJudgeRefuses(t *testing.T) {
	nodes := []*corev1.Node{planned(0), planned(1), planned(2), planned(3)}
	for name, c := range map[string]struct {
		app string
		// nodes are where the pods go, one after the other, and want the plugin that refuses each of them.
		nodes []int
		want  map[int]string
	}{
		"TheRoomIsUsedUp":          {"large", []int{0, 1, 0, 2}, map[int]string{2: "NodeResourcesFit"}},
		"TheSpreadIsUneven":        {"spread", []int{0, 1, 0, 2, 3}, map[int]string{2: "PodTopologySpread"}},
		"ThePodsRunApart":          {"apart", []int{0, 1, 1, 2, 0}, map[int]string{2: "InterPodAffinity", 4: "InterPodAffinity"}},
		"ThePodsRunInOneZone":      {"together", []int{1, 1, 2, 0}, map[int]string{2: "InterPodAffinity", 3: "InterPodAffinity"}},
		"AnythingGoes":             {"plain", []int{0, 0, 0, 1}, nil},
		"ARefusedPodTakesNoRoom":   {"large", []int{0, 0, 0, 1}, map[int]string{1: "NodeResourcesFit", 2: "NodeResourcesFit"}},
		"TheFirstOfAGroupIsLetIn":  {"together", []int{3, 0, 3}, nil},
		"TheOrderOfPodsIsRelevant": {"spread", []int{0, 3}, map[int]string{1: "PodTopologySpread"}},
	} {
		t.Run(name, func(t *testing.T) {
			var placements []judge.Placement
			for i, node := range c.nodes {
				placements = append(placements, place(t, c.app, i, node))
			}
			err := judge.Judge(t.Context(), cluster.Objects{Nodes: nodes[:2]}, nodes[2:], placements)
			got := map[int]string{}
			for _, r := range judge.Refusals(err) {
				got[r.Index] = r.Verdict.Plugin
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("refused %v, want %v: %v", got, c.want, err)
			}
			if (err == nil) != (len(c.want) == 0) {
				t.Errorf("error is %v, want %d refusals", err, len(c.want))
			}
		})
	}
}

func TestJudgeRefusesPlansThatMakeNoSense(t *testing.T) {
	nodes := []*corev1.Node{planned(0)}
	for name, c := range map[string]struct {
		planned    []*corev1.Node
		placements []judge.Placement
		want       string
	}{
		"UnknownNode":      {nil, []judge.Placement{place(t, "plain", 0, 7)}, `node "node-7"`},
		"TwiceTheSameNode": {nodes, nil, `node "node-0"`},
	} {
		t.Run(name, func(t *testing.T) {
			err := judge.Judge(t.Context(), cluster.Objects{Nodes: nodes}, c.planned, c.placements)
			if err == nil || judge.Refusals(err) != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one about %s", err, c.want)
			}
		})
	}
}

func TestErrorListsTheFirstRefusals(t *testing.T) {
	var placements []judge.Placement
	for i := range 9 {
		placements = append(placements, place(t, "apart", i, 0))
	}
	err := judge.Judge(t.Context(), cluster.Objects{}, []*corev1.Node{planned(0)}, placements)
	if err == nil {
		t.Fatal("eight pods of nine are on a node that they keep away from, and nothing is refused")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 7 || !strings.Contains(lines[0], "8 of the plan's 9") || !strings.Contains(lines[1], "default/apart-1") || lines[6] != "and 3 more" {
		t.Errorf("the error says\n%v", err)
	}
}

func TestPodOfRefusesVolumes(t *testing.T) {
	s := shape("plain")
	s.Volumes = []scheduling.Volume{{Driver: "disk.example.com"}}
	if _, err := judge.PodOf(s, "p"); err == nil {
		t.Error("a shape with volumes became a pod without any")
	}
}

// plan spreads pods of all sorts over nodes so that all of them fit.
func plan(tb testing.TB, pods, nodes int) ([]*corev1.Node, []judge.Placement) {
	tb.Helper()
	machines := make([]*corev1.Node, 0, nodes)
	for i := range nodes {
		machines = append(machines, planned(i))
	}
	placements := make([]judge.Placement, 0, pods)
	apps := []string{"plain", "spread", "plain", "together"}
	for i := range pods {
		app, number := apps[i%len(apps)], i/len(apps)
		node := number % nodes
		if app == "together" {
			node = number % (nodes / 3) * 3
		}
		placements = append(placements, place(tb, app, i, node))
	}
	return machines, placements
}

func TestJudgeLetsALargePlanPass(t *testing.T) {
	machines, placements := plan(t, 1000, 99)
	if err := judge.Judge(t.Context(), cluster.Objects{}, machines, placements); err != nil {
		t.Error(err)
	}
}

func BenchmarkJudge(b *testing.B) {
	for _, size := range []struct{ pods, nodes int }{{1000, 99}, {5000, 150}} {
		b.Run(fmt.Sprintf("pods=%d/nodes=%d", size.pods, size.nodes), func(b *testing.B) {
			machines, placements := plan(b, size.pods, size.nodes)
			for b.Loop() {
				if err := judge.Judge(b.Context(), cluster.Objects{}, machines, placements); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
