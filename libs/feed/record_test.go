package feed_test

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// elaborate has every field of a shape.
func elaborate() *scheduling.Shape {
	return &scheduling.Shape{
		Namespace:    "shop",
		Labels:       map[string]string{"app": "web", "tier": "front", "track": "stable"},
		Requests:     scheduling.Resources{corev1.ResourceCPU: 250, corev1.ResourceMemory: 1 << 30, corev1.ResourcePods: 1, "nvidia.com/gpu": 2},
		NodeSelector: map[string]string{"disk": "ssd", "zone": "a", "arch": "amd64"},
		Affinity:     elaborateAffinity(),
		Tolerations:  []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpEqual, Value: "batch", Effect: corev1.TaintEffectNoSchedule}},
		Spread: []corev1.TopologySpreadConstraint{
			{
				MaxSkew: 2, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: selector(),
				MinDomains: new(int32(3)), NodeAffinityPolicy: new(corev1.NodeInclusionPolicyIgnore), NodeTaintsPolicy: new(corev1.NodeInclusionPolicyHonor),
			},
			{MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway},
		},
		SpreadByDefault: true,
		Terminating:     true,
		HostPorts:       []scheduling.HostPort{{IP: "10.0.0.1", Protocol: corev1.ProtocolUDP, Port: 53}, {Protocol: corev1.ProtocolTCP, Port: 80}},
		Volumes: []scheduling.Volume{
			{Driver: "csi.vpsie.com", Handle: "vol-1", Exclusive: true, Waits: true, Topology: nodeSelector("zone", "a", "b")},
			{Driver: "csi.vpsie.com"},
		},
		Priority:   -7,
		OwnerKind:  "ReplicaSet",
		Protection: reason.NoScaleDownPodLocalStorage,
		Unjudged:   reason.NoScaleUpVolume, UnjudgedBecause: "PersistentVolumeClaim data does not exist",
		Budgets: []string{"default/web", "default/web-2"},
	}
}

// elaborateAffinity has every kind of term.
func elaborateAffinity() *corev1.Affinity {
	term := corev1.PodAffinityTerm{
		LabelSelector: selector(), TopologyKey: corev1.LabelTopologyZone, Namespaces: []string{"shop", "bank"},
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a", "stage": "live", "region": "eu"}},
	}
	return &corev1.Affinity{
		NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
				{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: []string{"a", "b"}}}},
				{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"n1"}}}},
			}},
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{
				{Weight: 5, Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "gpu", Operator: corev1.NodeSelectorOpExists}}}},
			},
		},
		PodAffinity: &corev1.PodAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution:  []corev1.PodAffinityTerm{term},
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{Weight: 7, PodAffinityTerm: term}},
		},
		PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution:  []corev1.PodAffinityTerm{term},
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{Weight: 9, PodAffinityTerm: term}},
		},
	}
}

func selector() *metav1.LabelSelector {
	return &metav1.LabelSelector{
		MatchLabels:      map[string]string{"app": "web", "tier": "front", "track": "stable", "part": "shop"},
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "canary", Operator: metav1.LabelSelectorOpDoesNotExist}},
	}
}

func nodeSelector(key string, values ...string) *corev1.NodeSelector {
	return &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
		{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpIn, Values: values}}},
	}}
}

// TestElaborateShapeHasEveryField keeps the tests of this file true when a shape gets a field.
func TestElaborateShapeHasEveryField(t *testing.T) {
	shape := reflect.ValueOf(*elaborate())
	for i := range shape.NumField() {
		if shape.Field(i).IsZero() {
			t.Errorf("the elaborate shape has no %s", shape.Type().Field(i).Name)
		}
	}
}

