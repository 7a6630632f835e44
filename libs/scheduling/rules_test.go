package scheduling_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// TestRules has one case a rule; the differential test holds the whole against kube-scheduler.
func TestRules(t *testing.T) {
	const zone, host = corev1.LabelTopologyZone, corev1.LabelHostname
	web := item("web", "web")
	with := func(pods ...*scheduling.Item) func(*scheduling.Node) {
		return func(n *scheduling.Node) {
			n.Pods = map[scheduling.ShapeID]int{}
			for _, p := range pods {
				n.Pods[p.ID]++
			}
		}
	}
	port := func(ip string) func(*scheduling.Shape) {
		return func(s *scheduling.Shape) {
			s.HostPorts = []scheduling.HostPort{{IP: ip, Protocol: corev1.ProtocolTCP, Port: 80}}
		}
	}
	volume := func(handle string, exclusive bool) func(*scheduling.Shape) {
		return func(s *scheduling.Shape) {
			s.Volumes = []scheduling.Volume{{Driver: "csi", Handle: handle, Exclusive: exclusive}}
		}
	}
	attaches := func(n int64) func(*scheduling.Node) {
		return func(node *scheduling.Node) { node.AttachLimits = map[string]int64{"csi": n} }
	}
	tests := map[string]struct {
		why   string
		pod   *scheduling.Item
		there []*scheduling.Item
		nodes []*scheduling.Node
		want  reason.Code // on the first node
	}{
		"Fits":          {"", web, nil, []*scheduling.Node{node("a", "z1")}, ""},
		"Unschedulable": {"", web, nil, []*scheduling.Node{node("a", "z1", func(n *scheduling.Node) { n.Unschedulable = true })}, reason.NoScaleUpTaint},
		"Taint": {"", web, nil, []*scheduling.Node{node("a", "z1", func(n *scheduling.Node) {
			n.Taints = []corev1.Taint{{Key: "team", Effect: corev1.TaintEffectNoSchedule}}
		})}, reason.NoScaleUpTaint},
		"PreferNoScheduleIsSoft": {"", web, nil, []*scheduling.Node{node("a", "z1", func(n *scheduling.Node) {
			n.Taints = []corev1.Taint{{Key: "team", Effect: corev1.TaintEffectPreferNoSchedule}}
		})}, ""},
		"Selector":  {"", item("p", "p", func(s *scheduling.Shape) { s.NodeSelector = map[string]string{zone: "z2"} }), nil, []*scheduling.Node{node("a", "z1")}, reason.NoScaleUpSelector},
		"Resources": {"", item("p", "p", func(s *scheduling.Shape) { s.Requests = size(5000, 1) }), nil, []*scheduling.Node{node("a", "z1")}, reason.NoScaleUpResources},
		"Extended": {"a node without the resource has none of it", item("p", "p", func(s *scheduling.Shape) {
			s.Requests = scheduling.Resources{corev1.ResourcePods: 1, "gpu": 1}
		}), nil, []*scheduling.Node{node("a", "z1")}, reason.NoScaleUpResources},
		"Reserved": {"room for a DaemonSet's pod is held back", item("p", "p", func(s *scheduling.Shape) { s.Requests = size(3900, 1) }), nil,
			[]*scheduling.Node{node("a", "z1", func(n *scheduling.Node) { n.Reserved = size(200, 1) })}, reason.NoScaleUpResources},
		"HostPort":             {"", item("p", "p", port("10.0.0.1")), []*scheduling.Item{item("q", "q", port(""))}, []*scheduling.Node{node("a", "z1", with(item("q", "q")))}, reason.NoScaleUpHostPort},
		"HostPortOtherAddress": {"", item("p", "p", port("10.0.0.1")), []*scheduling.Item{item("q", "q", port("10.0.0.2"))}, []*scheduling.Node{node("a", "z1", with(item("q", "q")))}, ""},
		"AttachLimit":          {"", item("p", "p", volume("", false)), []*scheduling.Item{item("q", "q", volume("", false))}, []*scheduling.Node{node("a", "z1", attaches(1), with(item("q", "q")))}, reason.NoScaleUpAttachLimit},
		"SharedVolumeIsOnce":   {"it is attached already", item("p", "p", volume("v", false)), []*scheduling.Item{item("q", "q", volume("v", false))}, []*scheduling.Node{node("a", "z1", attaches(1), with(item("q", "q")))}, ""},
		"ExclusiveVolume":      {"in use on another node", item("p", "p", volume("v", true)), []*scheduling.Item{item("q", "q", volume("v", true))}, []*scheduling.Node{node("a", "z1"), node("b", "z1", with(item("q", "q")))}, reason.NoScaleUpVolume},
		"VolumeTopology": {"", item("p", "p", func(s *scheduling.Shape) {
			s.Volumes = []scheduling.Volume{{Topology: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: zone, Operator: corev1.NodeSelectorOpIn, Values: []string{"z2"}}}}}}}}
		}), nil, []*scheduling.Node{node("a", "z1")}, reason.NoScaleUpVolume},
		"Spread":          {"z1 has one more already", item("p", "web", spread(zone, corev1.DoNotSchedule, "web")), []*scheduling.Item{web}, []*scheduling.Node{node("a", "z1", with(web)), node("b", "z2")}, reason.NoScaleUpTopologySpread},
		"SpreadElsewhere": {"", item("p", "web", spread(zone, corev1.DoNotSchedule, "web")), []*scheduling.Item{web}, []*scheduling.Node{node("a", "z2"), node("b", "z1", with(web))}, ""},
		"SpreadSoft":      {"", item("p", "web", spread(zone, corev1.ScheduleAnyway, "web")), []*scheduling.Item{web}, []*scheduling.Node{node("a", "z1", with(web)), node("b", "z2")}, ""},
		"SpreadNoLabel":   {"", item("p", "web", spread("rack", corev1.DoNotSchedule, "web")), nil, []*scheduling.Node{node("a", "z1")}, reason.NoScaleUpTopologySpread},
		"Affinity":        {"", item("p", "p", affinity(zone, "web")), []*scheduling.Item{web}, []*scheduling.Node{node("a", "z1"), node("b", "z2", with(web))}, reason.NoScaleUpPodAffinity},
		"AffinityMet":     {"", item("p", "p", affinity(zone, "web")), []*scheduling.Item{web}, []*scheduling.Node{node("a", "z1"), node("b", "z1", with(web))}, ""},
		"AffinityFirst":   {"the first of pods that want to be together", item("p", "p", affinity(zone, "p")), nil, []*scheduling.Node{node("a", "z1")}, ""},
		"AntiAffinity":    {"", item("p", "p", antiAffinity(host, "web")), []*scheduling.Item{web}, []*scheduling.Node{node("a", "z1", with(web))}, reason.NoScaleUpPodAffinity},
		"Repelled":        {"the rule is the other pod's", web, []*scheduling.Item{item("q", "q", antiAffinity(zone, "web"))}, []*scheduling.Node{node("a", "z1"), node("b", "z1", with(item("q", "q")))}, reason.NoScaleUpPodAffinity},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := cluster(append(tc.there, tc.pod), tc.nodes...)
			v := s.Check(tc.pod, 0)
			if v.Code != tc.want {
				t.Errorf("verdict %+v, want code %q (%s)", v, tc.want, tc.why)
			}
			if !v.OK() && v.Message == "" {
				t.Error("a refusal says nothing")
			}
		})
	}
}

