package app_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/app"
)

// explained asks for an explanation and returns its records as "group reason".
func explained(t *testing.T, ask func(string) (app.Explanation, error), subject string) []string {
	t.Helper()
	explanation, err := ask(subject)
	if err != nil {
		t.Fatal(err)
	}
	if explanation.PlannedAt.IsZero() || explanation.Omitted > 0 {
		t.Errorf("explanation of %s: planned at %s, %d omitted", subject, explanation.PlannedAt, explanation.Omitted)
	}
	var out []string
	for _, r := range explanation.Records {
		produced.Add(reason.Code(r.GetReason()))
		if out = append(out, r.GetNodeGroup()+" "+r.GetReason()); r.GetMessage() == "" {
			t.Errorf("record %v of %s says nothing", r, subject)
		}
	}
	return out
}

func TestLastPlanIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		machine := &v1beta1.VPSieNode{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"},
			Spec:       v1beta1.VPSieNodeSpec{NodeGroup: "g", Offering: 1, Cluster: v1beta1.ClusterReference{Identifier: "c", Datacenter: "dc"}},
			Status:     v1beta1.VPSieNodeStatus{Phase: v1beta1.PhaseReady, Identifier: "m1", Hostname: "n1", NodeName: "n1"},
		}
		f := newFixture(t, machine, group(func(g *v1beta1.NodeGroup) { g.Spec.MaxNodes = 1 }))
		f.state.Nodes = map[string]*scheduling.Node{"n1": {Name: "n1", Ready: true, Allocatable: scheduling.Resources{corev1.ResourceCPU: 4000, corev1.ResourcePods: 110}}}
		if _, err := f.explanations.Node("n1"); !errors.Is(err, app.ErrNoPlan) {
			t.Errorf("before the first plan: %v, want ErrNoPlan", err)
		}
		f.run()
		f.pending(2, 0, 3000)
		f.wait(time.Minute)

		fits, full := string(reason.NoScaleUpFits), "default/g "+string(reason.NoScaleUpGroupMaxSize)
		for subject, ask := range map[string]func(string) (app.Explanation, error){"default/p1": f.explanations.Pod, "s3000": f.explanations.Shape} {
			if got := explained(t, ask, subject); len(got) != 2 || got[0] != " "+fits || got[1] != full {
				t.Errorf("%s: %q, want that one pod fits and the group is full for the other", subject, got)
			}
		}
		kept := "default/g " + string(reason.NoScaleDownMinSize)
		node := explained(t, f.explanations.Node, "n1")
		if len(node) != 1 || !strings.HasPrefix(node[0], "default/g noscaledown.") {
			t.Errorf("node: %q, want one like %q", node, kept)
		}
		if got := explained(t, f.explanations.NodeGroup, "default/g"); len(got) != 2 || got[0] != full || got[1] != node[0] {
			t.Errorf("group: %q, want its refusal and why its node stays", got)
		}
		for subject, ask := range map[string]func(string) (app.Explanation, error){
			"default/p9": f.explanations.Pod, "s1": f.explanations.Shape, "n9": f.explanations.Node, "default/h": f.explanations.NodeGroup,
		} {
			if _, err := ask(subject); !errors.Is(err, app.ErrUnknownSubject) || !strings.Contains(err.Error(), subject) {
				t.Errorf("%s: %v, want ErrUnknownSubject with the name", subject, err)
			}
		}
	})
}

// TestRecordsNameTheirGroup: whoever asks what a group did not do finds it by the group.
func TestRecordsNameTheirGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.Mode = v1beta1.ModePaused }))
		f.run()
		f.pending(2, 0, 3000)
		f.wait(time.Minute)
		told := f.told(busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP)
		if len(told) != 1 || told[0].GetNodeGroup() != "default/g" || told[0].GetParameters()["shape"] != "s3000" {
			t.Errorf("refusals %v, want one that names group and shape", told)
		}
		if recent := f.group().Status.RecentDecisions; len(recent) > 0 {
			t.Errorf("the group shows %v: refusals must not push its decisions out", recent)
		}
	})
}

// TestExplanationsOfALargeGroupAreBounded: an answer must fit a message.
func TestExplanationsOfALargeGroupAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.state.Nodes = map[string]*scheduling.Node{}
		for i := range 600 {
			name := fmt.Sprintf("n%d", i)
			if err := f.kube.Create(t.Context(), &v1beta1.VPSieNode{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
				Spec:       v1beta1.VPSieNodeSpec{NodeGroup: "g", Offering: 1, Cluster: v1beta1.ClusterReference{Identifier: "c", Datacenter: "dc"}},
				Status:     v1beta1.VPSieNodeStatus{Phase: v1beta1.PhaseReady, Identifier: name, Hostname: name, NodeName: name},
			}); err != nil {
				t.Fatal(err)
			}
			f.state.Nodes[name] = &scheduling.Node{Name: name, Ready: true, Allocatable: scheduling.Resources{corev1.ResourceCPU: 4000, corev1.ResourcePods: 110}}
		}
		f.run()
		f.wait(time.Second)
		explanation, err := f.explanations.NodeGroup("default/g")
		if err != nil || len(explanation.Records) != 500 || explanation.Omitted != 100 {
			t.Errorf("%d records and %d omitted, error %v; want 500 and 100", len(explanation.Records), explanation.Omitted, err)
		}
	})
}
