package stack

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// TestUnrecorded has a machine show a decision by its id and a hold by its code, and records of some of it.
func TestUnrecorded(t *testing.T) {
	n := &v1beta1.VPSieNode{}
	n.Namespace, n.Name, n.Spec.NodeGroup, n.Spec.DecisionID = "ns", "m", "g", "launch"
	n.Spec.Origin = v1beta1.OriginScaleUp
	n.Status.Conditions = []metav1.Condition{{Type: v1beta1.ConditionLaunched, Reason: reason.HoldPaused.Condition()}, {Type: v1beta1.ConditionReady, Reason: "Launching"}}
	launch := &busv1.DecisionRecord{Id: "launch", NodeGroup: "ns/g", VpsieNodes: []string{"m"}}
	hold := &busv1.DecisionRecord{Id: "hold", NodeGroup: "ns/g", VpsieNodes: []string{"m"}, Reason: string(reason.HoldPaused)}
	const noLaunch, noHold = "decision launch about ns/m", "condition HoldPaused of ns/m"
	for name, test := range map[string]struct {
		records []*busv1.DecisionRecord
		want    []string
	}{
		"Both":           {records: []*busv1.DecisionRecord{launch, hold}},
		"Neither":        {want: []string{noHold, noLaunch}},
		"LaunchOnly":     {records: []*busv1.DecisionRecord{launch}, want: []string{noHold}},
		"OfAnotherGroup": {records: []*busv1.DecisionRecord{{Id: "launch", NodeGroup: "ns/h", VpsieNodes: []string{"m"}}, hold}, want: []string{noLaunch}},
		"OfAnother":      {records: []*busv1.DecisionRecord{{Id: "launch", NodeGroup: "ns/g", VpsieNodes: []string{"n"}}, hold}, want: []string{noLaunch}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Stack{announced: newAnnounced(), facts: &facts{records: test.records}}
			s.announced.see(n)
			if got := s.Unrecorded("ns"); !slices.Equal(got, test.want) {
				t.Errorf("unrecorded are %v, want %v", got, test.want)
			}
		})
	}
}

// TestUnrecordedRefusals has a pod and a NodeGroup show refusals, and records of some of it.
func TestUnrecordedRefusals(t *testing.T) {
	event := &eventsv1.Event{Action: reason.NoScaleUpTaint.Condition(), Note: refusalWords + "ns/g: why…", Regarding: corev1.ObjectReference{Namespace: "ns", Name: "p"}}
	group := &v1beta1.NodeGroup{}
	group.Namespace, group.Name = "ns", "g"
	group.Status.Conditions = []metav1.Condition{
		{Type: v1beta1.ConditionScalingActive, Status: metav1.ConditionFalse, Reason: reason.HoldPaused.Condition()},
		{Type: v1beta1.ConditionReady, Status: metav1.ConditionFalse, Reason: reason.NoScaleUpGroupInvalid.Condition()},
	}
	pods := func(code reason.Code, message string) *busv1.DecisionRecord {
		return &busv1.DecisionRecord{Reason: string(code), Message: message, Subject: &busv1.Subject{Kind: "Pods", Namespace: "ns", Name: "another"}}
	}
	hold := &busv1.DecisionRecord{Reason: string(reason.HoldPaused), NodeGroup: "ns/g"}
	refusal := pods(reason.NoScaleUpTaint, "ns/g: why this is so")
	const noHold, noRefusal = "condition HoldPaused of ns/g", "event NoScaleUpPodTaint of pod ns/p: ns/g: why…"
	for name, test := range map[string]struct {
		records []*busv1.DecisionRecord
		want    []string
	}{
		"Both":           {records: []*busv1.DecisionRecord{hold, refusal}},
		"Neither":        {want: []string{noHold, noRefusal}},
		"OtherWords":     {records: []*busv1.DecisionRecord{hold, pods(reason.NoScaleUpTaint, "ns/h: why this is so")}, want: []string{noRefusal}},
		"OtherCode":      {records: []*busv1.DecisionRecord{hold, pods(reason.NoScaleUpSelector, refusal.Message)}, want: []string{noRefusal}},
		"OfAnotherGroup": {records: []*busv1.DecisionRecord{{Reason: string(reason.HoldPaused), NodeGroup: "ns/h"}, refusal}, want: []string{noHold}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Stack{announced: newAnnounced(), facts: &facts{records: test.records}}
			s.announced.see(event)
			s.announced.see(group)
			if got := s.Unrecorded("ns"); !slices.Equal(got, test.want) {
				t.Errorf("unrecorded are %v, want %v", got, test.want)
			}
		})
	}
}