func TestShapeAddress(t *testing.T) {
	want, _ := encode(t, elaborate())
	for range 50 { // maps are walked in another order each time
		if got, _ := encode(t, elaborate()); got != want {
			t.Fatalf("equal shapes have addresses %s and %s", want, got)
		}
	}
	seen := map[scheduling.ShapeID]string{want: "nothing"}
	for what, change := range map[string]func(s *scheduling.Shape){
		"namespace":           func(s *scheduling.Shape) { s.Namespace = "bank" },
		"label":               func(s *scheduling.Shape) { s.Labels["app"] = "db" },
		"no labels":           func(s *scheduling.Shape) { s.Labels = nil },
		"request":             func(s *scheduling.Shape) { s.Requests[corev1.ResourceCPU]++ },
		"selector":            func(s *scheduling.Shape) { s.NodeSelector["zone"] = "b" },
		"no affinity":         func(s *scheduling.Shape) { s.Affinity = nil },
		"impossible affinity": func(s *scheduling.Shape) { required(s).NodeSelectorTerms = nil },
		"required affinity":   func(s *scheduling.Shape) { required(s).NodeSelectorTerms[0].MatchExpressions[0].Values = []string{"a"} },
		"no node affinity":    func(s *scheduling.Shape) { s.Affinity.NodeAffinity = nil },
		"preferred affinity": func(s *scheduling.Shape) {
			s.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution[0].Weight++
		},
		"pod affinity":      func(s *scheduling.Shape) { s.Affinity.PodAffinity = nil },
		"pod anti-affinity": func(s *scheduling.Shape) { s.Affinity.PodAntiAffinity = nil },
		"affinity selector": func(s *scheduling.Shape) {
			s.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0].LabelSelector.MatchLabels["app"] = "db"
		},
		"spread":             func(s *scheduling.Shape) { s.Spread[0].MaxSkew++ },
		"spread selector":    func(s *scheduling.Shape) { s.Spread[0].LabelSelector.MatchLabels["app"] = "db" },
		"terminating":        func(s *scheduling.Shape) { s.Terminating = false },
		"waiting volume":     func(s *scheduling.Shape) { s.Volumes[0].Waits = false },
		"default spread":     func(s *scheduling.Shape) { s.SpreadByDefault = false },
		"fewer spread":       func(s *scheduling.Shape) { s.Spread = s.Spread[:1] },
		"host port":          func(s *scheduling.Shape) { s.HostPorts[1].Port++ },
		"host address":       func(s *scheduling.Shape) { s.HostPorts[0].IP = "" },
		"volume":             func(s *scheduling.Shape) { s.Volumes[0].Handle = "vol-2" },
		"exclusive volume":   func(s *scheduling.Shape) { s.Volumes[0].Exclusive = false },
		"volume topology":    func(s *scheduling.Shape) { s.Volumes[0].Topology = nodeSelector("zone", "a") },
		"free volume":        func(s *scheduling.Shape) { s.Volumes[0].Topology = nil },
		"impossible volume":  func(s *scheduling.Shape) { s.Volumes[0].Topology = &corev1.NodeSelector{} },
		"number of volumes":  func(s *scheduling.Shape) { s.Volumes = append(s.Volumes, s.Volumes[1]) },
		"toleration":         func(s *scheduling.Shape) { s.Tolerations[0].Value = "web" },
		"priority":           func(s *scheduling.Shape) { s.Priority = 0 },
		"owner":              func(s *scheduling.Shape) { s.OwnerKind = "" },
		"protection":         func(s *scheduling.Shape) { s.Protection = "" },
		"unjudged":           func(s *scheduling.Shape) { s.Unjudged = "" },
		"unjudged because":   func(s *scheduling.Shape) { s.UnjudgedBecause = "" },
		"disruption budgets": func(s *scheduling.Shape) { s.Budgets = s.Budgets[:1] },
	} {
		s := elaborate()
		change(s)
		got, _ := encode(t, s)
		if other, taken := seen[got]; taken {
			t.Errorf("changing the %s gives the same address as changing %s", what, other)
		}
		seen[got] = "the " + what
	}
}

func TestEmptyAffinityIsNone(t *testing.T) {
	want, _ := encode(t, &scheduling.Shape{})
	if got, _ := encode(t, &scheduling.Shape{Affinity: &corev1.Affinity{
		NodeAffinity: &corev1.NodeAffinity{}, PodAffinity: &corev1.PodAffinity{}, PodAntiAffinity: &corev1.PodAntiAffinity{},
	}}); got != want {
		t.Errorf("an affinity that says nothing gives the address %s, want %s", got, want)
	}
	partly := elaborate()
	partly.Affinity.NodeAffinity = nil
	want, _ = encode(t, partly)
	partly.Affinity.NodeAffinity = &corev1.NodeAffinity{}
	if got, _ := encode(t, partly); got != want {
		t.Errorf("a node affinity that says nothing gives the address %s, want %s", got, want)
	}
}

func required(s *scheduling.Shape) *corev1.NodeSelector {
	return s.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
}

// TestEmptyIsNotAbsent holds what admits no node apart from what admits every node.
func TestEmptyIsNotAbsent(t *testing.T) {
	want := &scheduling.Shape{
		Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{}}},
		Volumes:  []scheduling.Volume{{Topology: &corev1.NodeSelector{}}, {}},
		Spread:   []corev1.TopologySpreadConstraint{{LabelSelector: &metav1.LabelSelector{}}, {}},
	}
	_, record := encode(t, want)
	body, err := proto.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	got, err := feed.DecodeShape(body)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("shape (-want +got):\n%s", diff)
	}
}

