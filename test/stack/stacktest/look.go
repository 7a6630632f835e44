package stacktest

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

// Group reads a NodeGroup of the test.
func (s *Scenario) Group(ctx context.Context, name string) (*v1beta1.NodeGroup, error) {
	group := &v1beta1.NodeGroup{}
	return group, s.Client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, group)
}

// AwaitCondition waits until a NodeGroup's condition has the status, and returns it.
func (s *Scenario) AwaitCondition(group, kind string, status metav1.ConditionStatus) metav1.Condition {
	s.t.Helper()
	var found metav1.Condition
	s.Eventually(fmt.Sprintf("NodeGroup %s has %s=%s", group, kind, status), func(ctx context.Context) (bool, string) {
		g, err := s.Group(ctx, group)
		if err != nil {
			return false, err.Error()
		}
		c := meta.FindStatusCondition(g.Status.Conditions, kind)
		if c == nil {
			return false, "there is no such condition yet"
		}
		found = *c
		return c.Status == status, fmt.Sprintf("it is %s, %s: %s", c.Status, c.Reason, c.Message)
	})
	return found
}

// VPSieNodes lists the test's VPSieNodes.
func (s *Scenario) VPSieNodes(ctx context.Context) ([]v1beta1.VPSieNode, error) {
	var list v1beta1.VPSieNodeList
	if err := s.listInto(ctx, &list); err != nil {
		return nil, err
	}
	return list.Items, nil
}

// MustVPSieNodes lists the test's VPSieNodes, or fails the test.
func (s *Scenario) MustVPSieNodes() []v1beta1.VPSieNode {
	s.t.Helper()
	nodes, err := s.VPSieNodes(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return nodes
}

func (s *Scenario) listInto(ctx context.Context, list client.ObjectList) error {
	return s.Client.List(ctx, list, client.InNamespace(s.Namespace))
}

// AwaitVPSieNodes waits until there are n VPSieNodes in the phase, and no others.
func (s *Scenario) AwaitVPSieNodes(n int, phase v1beta1.Phase) {
	s.t.Helper()
	s.Eventually(fmt.Sprintf("there are %d VPSieNodes in phase %s", n, phase), func(ctx context.Context) (bool, string) {
		nodes, err := s.VPSieNodes(ctx)
		if err != nil {
			return false, err.Error()
		}
		in := 0
		for _, node := range nodes {
			if node.Status.Phase == phase {
				in++
			}
		}
		return in == n && len(nodes) == n, fmt.Sprintf("%d of %d are", in, len(nodes))
	})
}

// Pods lists the test's pods of a deployment; those on their way out are left out.
func (s *Scenario) Pods(ctx context.Context, deployment string) ([]corev1.Pod, error) {
	var list corev1.PodList
	err := s.Client.List(ctx, &list, client.InNamespace(s.Namespace), client.MatchingLabels{"app": deployment})
	if err != nil {
		return nil, err
	}
	var pods []corev1.Pod
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			pods = append(pods, pod)
		}
	}
	return pods, nil
}

// AwaitRunning waits until exactly n pods of a deployment run and no others wait.
func (s *Scenario) AwaitRunning(deployment string, n int) {
	s.t.Helper()
	s.awaitPods(deployment, n, "run", func(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodRunning })
}

// AwaitWaiting waits until exactly n pods of a deployment exist and the scheduler has no place for any.
func (s *Scenario) AwaitWaiting(deployment string, n int) {
	s.t.Helper()
	s.awaitPods(deployment, n, "wait", workload.IsUnschedulable)
}

func (s *Scenario) awaitPods(deployment string, n int, verb string, is func(*corev1.Pod) bool) {
	s.t.Helper()
	s.Eventually(fmt.Sprintf("%d pods of %s %s", n, deployment, verb), func(ctx context.Context) (bool, string) {
		pods, err := s.Pods(ctx, deployment)
		if err != nil {
			return false, err.Error()
		}
		in := 0
		for i := range pods {
			if is(&pods[i]) {
				in++
			}
		}
		return in == n && len(pods) == n, fmt.Sprintf("%d of %d do", in, len(pods))
	})
}

// Scale changes the number of a deployment's pods.
func (s *Scenario) Scale(deployment string, replicas int) {
	s.t.Helper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: deployment}}
	s.Patch(d, fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas))
}

// Patch applies a JSON merge patch.
func (s *Scenario) Patch(object client.Object, patch string) {
	s.t.Helper()
	if err := s.Client.Patch(s.t.Context(), object, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		s.t.Fatal(err)
	}
}

// AwaitEvent waits for an event about an object of a kind, with the reason and all of the texts in
// its note, and returns the note. An empty name matches every object.
func (s *Scenario) AwaitEvent(kind, name, reason string, texts ...string) string {
	s.t.Helper()
	var note string
	s.Eventually(fmt.Sprintf("there is an event %s about %s %s with %q", reason, kind, name, texts), func(ctx context.Context) (bool, string) {
		var list eventsv1.EventList
		if err := s.listInto(ctx, &list); err != nil {
			return false, err.Error()
		}
		var others []string
		for _, e := range list.Items {
			if e.Regarding.Kind != kind || name != "" && e.Regarding.Name != name {
				continue
			}
			if e.Reason == reason && containsAll(e.Note, texts) {
				note = e.Note
				return true, ""
			}
			others = append(others, e.Reason+": "+e.Note)
		}
		return false, "others are: " + strings.Join(others[max(len(others)-5, 0):], " | ")
	})
	return note
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// Decisions returns the decision records about the test's NodeGroups and pods, oldest first.
func (s *Scenario) Decisions(kind busv1.DecisionKind) []*busv1.DecisionRecord {
	var own []*busv1.DecisionRecord
	for _, r := range s.Stack.Decisions() {
		if r.GetKind() == kind && (strings.HasPrefix(r.GetNodeGroup(), s.Namespace+"/") || r.GetSubject().GetNamespace() == s.Namespace) {
			own = append(own, r)
		}
	}
	return own
}

// AwaitDecision waits for a decision record of a kind with a reason and returns the first.
func (s *Scenario) AwaitDecision(kind busv1.DecisionKind, reason string) *busv1.DecisionRecord {
	s.t.Helper()
	var found *busv1.DecisionRecord
	s.Eventually(fmt.Sprintf("there is a decision record %s %s", kind, reason), func(context.Context) (bool, string) {
		own := s.Decisions(kind)
		for _, r := range own {
			if r.GetReason() == reason {
				found = r
				return true, ""
			}
		}
		return false, fmt.Sprintf("there are %d others of that kind", len(own))
	})
	return found
}
