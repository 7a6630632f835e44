package outage_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
)

// machine was asked of VPSie at noon and is listed.
func machine(change ...func(*v1beta1.VPSieNode)) *v1beta1.VPSieNode {
	n := &v1beta1.VPSieNode{Spec: v1beta1.VPSieNodeSpec{LaunchDeadline: metav1.Duration{Duration: 15 * time.Minute}}}
	n.Status.Identifier = "m1"
	n.Status.Launches = []v1beta1.LaunchAttempt{{Number: 1, RequestedAt: metav1.NewTime(noon)}}
	for _, c := range change {
		c(n)
	}
	return n
}

func listed(after time.Duration) func(*v1beta1.VPSieNode) {
	return func(n *v1beta1.VPSieNode) { n.Status.LaunchedAt = new(metav1.NewTime(noon.Add(after))) }
}

func TestJoinDeadline(t *testing.T) {
	tests := map[string]struct {
		why    string
		listed time.Duration
		want   time.Duration
	}{
		"ListedAtOnce":    {listed: time.Second, want: 15 * time.Minute},
		"ListedLate":      {why: "it would be deleted while it boots", listed: 14 * time.Minute, want: 29 * time.Minute},
		"ListedAfterward": {why: "VPSie may list a machine an hour after the request", listed: time.Hour, want: 75 * time.Minute},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := outage.JoinDeadline(machine(listed(tc.listed))).Sub(noon); got != tc.want {
				t.Errorf("deadline %s after the request, want %s (%s)", got, tc.want, tc.why)
			}
		})
	}
}

func TestCounts(t *testing.T) {
	ready := func(n *v1beta1.VPSieNode) { n.Status.ReadyAt = new(metav1.NewTime(noon)) }
	retired := func(kind v1beta1.RetirementKind) func(*v1beta1.VPSieNode) {
		return func(n *v1beta1.VPSieNode) { n.Spec.Retirement = &v1beta1.Retirement{Kind: kind} }
	}
	tests := map[string]struct {
		n     *v1beta1.VPSieNode
		after time.Duration
		want  bool
	}{
		"WasReady":            {n: machine(ready), want: true},
		"IsLaunching":         {n: machine(), after: 14 * time.Minute},
		"IsOverdue":           {n: machine(), after: 15 * time.Minute, want: true},
		"LeavesAsUnneeded":    {n: machine(ready, retired(v1beta1.RetireScaleDown))},
		"IsRepaired":          {n: machine(ready, retired(v1beta1.RetireRepair)), want: true},
		"NeverJoinedAndGoes":  {n: machine(retired(v1beta1.RetireLaunchFailed)), after: time.Hour, want: true},
		"IsReplaced":          {n: machine(ready, retired(v1beta1.RetireReplace))},
		"IsDeleted":           {n: machine(ready, func(n *v1beta1.VPSieNode) { n.DeletionTimestamp = new(metav1.NewTime(noon)) })},
		"DeletionIsRequested": {n: machine(ready, func(n *v1beta1.VPSieNode) { n.Status.DeleteRequestedAt = new(metav1.NewTime(noon)) })},
		"HasNoMachine":        {n: machine(func(n *v1beta1.VPSieNode) { n.Status.Identifier = "" }), after: time.Hour},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := outage.Counts(tc.n, outage.IsOverdue(tc.n, noon.Add(tc.after))); got != tc.want {
				t.Errorf("Counts = %v, want %v", got, tc.want)
			}
		})
	}
}
