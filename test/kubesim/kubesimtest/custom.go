package kubesimtest

import (
	"net/http"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

func customCases() map[string]func(*kit) {
	return map[string]func(*kit){
		"NodeGroupIsCompleted":                 groupDefaults,
		"NodeGroupIsCompletedAgain":            groupDefaultsAgain,
		"NodeGroupIsChecked":                   groupChecked,
		"VPSieNodeIsARecord":                   machineFixed,
		"VPSieNodeIsChecked":                   machineChecked,
		"VPSieNodeStatusIsChecked":             machineStatusChecked,
		"CustomResourcesForgetUnknownFields":   unknownFields,
		"CustomResourcesOfTheWrongTypeRefused": wrongType,
	}
}

// unjudged is the cause that rules were left out.
const unjudged = "FieldValueInvalid <nil>"

// machine is a VPSieNode.
func machine(name string) *v1beta1.VPSieNode {
	return &v1beta1.VPSieNode{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1beta1.VPSieNodeSpec{
			NodeGroup: "general", Offering: 23, OfferingName: "medium", Reason: "r", DecisionID: "d",
			Cluster:        v1beta1.ClusterReference{Identifier: "cluster", Datacenter: "datacenter"},
			LaunchDeadline: metav1.Duration{Duration: 15 * time.Minute},
		},
	}
}

// group is a NodeGroup with what is required and no more.
func group(name string) *v1beta1.NodeGroup {
	return &v1beta1.NodeGroup{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1beta1.NodeGroupSpec{MaxNodes: 3, Cluster: v1beta1.ClusterReference{Identifier: "cluster", Datacenter: "datacenter"}},
	}
}

// wantDefaults fails the test unless a group has what its definition sets. Fields that this does not know
// are left out, so that a new default is not a change here.
func (k *kit) wantDefaults(g *v1beta1.NodeGroup) {
	k.Helper()
	want := g.DeepCopy()
	want.Spec.Mode, want.Spec.MinNodes, want.Spec.MaxNodes = v1beta1.ModeEnforce, 0, 3
	want.Spec.ScaleUp.Enabled, want.Spec.ScaleDown.Enabled = new(true), new(true)
	want.Spec.ScaleDown.UtilizationThreshold, want.Spec.ScaleDown.MaxNodesPerStep = new(int32(50)), new(int32(5))
	want.Spec.ScaleDown.UnneededFor = &metav1.Duration{Duration: 10 * time.Minute}
	want.Spec.ScaleDown.DrainTimeout = &metav1.Duration{Duration: 15 * time.Minute}
	if diff := cmp.Diff(want.Spec, g.Spec); diff != "" {
		k.Errorf("the group is not as wanted (-want +got):\n%s", diff)
	}
}

func groupDefaults(k *kit) {
	g := group("one")
	k.make(g)
	k.read(g)
	k.wantDefaults(g)
	// A person leaves out more than a Go client can.
	short := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"maxNodes": int64(3), "cluster": map[string]any{"identifier": "cluster", "datacenter": "datacenter"},
	}}}
	short.SetGroupVersionKind(v1beta1.GroupVersion.WithKind("NodeGroup"))
	short.SetName("two")
	k.make(short)
	two := group("two")
	two.Namespace = k.ns
	k.read(two)
	k.wantDefaults(two)
}

func groupDefaultsAgain(k *kit) {
	g := group("one")
	k.make(g)
	before := g.ResourceVersion
	k.must(k.Patch(k.ctx, g, merge(`{"spec":{"mode":null,"scaleDown":{"drainTimeout":null}}}`)))
	k.wantDefaults(g)
	if g.ResourceVersion != before || g.Generation != 1 {
		k.Errorf("the group went from revision %s to %s and generation %d", before, g.ResourceVersion, g.Generation)
	}
}

