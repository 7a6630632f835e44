package feed_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// elaborate has every field of a shape.
func elaborate() *scheduling.Shape {
	return &scheduling.Shape{
		Requests:     scheduling.Resources{corev1.ResourceCPU: 250, corev1.ResourceMemory: 1 << 30, corev1.ResourcePods: 1, "nvidia.com/gpu": 2},
		NodeSelector: map[string]string{"disk": "ssd", "zone": "a", "arch": "amd64"},
		Affinity: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
			{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: []string{"a", "b"}}}},
			{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"n1"}}}},
		}},
		Tolerations: []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpEqual, Value: "batch", Effect: corev1.TaintEffectNoSchedule}},
		Priority:    -7,
		OwnerKind:   "ReplicaSet",
		Protection:  reason.NoScaleDownPodLocalStorage,
		Unjudged:    reason.NoScaleUpVolume,
		Budgets:     []string{"default/web", "default/web-2"},
	}
}

func TestShapeAddress(t *testing.T) {
	want, _ := encode(t, elaborate())
	for range 50 { // maps are walked in another order each time
		if got, _ := encode(t, elaborate()); got != want {
			t.Fatalf("equal shapes have addresses %s and %s", want, got)
		}
	}
	for what, change := range map[string]func(s *scheduling.Shape){
		"request":             func(s *scheduling.Shape) { s.Requests[corev1.ResourceCPU]++ },
		"selector":            func(s *scheduling.Shape) { s.NodeSelector["zone"] = "b" },
		"affinity":            func(s *scheduling.Shape) { s.Affinity.NodeSelectorTerms[0].MatchExpressions[0].Values = []string{"a"} },
		"no affinity":         func(s *scheduling.Shape) { s.Affinity = nil },
		"impossible affinity": func(s *scheduling.Shape) { s.Affinity = &corev1.NodeSelector{} },
		"toleration":          func(s *scheduling.Shape) { s.Tolerations[0].Value = "web" },
		"priority":            func(s *scheduling.Shape) { s.Priority = 0 },
		"owner":               func(s *scheduling.Shape) { s.OwnerKind = "" },
		"protection":          func(s *scheduling.Shape) { s.Protection = "" },
		"unjudged":            func(s *scheduling.Shape) { s.Unjudged = "" },
		"budgets":             func(s *scheduling.Shape) { s.Budgets = s.Budgets[:1] },
	} {
		s := elaborate()
		change(s)
		if got, _ := encode(t, s); got == want {
			t.Errorf("shapes that differ in their %s have the same address", what)
		}
	}
}

// full has every kind of record with every field.
func full(t *testing.T) *feed.Contents {
	id, record := encode(t, elaborate())
	daemon, daemonRecord := encode(t, &scheduling.Shape{Requests: scheduling.Resources{corev1.ResourcePods: 1}, OwnerKind: "DaemonSet"})
	return &feed.Contents{
		Shapes: map[scheduling.ShapeID]*feedv1.Shape{id: record, daemon: daemonRecord},
		Nodes: map[string]*feed.Node{
			"node-1.example": {
				Name: "node-1.example", Labels: map[string]string{"zone": "a", "disk": "ssd"},
				Taints:      []corev1.Taint{{Key: "dedicated", Value: "batch", Effect: corev1.TaintEffectNoSchedule}},
				Allocatable: scheduling.Resources{corev1.ResourceCPU: 4000, corev1.ResourcePods: 110}, Unschedulable: true, Ready: true, CordonedByUs: true,
				Pods: map[scheduling.ShapeID]int{id: 3, daemon: 1}, Protection: reason.NoScaleDownPodProtected, CreatedAt: noon,
			},
			"node-2": {Name: "node-2", Pods: map[scheduling.ShapeID]int{}, Allocatable: scheduling.Resources{}, CreatedAt: noon},
		},
		Pending: map[scheduling.ShapeID]*feed.Pending{id: {
			Count: 7, Oldest: noon, Sample: []feed.PodReference{{Namespace: "default", Name: "web-1", UID: "u1"}}, Traceparent: "00-0123-45-01",
		}},
		DaemonSets: map[string]scheduling.ShapeID{"kube-system/proxy": daemon},
		Budgets:    map[string]int{"default/web": 0, "default/web-2": 3},
		Arriving:   5,
	}
}

func TestRoundTrip(t *testing.T) {
	_, js := startServer(t)
	replica := follow(t, js, discard, nil)
	want, writer := full(t), newWriter(js)
	write(t, writer, want)
	state := replica.awaitRevision(t, writer, want)
	for what, diff := range map[string]string{
		"nodes":      cmp.Diff(want.Nodes, state.Nodes),
		"pending":    cmp.Diff(want.Pending, state.Pending),
		"daemonsets": cmp.Diff(want.DaemonSets, state.DaemonSets),
		"budgets":    cmp.Diff(want.Budgets, state.Budgets),
		"arriving":   cmp.Diff(want.Arriving, state.Arriving),
	} {
		if diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	id, _ := encode(t, elaborate())
	if len(state.Items) != len(want.Shapes) || state.Items[id] == nil || state.Items[id].ID != id {
		t.Fatalf("shapes are %v", state.Items)
	}
	if diff := cmp.Diff(elaborate(), state.Items[id].Shape, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("shape (-want +got):\n%s", diff)
	}

	// Everything goes again.
	write(t, writer, &feed.Contents{})
	state = replica.awaitRevision(t, writer, &feed.Contents{})
	if len(state.Items)+len(state.Nodes)+len(state.Pending)+len(state.DaemonSets)+len(state.Budgets)+state.Arriving > 0 {
		t.Errorf("empty contents give %+v", state)
	}
}

func TestSampleIsBounded(t *testing.T) {
	_, js := startServer(t)
	replica := follow(t, js, discard, nil)
	id, record := encode(t, shape(1))
	c := &feed.Contents{
		Shapes:  map[scheduling.ShapeID]*feedv1.Shape{id: record},
		Pending: map[scheduling.ShapeID]*feed.Pending{id: {Count: 1 << 40, Oldest: noon, Sample: make([]feed.PodReference, 2*feed.SampleMax)}},
	}
	writer := newWriter(js)
	write(t, writer, c)
	got := replica.awaitRevision(t, writer, c).Pending[id]
	if len(got.Sample) != feed.SampleMax || got.Count < 1<<29 {
		t.Errorf("count %d with a sample of %d", got.Count, len(got.Sample))
	}
}

// FuzzDecode reads records that anybody may have written.
func FuzzDecode(f *testing.F) {
	id, record := encode(f, elaborate())
	for key, m := range map[string]proto.Message{
		"shape." + string(id): record,
		"node.n1":             &feedv1.Node{Name: "n1", Pods: map[string]int32{string(id): -1}},
		"pending." + string(id): &feedv1.Pending{
			Count: -1, Sample: []*feedv1.PodReference{{Name: "p"}},
		},
		"daemonset.a/b": &feedv1.DaemonSet{Shape: "x"},
		"pdb.a/b":       &feedv1.Budget{DisruptionsAllowed: 1},
		"other":         &feedv1.Meta{},
	} {
		body, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(key, body)
		f.Add(key, append(body, 0xff))
		f.Add(key, []byte(nil))
	}
	f.Fuzz(func(t *testing.T, key string, body []byte) {
		first, second := feed.Decode(key, body), feed.Decode(key, body)
		if (first == nil) != (second == nil) {
			t.Errorf("the same record is once good and once bad: %v, %v", first, second)
		}
	})
}
