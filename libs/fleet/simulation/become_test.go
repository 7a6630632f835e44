package simulation_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

func needsGPU(s *scheduling.Shape) { s.Requests[gpu] = 1 }

func declares(devices string) func(*v1beta1.NodeGroup) {
	return func(g *v1beta1.NodeGroup) {
		g.Spec.Template.Resources = corev1.ResourceList{gpu: resource.MustParse(devices)}
	}
}

func TestDevicesOfNewNodes(t *testing.T) {
	tests := map[string]struct {
		why      string
		declared string
		// devices are those of the group's nodes that are settled, -1 for one that does not name them.
		devices []int64
		// joined is how long ago one more node became Ready, without a device; zero for none.
		joined time.Duration
		want   int
	}{
		"NobodyKnows":        {"", "", nil, 0, 0},
		"Declared":           {"no node was seen", "1", nil, 0, 1},
		"DeclaredOfThree":    {"one of two lost its device", "1", []int64{0}, 0, 1},
		"DeclaredInVain":     {"two nodes without a device say more than the template", "1", []int64{-1, 0}, 0, 0},
		"OneIsBroken":        {"", "", []int64{0, 1}, 0, 1},
		"MostAreBroken":      {"", "", []int64{0, 1, -1}, 0, 0},
		"TheFirstIsOnItsWay": {"its plugin has not registered", "1", nil, 5 * time.Minute, 0},
		"TheNextIsOnItsWay":  {"", "", []int64{1}, 2 * time.Minute, 0},
		"TheNextIsLate":      {"one node without a device may be broken", "", []int64{1}, 11 * time.Minute, 1},
		"AndTheOneAfterToo":  {"no node is launched for what new nodes lack", "", []int64{1, 0}, 11 * time.Minute, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := group("a", offerings(smallID))
			if tc.declared != "" {
				declares(tc.declared)(g)
			}
			w := newWorld(g)
			pod := w.Shape("gpu", 500, 64, needsGPU)
			full := map[scheduling.ShapeID]int{w.Shape("full", 3900, 64): 1}
			for i, devices := range tc.devices {
				if n := w.Since(g, "n"+string(rune('1'+i)), time.Hour, full); devices >= 0 {
					n.Allocatable[gpu] = devices
				}
			}
			if tc.joined > 0 {
				w.Since(g, "fresh", tc.joined, nil)
			}
			w.Wait(pod, 1)
			if got := w.launches(t); got != tc.want {
				t.Errorf("%d machines are launched, want %d (%s)", got, tc.want, tc.why)
			}
		})
	}
}

func TestMemoryOfNewNodes(t *testing.T) {
	tests := map[string]struct {
		why  string
		gib  []int64
		want int
	}{
		"OneGaveHalfAway":  {"", []int64{3, 7}, 1},
		"MostGaveHalfAway": {"", []int64{3, 7, 3}, 0},
		"AllGaveHalfAway":  {"", []int64{3}, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := group("a", offerings(smallID))
			w := newWorld(g)
			full := map[scheduling.ShapeID]int{w.Shape("full", 3900, 64): 1}
			for i, gib := range tc.gib {
				w.Since(g, "n"+string(rune('1'+i)), time.Hour, full).Allocatable[corev1.ResourceMemory] = gib << 30
			}
			w.Wait(w.Shape("db", 500, 6<<10), 1)
			if got := w.launches(t); got != tc.want {
				t.Errorf("%d machines are launched, want %d", got, tc.want)
			}
		})
	}
	g := group("a", offerings(smallID))
	w := newWorld(g)
	w.Since(g, "n1", time.Hour, nil).Allocatable[corev1.ResourceMemory] = 7<<30 + 1
	w.Since(g, "n2", time.Hour, nil).Allocatable[corev1.ResourceMemory] = 7 << 30
	w.Nodes["n1"].Unschedulable, w.Nodes["n2"].Unschedulable = true, true
	pod := w.Shape("db", 500, 64, func(s *scheduling.Shape) { s.Requests[corev1.ResourceMemory] = 7<<30 + 1 })
	w.Wait(pod, 1)
	if got := w.launches(t); got != 0 {
		t.Errorf("%d machines are launched; nodes of a size differ by a little, and the next may have the least", got)
	}
}

