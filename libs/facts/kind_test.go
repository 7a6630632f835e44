package facts_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
)

// TestCheck has records that lack what people and programs look for in them.
func TestCheck(t *testing.T) {
	record := func(subject string, kind reason.Kind, code reason.Code, group string, parameters ...string) *busv1.DecisionRecord {
		r := &busv1.DecisionRecord{
			Kind: facts.DecisionKind(kind), Reason: string(code), Message: "why", NodeGroup: group, Subject: &busv1.Subject{Kind: subject}, Parameters: map[string]string{},
		}
		for _, name := range parameters {
			r.Parameters[name] = "1"
		}
		return r
	}
	weighed := record("Pods", reason.NoScaleUp, reason.NoScaleUpResources, "", reason.ParamShape)
	weighed.Candidates = []*busv1.Candidate{{Name: "ns/g"}}
	silent := record("Cluster", reason.Hold, reason.HoldFeedStale, "")
	silent.Message = ""
	for name, test := range map[string]struct {
		record *busv1.DecisionRecord
		lacks  bool
	}{
		"HoldOfMachine":            {record: record("VPSieNode", reason.Hold, reason.HoldPaused, "ns/g", reason.ParamMachine)},
		"HoldWithoutMachine":       {record("VPSieNode", reason.Hold, reason.HoldPaused, "ns/g"), true},
		"HoldWithoutGroup":         {record("VPSieNode", reason.Hold, reason.HoldPaused, "", reason.ParamMachine), true},
		"HoldOfCluster":            {record: record("Cluster", reason.Hold, reason.HoldFeedStale, "")},
		"WithoutMessage":           {silent, true},
		"NodeKept":                 {record: record("Node", reason.NoScaleDown, reason.NoScaleDownUtilization, "ns/g", reason.ParamNode, reason.ParamUtilization, reason.ParamThreshold)},
		"NodeKeptWithoutGroup":     {record("Node", reason.NoScaleDown, reason.NoScaleDownUtilization, "", reason.ParamNode, reason.ParamUtilization, reason.ParamThreshold), true},
		"NodeKeptWithoutParameter": {record("Node", reason.NoScaleDown, reason.NoScaleDownUtilization, "ns/g", reason.ParamUtilization, reason.ParamThreshold), true},
		"WithoutParameterOfCode":   {record("Node", reason.NoScaleDown, reason.NoScaleDownUtilization, "ns/g", reason.ParamNode, reason.ParamUtilization), true},
		"UnknownParameter":         {record("Node", reason.NoScaleDown, reason.NoScaleDownDisabled, "ns/g", reason.ParamNode, reason.ParamUtilization), true},
		"ParameterOfAnotherKind":   {record("VPSieNode", reason.Launch, reason.NoScaleUpQuota, "ns/g", reason.ParamMachine, reason.ParamOffering, reason.ParamUntil), true},
		"WithoutOptional":          {record: record("Node", reason.NoScaleDown, reason.NoScaleDownPodBare, "ns/g", reason.ParamNode)},
		"OptionalOfAnotherType":    {record("Node", reason.NoScaleDown, reason.NoScaleDownPodBare, "ns/g", reason.ParamNode, reason.ParamPod), true},
		"GroupRefused":             {record: record("NodeGroup", reason.NoScaleUp, reason.NoScaleUpGroupMaxSize, "ns/g", reason.ParamNodes, reason.ParamMaxNodes)},
		"GroupRefusedWithShape":    {record("NodeGroup", reason.NoScaleUp, reason.NoScaleUpGroupMaxSize, "ns/g", reason.ParamNodes, reason.ParamMaxNodes, reason.ParamShape), true},
		"AnotherKindsCode":         {record("Node", reason.NoScaleDown, reason.ScaleUpMinNodes, "ns/g", reason.ParamNode), true},
		"PodsWithoutAnyGroup":      {record: record("Pods", reason.NoScaleUp, reason.NoScaleUpNoGroup, "", reason.ParamShape)},
		"PodsOfWeighedGroup":       {weighed, true},
		"LaunchWithoutGroup":       {record("NodeGroup", reason.ScaleUp, reason.ScaleUpMinNodes, "", reason.ParamNodes, reason.ParamOfferings), true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := facts.Check(test.record); (err != nil) != test.lacks {
				t.Errorf("the check says %v, want that it lacks something: %t", err, test.lacks)
			}
		})
	}
}

// TestIsRecorded tells refusals and holds in conditions from states.
func TestIsRecorded(t *testing.T) {
	for name, test := range map[string]struct {
		kind   string
		status metav1.ConditionStatus
		reason string
		want   bool
	}{
		"Hold":          {v1beta1.ConditionScalingActive, metav1.ConditionFalse, reason.HoldPaused.Condition(), true},
		"Refusal":       {v1beta1.ConditionCapacityAvailable, metav1.ConditionFalse, reason.NoScaleUpGroupMaxSize.Condition(), true},
		"True":          {v1beta1.ConditionCapacityAvailable, metav1.ConditionTrue, reason.NoScaleUpGroupMaxSize.Condition(), false},
		"NoCode":        {v1beta1.ConditionScalingActive, metav1.ConditionFalse, "Idle", false},
		"StateOfSpec":   {v1beta1.ConditionReady, metav1.ConditionFalse, reason.NoScaleUpGroupInvalid.Condition(), false},
		"StateOfNodes":  {v1beta1.ConditionNodesHealthy, metav1.ConditionFalse, reason.NoRepairFailingTogether.Condition(), false},
		"UnknownAtOnce": {v1beta1.ConditionCapacityAvailable, metav1.ConditionFalse, reason.NoScaleUpCatalogueUnknown.Condition(), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := facts.IsRecorded(metav1.Condition{Type: test.kind, Status: test.status, Reason: test.reason}); got != test.want {
				t.Errorf("must be on record: %t, want %t", got, test.want)
			}
		})
	}
}