func groupChecked(k *kit) {
	one := func(name corev1.ResourceName) corev1.ResourceList {
		return corev1.ResourceList{name: resource.MustParse("1")}
	}
	for name, c := range map[string]struct {
		change func(*v1beta1.NodeGroupSpec)
		causes []string
	}{
		"more than at most": {func(s *v1beta1.NodeGroupSpec) { s.MinNodes = 4 }, []string{"FieldValueInvalid spec"}},
		"negative":          {func(s *v1beta1.NodeGroupSpec) { s.MinNodes = -1 }, []string{"FieldValueInvalid spec.minNodes"}},
		"too many":          {func(s *v1beta1.NodeGroupSpec) { s.MaxNodes = 5001 }, []string{"FieldValueInvalid spec.maxNodes"}},
		"unknown mode":      {func(s *v1beta1.NodeGroupSpec) { s.Mode = "Perhaps" }, []string{unjudged, "FieldValueNotSupported spec.mode"}},
		"no cluster":        {func(s *v1beta1.NodeGroupSpec) { s.Cluster.Identifier = "" }, []string{"FieldValueInvalid spec.cluster.identifier"}},
		"an offering twice": {func(s *v1beta1.NodeGroupSpec) { s.Offerings = []int64{1, 1} }, []string{"FieldValueDuplicate spec.offerings[1]"}},
		"threshold above":   {func(s *v1beta1.NodeGroupSpec) { s.ScaleDown.UtilizationThreshold = new(int32(101)) }, []string{"FieldValueInvalid spec.scaleDown.utilizationThreshold"}},
		"two ways to choose": {func(s *v1beta1.NodeGroupSpec) {
			s.Offerings, s.OfferingSelector = []int64{1}, &v1beta1.OfferingSelector{}
		}, []string{"FieldValueInvalid spec"}},
		"a negative limit": {func(s *v1beta1.NodeGroupSpec) {
			s.Limits.MonthlyCost = new(resource.MustParse("-5"))
		}, []string{"FieldValueInvalid spec.limits.monthlyCost"}},
		"a negative bound": {func(s *v1beta1.NodeGroupSpec) {
			s.OfferingSelector = &v1beta1.OfferingSelector{MaxCPU: new(resource.MustParse("-500m"))}
		}, []string{"FieldValueInvalid spec.offeringSelector.maxCPU"}},
		"a device without a domain": {func(s *v1beta1.NodeGroupSpec) { s.Template.Resources = one("cpu") }, []string{"FieldValueInvalid spec.template.resources"}},
		"a resource of Kubernetes":  {func(s *v1beta1.NodeGroupSpec) { s.Template.Resources = one("kubernetes.io/x") }, []string{"FieldValueInvalid spec.template.resources"}},
	} {
		g := group("one")
		c.change(&g.Spec)
		k.Logf("case: %s", name)
		k.refused(k.tryMake(g), metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, c.causes...)
	}
	g := group("one")
	g.Spec.Template.Resources = one("nvidia.com/gpu")
	k.make(g)
	k.refused(k.Patch(k.ctx, g, merge(`{"spec":{"minNodes":4}}`)), metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, "FieldValueInvalid spec")
}

func machineFixed(k *kit) {
	one := machine("one")
	one.Spec.Replaces = []string{"old"}
	k.make(one)
	if one.Spec.Origin != v1beta1.OriginScaleUp {
		k.Errorf("the origin is %q, want the default", one.Spec.Origin)
	}
	for _, change := range []string{
		`{"nodeGroup":"other"}`, `{"origin":"Adoption"}`, `{"replaces":null}`, `{"replaces":["old","other"]}`, `{"offering":1}`, `{"offeringName":"x"}`, `{"reason":"x"}`, `{"decisionID":"x"}`, `{"launchDeadline":"1s"}`,
		`{"cluster":{"identifier":"x"}}`,
	} {
		err := k.Patch(k.ctx, one.DeepCopy(), merge(`{"spec":`+change+`}`))
		k.refused(err, metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, "FieldValueInvalid spec")
	}
	k.must(k.Patch(k.ctx, one, merge(`{"spec":{"retirement":{"kind":"ScaleDown","decisionID":"d2","reason":"r2"}}}`)))
	for _, change := range []string{`{"kind":"Replace"}`, `{"decisionID":"d3"}`, `{"reason":"r3"}`, `{"message":"m"}`} {
		err := k.Patch(k.ctx, one.DeepCopy(), merge(`{"spec":{"retirement":`+change+`}}`))
		k.refused(err, metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, "FieldValueInvalid spec.retirement")
	}
	k.must(k.Patch(k.ctx, one, merge(`{"spec":{"retirement":null}}`)))
	k.must(k.Patch(k.ctx, one, merge(`{"spec":{"retirement":{"kind":"Replace","decisionID":"d3","reason":"r3"}}}`)))
	other := machine("other")
	k.make(other)
	k.refused(k.Patch(k.ctx, other, merge(`{"spec":{"replaces":["one"]}}`)), metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, "FieldValueInvalid spec")
}