func TestLabelsThatAgentsAdd(t *testing.T) {
	const key = "storage.example.com/site"
	tests := map[string]struct {
		why    string
		values []string
		wants  string
		want   int
	}{
		"EveryNodeHasIt":   {"", []string{"s1", "s1"}, "s1", 1},
		"TheOnlyNodeHasIt": {"", []string{"s1"}, "s1", 1},
		"OneLostIt":        {"", []string{"s1", "s1", ""}, "s1", 1},
		"FewHaveIt":        {"a person put it there", []string{"s1", "", ""}, "s1", 0},
		"EachItsOwn":       {"", []string{"s1", "s2"}, "s1", 0},
		"ItNamesTheNode":   {"", []string{"site-n1"}, "site-n1", 0},
		"AnotherValue":     {"", []string{"s1", "s1"}, "s2", 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := group("a", offerings(smallID))
			w := newWorld(g)
			full := map[scheduling.ShapeID]int{w.Shape("full", 3900, 64): 1}
			for i, value := range tc.values {
				if n := w.Since(g, "n"+string(rune('1'+i)), time.Hour, full); value != "" {
					n.Labels[key] = value
				}
			}
			w.Wait(w.Shape("db", 500, 64, func(s *scheduling.Shape) { s.NodeSelector = map[string]string{key: tc.wants} }), 1)
			if got := w.launches(t); got != tc.want {
				t.Errorf("%d machines are launched, want %d (%s)", got, tc.want, tc.why)
			}
		})
	}
}

// tiedTo ties a pod's volume to a label of the node.
func tiedTo(driver, key, value string) func(*scheduling.Shape) {
	return func(s *scheduling.Shape) {
		s.Volumes = append(s.Volumes, scheduling.Volume{Driver: driver, Topology: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{value}}}}}}})
	}
}

func TestVolumesOfVPSieWorkFromTheFirstNodeOn(t *testing.T) {
	here := tiedTo("vpsie.csi.vpsie.com", "region", "dc")
	w := newWorld(group("a", offerings(smallID)))
	w.Wait(w.Shape("db", 100, 64, here), 8)
	if got := w.launches(t); got != 2 {
		t.Errorf("%d machines are launched for eight volumes, want two: a node attaches seven", got)
	}
	w = newWorld(group("a", offerings(smallID)))
	w.Wait(w.Shape("db", 100, 64, tiedTo("vpsie.csi.vpsie.com", "region", "elsewhere")), 1)
	if got := w.launches(t); got != 0 {
		t.Errorf("%d machines are launched for a volume in another datacenter", got)
	}
	// The driver takes its time to say so of a node.
	g := group("a", offerings(smallID))
	w = newWorld(g)
	w.Since(g, "n1", 30*time.Second, nil)
	db := w.Shape("db", 100, 64, here)
	w.LaunchedFor(db)
	w.Wait(db, 1)
	if got := w.launches(t); got != 0 {
		t.Errorf("%d machines are launched; n1 is about to get its label", got)
	}
}