// TestTryLeavesNoTrace changes a cluster in every way and takes it back.
func TestTryLeavesNoTrace(t *testing.T) {
	zonal, apart := item("zonal", "zonal", spread(corev1.LabelTopologyZone, corev1.DoNotSchedule, "zonal")), item("apart", "apart", antiAffinity(corev1.LabelHostname, "apart"))
	items := []*scheduling.Item{zonal, apart}
	s := cluster(items, node("a", "z1"), node("b", "z2"))
	s.Place(zonal, 0, 1)
	verdicts := func() (out []reason.Code) {
		for n := range s.Len() {
			for _, i := range items {
				out = append(out, s.Check(i, n).Code)
			}
		}
		return out
	}
	before := verdicts()
	s.Try(func() bool {
		c := s.AddNode(node("c", "z3"))
		s.Place(zonal, c, 1)
		s.Place(apart, 1, 1)
		s.RemoveNode(0)
		return s.Try(func() bool { s.Place(apart, c, 1); return true }) && false
	})
	after := verdicts()
	if len(before) != len(after) {
		t.Fatalf("%d verdicts became %d", len(before), len(after))
	}
	for i := range before {
		if before[i] != after[i] {
			t.Errorf("verdict %d was %q and is %q", i, before[i], after[i])
		}
	}
}