func machineChecked(k *kit) {
	for _, c := range []struct {
		change func(*v1beta1.VPSieNodeSpec)
		causes []string
	}{
		{func(s *v1beta1.VPSieNodeSpec) { s.NodeGroup = "" }, []string{"FieldValueInvalid spec.nodeGroup"}},
		{func(s *v1beta1.VPSieNodeSpec) { s.OfferingName = strings.Repeat("x", 64) }, []string{unjudged, "FieldValueTooLong spec.offeringName"}},
		{func(s *v1beta1.VPSieNodeSpec) { s.Origin = "Gift" }, []string{unjudged, "FieldValueNotSupported spec.origin"}},
		{func(s *v1beta1.VPSieNodeSpec) { s.Replaces = []string{"a", "a"} }, []string{"FieldValueDuplicate spec.replaces[1]"}},
		{func(s *v1beta1.VPSieNodeSpec) {
			s.Retirement = &v1beta1.Retirement{Kind: "Whim", DecisionID: "d", Reason: "r"}
		}, []string{unjudged, "FieldValueNotSupported spec.retirement.kind"}},
		{func(s *v1beta1.VPSieNodeSpec) { s.DecisionID = strings.Repeat("x", 65) }, []string{unjudged, "FieldValueTooLong spec.decisionID"}},
	} {
		one := machine("one")
		c.change(&one.Spec)
		k.refused(k.tryMake(one), metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, c.causes...)
	}
}

func machineStatusChecked(k *kit) {
	one := machine("one")
	k.make(one)
	for _, c := range []struct {
		change func(*v1beta1.VPSieNodeStatus)
		causes []string
	}{
		{func(s *v1beta1.VPSieNodeStatus) { s.Phase = "Lost" }, []string{unjudged, "FieldValueNotSupported status.phase"}},
		{func(s *v1beta1.VPSieNodeStatus) {
			s.Launches = []v1beta1.LaunchAttempt{{Number: 1, Outcome: "Perhaps", RequestedAt: metav1.Now()}}
		}, []string{unjudged, "FieldValueNotSupported status.launches[0].outcome"}},
		{func(s *v1beta1.VPSieNodeStatus) { s.Launches = launches(21) }, []string{unjudged, "FieldValueTooMany status.launches"}},
		{func(s *v1beta1.VPSieNodeStatus) {
			s.Launches = launches(2)
			s.Launches[1].Number = 1
		}, []string{"FieldValueDuplicate status.launches[1]"}},
		{func(s *v1beta1.VPSieNodeStatus) {
			s.Conditions = []metav1.Condition{{Type: "Ready", Status: "True", LastTransitionTime: metav1.Now()}}
		}, []string{"FieldValueInvalid status.conditions[0].reason"}},
	} {
		changed := one.DeepCopy()
		c.change(&changed.Status)
		k.refused(k.Status().Update(k.ctx, changed), metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, c.causes...)
		k.refused(k.Status().Patch(k.ctx, changed, client.MergeFrom(one)), metav1.StatusReasonInvalid, http.StatusUnprocessableEntity, c.causes...)
	}
	one.Status.Launches = launches(20)
	k.must(k.Status().Update(k.ctx, one))
}

func launches(n int32) []v1beta1.LaunchAttempt {
	var list []v1beta1.LaunchAttempt
	for i := range n {
		list = append(list, v1beta1.LaunchAttempt{Number: i + 1, Outcome: v1beta1.LaunchRefused, RequestedAt: metav1.Now()})
	}
	return list
}

func unknownFields(k *kit) {
	one := machine("one")
	k.make(one)
	k.must(k.Patch(k.ctx, one, merge(`{"spec":{"unknown":1},"unknown":{"a":"b"}}`)))
	var u unstructured.Unstructured
	u.SetGroupVersionKind(v1beta1.GroupVersion.WithKind("VPSieNode"))
	k.must(k.Get(k.ctx, client.ObjectKeyFromObject(one), &u))
	for _, path := range [][]string{{"spec", "unknown"}, {"unknown"}} {
		if _, found, _ := unstructured.NestedFieldNoCopy(u.Object, path...); found {
			k.Errorf("%v is kept", path)
		}
	}
}

func wrongType(k *kit) {
	one := machine("one")
	k.make(one)
	err := k.Patch(k.ctx, one, merge(`{"spec":{"retirement":"soon"}}`))
	if err == nil {
		k.Error("a text was taken for a structure")
	}
}