// full has every kind of record with every field.
func full(t *testing.T) *feed.Contents {
	id, record := encode(t, elaborate())
	daemon, daemonRecord := encode(t, &scheduling.Shape{Requests: scheduling.Resources{corev1.ResourcePods: 1}, OwnerKind: "DaemonSet"})
	return &feed.Contents{
		Shapes: map[scheduling.ShapeID]*feedv1.Shape{id: record, daemon: daemonRecord},
		Nodes: map[string]*scheduling.Node{
			"node-1.example": {
				Name: "node-1.example", Labels: map[string]string{"zone": "a", "disk": "ssd"},
				Taints:      []corev1.Taint{{Key: "dedicated", Value: "batch", Effect: corev1.TaintEffectNoSchedule}},
				Allocatable: scheduling.Resources{corev1.ResourceCPU: 4000, corev1.ResourcePods: 110}, Unschedulable: true, Ready: true,
				AttachLimits: map[string]int64{"csi.vpsie.com": 15, "csi.example": 0},
				Pods:         map[scheduling.ShapeID]int{id: 3, daemon: 1}, Protection: reason.NoScaleDownPodProtected,
			},
			"node-2": {Name: "node-2", Pods: map[scheduling.ShapeID]int{}, Allocatable: scheduling.Resources{}},
		},
		Pending: map[scheduling.ShapeID]*scheduling.Pending{id: {
			Count: 7, Arriving: 2, Sample: []scheduling.PodReference{{Namespace: "default", Name: "web-1", UID: "u1", NominatedNode: "n1"}}, Traceparent: "00-0123-45-01",
		}},
		DaemonSets: map[string]scheduling.ShapeID{"kube-system/proxy": daemon},
		Budgets:    map[string]int{"default/web": 0, "default/web-2": 3},
		Namespaces: map[string]map[string]string{"shop": {"team": "a", "stage": "live"}, "bare": nil},
		Arriving:   5,
		Arrived:    12,
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
		"namespaces": cmp.Diff(want.Namespaces, state.Namespaces),
		"arriving":   cmp.Diff(want.Arriving, state.Arriving),
		"arrived":    cmp.Diff(want.Arrived, state.Arrived),
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
	if len(state.Items)+len(state.Nodes)+len(state.Pending)+len(state.DaemonSets)+len(state.Budgets)+len(state.Namespaces)+state.Arriving > 0 {
		t.Errorf("empty contents give %+v", state)
	}
}

// A heartbeat must not encode a whole cluster again.
func TestUnchangedRecordsAreKnownWithoutEncoding(t *testing.T) {
	contents := full(t)
	before := contents.Sources()
	next := *contents
	next.Namespaces = map[string]map[string]string{"shop": {"team": "a", "stage": "draft"}, "bare": contents.Namespaces["bare"]}
	after := next.Sources()
	if len(before) != 10 || len(after) != 10 {
		t.Fatalf("%d and %d records, want 10", len(before), len(after))
	}
	for key, source := range before {
		if same, want := source == after[key], key != "namespace.shop"; same != want {
			t.Errorf("record %s counts as unchanged: %t, want %t", key, same, want)
		}
	}
}

func TestSampleIsBounded(t *testing.T) {
	_, js := startServer(t)
	replica := follow(t, js, discard, nil)
	id, record := encode(t, shape(1))
	c := &feed.Contents{
		Shapes:  map[scheduling.ShapeID]*feedv1.Shape{id: record},
		Pending: map[scheduling.ShapeID]*scheduling.Pending{id: {Count: 1 << 40, Sample: make([]scheduling.PodReference, 2*(feed.SampleMax+feed.NominatedMax))}},
	}
	writer := newWriter(js)
	write(t, writer, c)
	got := replica.awaitRevision(t, writer, c).Pending[id]
	if len(got.Sample) != feed.SampleMax+feed.NominatedMax || got.Count < 1<<29 {
		t.Errorf("count %d with a sample of %d", got.Count, len(got.Sample))
	}
}

// TestBrokenConstraintIsNotIgnored refuses a shape rather than to take it for one without constraints.
func TestBrokenConstraintIsNotIgnored(t *testing.T) {
	broken := []byte{0xff}
	for what, shape := range map[string]*feedv1.Shape{
		"affinity": {Affinity: broken},
		"spread":   {Spread: [][]byte{broken}},
		"topology": {Volumes: []*feedv1.Volume{{Topology: broken}}},
	} {
		body, err := proto.Marshal(shape)
		if err != nil {
			t.Fatal(err)
		}
		if err := feed.Decode("shape.x", body); err == nil {
			t.Errorf("a shape with a broken %s is taken", what)
		}
	}
}

// FuzzDecode reads records that anybody may have written.
func FuzzDecode(f *testing.F) {
	id, record := encode(f, elaborate())
	broken := []byte{0xff}
	for key, m := range map[string]proto.Message{
		"shape." + string(id): record,
		"shape.affinity":      &feedv1.Shape{Affinity: broken},
		"shape.spread":        &feedv1.Shape{Spread: [][]byte{nil, broken}},
		"shape.volume":        &feedv1.Shape{Volumes: []*feedv1.Volume{nil, {Topology: broken}}},
		"node.n1":             &feedv1.Node{Name: "n1", Pods: map[string]int32{string(id): -1}, AttachLimits: map[string]int64{"d": -1}},
		"pending." + string(id): &feedv1.Pending{
			Count: -1, Sample: []*feedv1.PodReference{{Name: "p"}},
		},
		"daemonset.a/b": &feedv1.DaemonSet{Shape: "x"},
		"pdb.a/b":       &feedv1.Budget{DisruptionsAllowed: 1},
		"namespace.a":   &feedv1.Namespace{Labels: map[string]string{"team": "a"}},
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
