package oracle_test

import (
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/test/conformance/cluster"
	"github.com/vpsie/vpsie-autoscaler/test/conformance/oracle"
)

// Each case has nodes that the pod fits and nodes that one plugin, and no other, refuses.
var cases = map[string]struct {
	objects cluster.Objects
	pod     *corev1.Pod
	// want is the plugin that refuses each node, empty where the pod fits.
	want map[string]string
}{
	"NodeName": {
		objects: one([]*corev1.Node{node("a"), node("b")}),
		pod:     pod("p", on("a")),
		want:    map[string]string{"a": "", "b": oracle.PreFilter},
	},
	"NodeUnschedulable": {
		objects: one([]*corev1.Node{node("a"), node("b", func(n *corev1.Node) { n.Spec.Unschedulable = true })}),
		pod:     pod("p"),
		want:    map[string]string{"a": "", "b": "NodeUnschedulable"},
	},
	"TaintToleration": {
		objects: one([]*corev1.Node{node("a", tainted(corev1.TaintEffectPreferNoSchedule)), node("b", tainted(corev1.TaintEffectNoExecute))}),
		pod:     pod("p"),
		want:    map[string]string{"a": "", "b": "TaintToleration"},
	},
	"TaintToleration by a comparison that the default gates leave out": {
		objects: one([]*corev1.Node{node("a"), node("b", func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: "sla", Value: "950", Effect: corev1.TaintEffectNoSchedule}}
		})}),
		pod: pod("p", func(p *corev1.Pod) {
			p.Spec.Tolerations = []corev1.Toleration{{Key: "sla", Operator: corev1.TolerationOpGt, Value: "900"}}
		}),
		want: map[string]string{"a": "", "b": "TaintToleration"},
	},
	"NodeAffinity": {
		objects: one([]*corev1.Node{node("a", zone("z1")), node("b", zone("z2"))}),
		pod:     pod("p", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{corev1.LabelTopologyZone: "z1"} }),
		want:    map[string]string{"a": "", "b": "NodeAffinity"},
	},
	"NodeAffinity to a node by name": {
		objects: one([]*corev1.Node{node("a"), node("b")}),
		pod: pod("p", func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
					{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{"b"}},
				}}},
			}}}
		}),
		want: map[string]string{"a": oracle.PreFilter, "b": ""},
	},
	"NodePorts": {
		objects: one([]*corev1.Node{node("a"), node("b")}, pod("x", on("a"), port("127.0.0.1", 80)), pod("y", on("b"), port("", 80))),
		pod:     pod("p", port("10.0.0.1", 80)),
		want:    map[string]string{"a": "", "b": "NodePorts"},
	},
	"NodeResourcesFit": {
		objects: one([]*corev1.Node{node("a"), node("b")}, pod("x", on("a")), pod("y", on("b")), pod("z", on("b"))),
		pod:     pod("p"),
		want:    map[string]string{"a": "", "b": "NodeResourcesFit"},
	},
	"VolumeRestrictions": {
		objects: with(func(o *cluster.Objects) {
			bound(o, "once", func(c *corev1.PersistentVolumeClaim, _ *corev1.PersistentVolume) {
				c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
			})
			o.Pods = []*corev1.Pod{pod("x", on("a"), claims("once"))}
		}),
		pod:  pod("p", claims("once")),
		want: map[string]string{"a": "VolumeRestrictions", "b": "VolumeRestrictions"},
	},
	"NodeVolumeLimits": {
		objects: with(func(o *cluster.Objects) {
			bound(o, "c1", unchanged)
			bound(o, "c2", unchanged)
			o.CSINodes = []*storagev1.CSINode{limits("a", 2), limits("b", 1)}
		}),
		pod:  pod("p", claims("c1", "c2")),
		want: map[string]string{"a": "", "b": "NodeVolumeLimits"},
	},
	"NodeVolumeLimits where the driver is missing": {
		objects: with(func(o *cluster.Objects) {
			bound(o, "c1", unchanged)
			yes := true
			o.CSINodes = []*storagev1.CSINode{limits("a", 2)}
			o.CSIDrivers = []*storagev1.CSIDriver{{ObjectMeta: metav1.ObjectMeta{Name: "csi.example.com"}, Spec: storagev1.CSIDriverSpec{PreventPodSchedulingIfMissing: &yes}}}
		}),
		pod:  pod("p", claims("c1")),
		want: map[string]string{"a": "", "b": "NodeVolumeLimits"},
	},
	"VolumeBinding": {
		objects: with(func(o *cluster.Objects) {
			bound(o, "c", func(_ *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) {
				v.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
					MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{"z2"}}},
				}}}}
			})
		}),
		pod:  pod("p", claims("c")),
		want: map[string]string{"a": "VolumeBinding", "b": ""},
	},
	"VolumeBinding without the claim": {
		objects: with(func(*cluster.Objects) {}),
		pod:     pod("p", claims("missing")),
		want:    map[string]string{"a": "VolumeRestrictions", "b": "VolumeRestrictions"},
	},
	"VolumeZone": {
		objects: with(func(o *cluster.Objects) {
			bound(o, "c", func(_ *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) {
				v.Labels = map[string]string{corev1.LabelTopologyZone: "z2__z3"}
			})
		}),
		pod:  pod("p", claims("c")),
		want: map[string]string{"a": "VolumeZone", "b": ""},
	},
	"PodTopologySpread": {
		objects: one([]*corev1.Node{node("a", zone("z1")), node("b", zone("z2"))}, pod("x", on("a"))),
		pod:     pod("p", spread(corev1.LabelTopologyZone)),
		want:    map[string]string{"a": "PodTopologySpread", "b": ""},
	},
	"InterPodAffinity": {
		objects: one([]*corev1.Node{node("a", zone("z1")), node("b", zone("z2"))}, pod("x", on("a"))),
		pod:     pod("p", repel(corev1.LabelTopologyZone)),
		want:    map[string]string{"a": "InterPodAffinity", "b": ""},
	},
	"InterPodAffinity of a pod that is there": {
		objects: one([]*corev1.Node{node("a"), node("b")}, pod("x", on("b"), repel(corev1.LabelHostname))),
		pod:     pod("p"),
		want:    map[string]string{"a": "", "b": "InterPodAffinity"},
	},
}