func TestTaintsOfNewNodes(t *testing.T) {
	agents := corev1.Taint{Key: "agent.example.com/starting", Effect: corev1.TaintEffectNoSchedule}
	tests := map[string]struct {
		why      string
		declared bool
		planned  bool
		taint    corev1.Taint
		tainted  []time.Duration
		want     int
	}{
		"EveryNodeKeepsIt":   {"the next gets it too", false, false, agents, []time.Duration{time.Hour, time.Hour}, 0},
		"OneNodeKeepsIt":     {"a person put it there", false, false, agents, []time.Duration{time.Hour}, 1},
		"DeclaredAndFresh":   {"", true, false, agents, []time.Duration{9 * time.Minute}, 0},
		"DeclaredAndKept":    {"it is waited for ten minutes", true, false, agents, []time.Duration{11 * time.Minute}, 1},
		"LaunchedForThePods": {"an agent that nobody declared", false, true, agents, []time.Duration{3 * time.Minute}, 0},
		"ByHandOnANewNode":   {"", false, false, agents, []time.Duration{3 * time.Minute}, 1},
		"WellKnown":          {"", false, false, corev1.Taint{Key: "node.cilium.io/agent-not-ready", Effect: corev1.TaintEffectNoExecute}, []time.Duration{3 * time.Minute}, 0},
		"NodeIsInTrouble":    {"", false, true, corev1.Taint{Key: corev1.TaintNodeDiskPressure, Effect: corev1.TaintEffectNoSchedule}, []time.Duration{3 * time.Minute}, 1},
		"AllAreUnderStrain":  {"that says nothing of a new node", false, false, corev1.Taint{Key: corev1.TaintNodeMemoryPressure, Effect: corev1.TaintEffectNoSchedule}, []time.Duration{time.Hour, time.Hour}, 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := group("a", offerings(smallID))
			if tc.declared {
				g.Spec.Template.StartupTaints = []corev1.Taint{tc.taint}
			}
			w := newWorld(g)
			web := w.Shape("web", 500, 64)
			for i, ago := range tc.tainted {
				w.Since(g, "n"+string(rune('1'+i)), ago, nil).Taints = []corev1.Taint{tc.taint}
				if tc.planned {
					w.LaunchedFor(web)
				}
			}
			w.Wait(web, 1)
			if got := w.launches(t); got != tc.want {
				t.Errorf("%d machines are launched, want %d (%s)", got, tc.want, tc.why)
			}
		})
	}
}

func TestStaticPodsTakeRoomOnNewNodes(t *testing.T) {
	static := func(s *scheduling.Shape) { s.OwnerKind, s.Namespace = "Node", "kube-system" }
	for name, tc := range map[string]struct{ with, without, want int }{"Most": {2, 1, 0}, "Some": {1, 1, 1}} {
		t.Run(name, func(t *testing.T) {
			g := group("a", offerings(smallID))
			w := newWorld(g)
			proxy, full := w.Shape("proxy", 300, 64, static), w.Shape("full", 3500, 64)
			for i := range tc.with + tc.without {
				pods := map[scheduling.ShapeID]int{full: 1}
				if i < tc.with {
					pods[proxy] = 1
				}
				w.Since(g, "n"+string(rune('1'+i)), time.Hour, pods)
			}
			w.Wait(w.Shape("job", 3700, 64), 1)
			if got := w.launches(t); got != tc.want {
				t.Errorf("%d machines are launched, want %d", got, tc.want)
			}
		})
	}
}

func TestWhatNodesBecameIsRemembered(t *testing.T) {
	g := group("a", offerings(smallID))
	w := newWorld(g)
	n := w.Since(g, "n1", time.Hour, nil)
	n.Allocatable[gpu], n.Labels["site"] = 1, "s1"
	learned := w.cluster(nil).Learned
	empty := newWorld(g)
	empty.Wait(empty.Shape("gpu", 500, 64, needsGPU, func(s *scheduling.Shape) { s.NodeSelector = map[string]string{"site": "s1"} }), 1)
	if got := empty.launchesAfter(t, learned); got != 1 {
		t.Errorf("%d machines are launched, want one like n1, which is gone", got)
	}
	if got := empty.launches(t); got != 0 {
		t.Errorf("%d machines are launched by who does not remember n1", got)
	}
}

func daemon(s *scheduling.Shape) { s.OwnerKind, s.Namespace = "DaemonSet", "system" }

func TestDaemonSetsPodsCountAsTheyRun(t *testing.T) {
	g := group("a", offerings(smallID))
	w := newWorld(g)
	w.Daemons["system/agent"] = w.Shape("agent", 100, 64, daemon)
	grown, full := w.Shape("agent-grown", 900, 64, daemon), w.Shape("full", 2500, 64)
	w.Since(g, "n1", time.Hour, map[scheduling.ShapeID]int{grown: 1, full: 1})
	w.Since(g, "n2", time.Hour, map[scheduling.ShapeID]int{grown: 1, full: 1})
	w.Wait(w.Shape("job", 3500, 64), 1)
	if got := w.launches(t); got != 0 {
		t.Errorf("%d machines are launched; beside the DaemonSet's pod as it runs the job does not fit", got)
	}
}
