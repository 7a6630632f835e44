package stacktest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/test/stack"
)

const (
	// decisionsShown is how many of the last decisions of a failed test are logged.
	decisionsShown = 20
	// verdict begins what must not be so however slow the machine is. make test repeats a test whose patience ran out, and none with a verdict.
	verdict = "found after the test: "
)

// clean removes what the test made, machines included, and judges what happened to them.
func (s *Scenario) clean(ctx context.Context) {
	s.t.Helper()
	in := client.InNamespace(s.Namespace)
	// Without its NodeGroup nothing is launched again for what waits.
	for _, object := range []client.Object{
		&appsv1.Deployment{}, &policyv1.PodDisruptionBudget{}, &v1beta1.NodeGroup{}, &corev1.Pod{}, &v1beta1.VPSieNode{},
	} {
		if err := s.Client.DeleteAllOf(ctx, object, in); err != nil {
			s.t.Errorf("clean up %T: %v", object, err)
		}
	}
	gone := func(counts func(*v1beta1.VPSieNode) bool) func(ctx context.Context) (bool, string) {
		return func(ctx context.Context) (bool, string) {
			nodes, err := s.VPSieNodes(ctx)
			if err != nil {
				return false, err.Error()
			}
			var left []string
			for _, n := range nodes {
				if counts(&n) {
					left = append(left, fmt.Sprintf("%s (%s)", n.Name, n.Status.Phase))
				}
			}
			return len(left) == 0, "left are " + strings.Join(left, ", ")
		}
	}
	if err := s.await(ctx, "the VPSieNodes with machines are gone", Patience, gone(func(n *v1beta1.VPSieNode) bool { return !HasNoMachine(n) })); err != nil {
		s.t.Error(err)
		s.explain(ctx)
		return
	}
	if err := s.Client.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.Namespace}}); err != nil {
		s.t.Error(err)
	}
	if err := s.await(ctx, "the VPSieNodes are gone", Patience, gone(func(*v1beta1.VPSieNode) bool { return true })); err != nil {
		s.t.Error(err)
		s.explain(ctx)
		return
	}
	for _, r := range s.Stack.Decisions()[s.records:] {
		if err := facts.Check(r); err != nil {
			s.t.Errorf(verdict+"decision record %v: %v", r, err)
		}
	}
	// NATS may have come back empty, with records that nobody had read.
	if s.StreamsSeen() == s.streams {
		recorded := func(context.Context) (bool, string) {
			missing := s.Unrecorded(s.Namespace)
			return len(missing) == 0, "not on record are " + strings.Join(missing, ", ")
		}
		if err := s.await(ctx, "what was announced is on record", Patience, recorded); err != nil {
			s.t.Errorf(verdict+"%v", err)
		}
	}
	clean := func(ctx context.Context) (bool, string) {
		verdict, err := s.Judge(ctx)
		if err != nil {
			return false, err.Error()
		}
		return verdict.Clean(), fmt.Sprintf("%+v", verdict)
	}
	if err := s.await(ctx, "the ledger shows no leak, no double and no wrong deletion", Patience, clean); err != nil {
		s.t.Errorf(verdict+"%v", err)
	}
}

// HasNoMachine reports whether no machine belongs to a VPSieNode and none is being requested. One that was given up
// may still be answered late; its object is kept for that, and goes with its namespace.
func HasNoMachine(n *v1beta1.VPSieNode) bool {
	if n.Status.Identifier != "" {
		return false
	}
	if len(n.Status.Launches) == 0 {
		return true
	}
	switch n.Status.Launches[len(n.Status.Launches)-1].Outcome {
	case v1beta1.LaunchRequested, v1beta1.LaunchAccepted, v1beta1.LaunchUnknown:
		return false
	}
	return true
}

// explain logs what helps to understand a failure.
func (s *Scenario) explain(ctx context.Context) {
	var groups v1beta1.NodeGroupList
	var nodes v1beta1.VPSieNodeList
	for _, list := range []client.ObjectList{&groups, &nodes} {
		if err := s.listInto(ctx, list); err != nil {
			s.t.Log(err)
		}
	}
	for _, g := range groups.Items {
		s.t.Logf("NodeGroup %s: %s", g.Name, asJSON(g.Status))
	}
	for _, n := range nodes.Items {
		s.t.Logf("VPSieNode %s: %s", n.Name, asJSON(n.Status))
	}
	for _, m := range s.Launched() {
		s.t.Logf("machine: %s", asJSON(m))
	}
	decisions := s.Stack.Decisions()
	for _, d := range decisions[max(len(decisions)-decisionsShown, 0):] {
		s.t.Logf("decision: %s", asJSON(d))
	}
	for _, name := range stack.Services() {
		s.t.Logf("end of the %s's log:\n%s", name, s.Service(name).LogTail())
	}
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