func TestPluginsRefuse(t *testing.T) {
	o, err := oracle.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// One oracle judges all clusters in turn, so what one leaves behind would show in the next.
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		t.Run(name, func(t *testing.T) {
			if err := o.Load(c.objects); err != nil {
				t.Fatal(err)
			}
			verdicts, err := o.Check(t.Context(), c.pod)
			if err != nil {
				t.Fatal(err)
			}
			for node, want := range c.want {
				if got := verdicts[node]; got.Plugin != want {
					t.Errorf("node %s: refused by %q (%s), want %q", node, got.Plugin, got.Message, want)
				}
			}
		})
	}
}

func TestAdmitBindsThePod(t *testing.T) {
	o, err := oracle.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Load(one([]*corev1.Node{node("a"), node("b")})); err != nil {
		t.Fatal(err)
	}
	admit := func(name, node, want string, change ...func(*corev1.Pod)) {
		t.Helper()
		got, err := o.Admit(t.Context(), pod(name, change...), node)
		if err != nil {
			t.Fatal(err)
		}
		if got.Plugin != want {
			t.Errorf("pod %s on %s: refused by %q (%s), want %q", name, node, got.Plugin, got.Message, want)
		}
	}
	admit("1", "a", "", repel(corev1.LabelHostname))
	admit("2", "a", "InterPodAffinity")
	admit("2", "b", "")
	admit("3", "b", "")
	admit("4", "b", "NodeResourcesFit")
	o.AddNode(node("c"))
	admit("4", "c", "")
	o.RemoveNode(t.Context(), "a")
	admit("5", "c", "")
	admit("6", "c", "NodeResourcesFit")
}

// The pod that uses a claim first decides where the next one that shares it may run.
func TestAdmitReservesVolumes(t *testing.T) {
	o, err := oracle.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mode, class := storagev1.VolumeBindingWaitForFirstConsumer, "fast"
	objects := with(func(objects *cluster.Objects) {
		objects.Classes = []*storagev1.StorageClass{{ObjectMeta: metav1.ObjectMeta{Name: class}, Provisioner: "csi.example.com", VolumeBindingMode: &mode}}
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "shared"}}
		claim.Spec.StorageClassName = &class
		objects.Claims = []*corev1.PersistentVolumeClaim{claim}
	})
	// A second load of the same objects must not know what was reserved under the first.
	for range 2 {
		if err := o.Load(objects); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct{ pod, node, want string }{{"1", "a", ""}, {"2", "b", "VolumeBinding"}, {"2", "a", ""}} {
			got, err := o.Admit(t.Context(), pod(step.pod, claims("shared")), step.node)
			if err != nil {
				t.Fatal(err)
			}
			if got.Plugin != step.want {
				t.Errorf("pod %s on %s: refused by %q (%s), want %q", step.pod, step.node, got.Plugin, got.Message, step.want)
			}
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	o, err := oracle.New(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	objects := cases["InterPodAffinity"].objects
	incoming := cases["InterPodAffinity"].pod
	for b.Loop() {
		if err := o.Load(objects); err != nil {
			b.Fatal(err)
		}
		if _, err := o.Check(b.Context(), incoming); err != nil {
			b.Fatal(err)
		}
	}
}
