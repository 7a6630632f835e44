//go:build integration

package integration_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

// TestBusyNodeIsReplaced launches a machine in the place of a busy one, and asks for that one to go before its replacement is Ready.
func TestBusyNodeIsReplaced(t *testing.T) {
	s := stacktest.New(t)
	s.Create(workload.NodeGroup(s.Namespace, "general", 2), workload.Deployment(s.Namespace, "web", 1, workload.OnePerNode))
	s.AwaitRunning("web", 1)
	s.AwaitVPSieNodes(1, v1beta1.PhaseReady)
	old := s.MustVPSieNodes()[0]
	retirement := `{"spec":{"retirement":{"kind":"Replace","decisionID":"by-hand","reason":"by-hand"}}}`

	s.Patch(&old, retirement)
	s.Eventually("a retirement without a replacement is refused", func(ctx context.Context) (bool, string) {
		n := &v1beta1.VPSieNode{}
		if err := s.Client.Get(ctx, client.ObjectKeyFromObject(&old), n); err != nil {
			return false, err.Error()
		}
		c := meta.FindStatusCondition(n.Status.Conditions, v1beta1.ConditionDrained)
		return n.Spec.Retirement == nil && c != nil && c.Reason == reason.NoReplaceFailed.Condition(), fmt.Sprintf("%+v", n.Spec.Retirement)
	})

	next := &v1beta1.VPSieNode{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "next"}, Spec: old.Spec}
	next.Spec.Origin, next.Spec.Replaces, next.Spec.Retirement = v1beta1.OriginReplacement, []string{old.Name}, nil
	s.Create(next)
	s.Patch(&old, retirement)
	changed := old.DeepCopy()
	changed.Spec.Retirement.Kind = v1beta1.RetireManual
	if err := s.Client.Patch(t.Context(), changed, client.MergeFrom(&old)); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "withdrawn, but not changed") {
		t.Errorf("a retirement is changed: %v", err)
	}
	s.Eventually("the machine has gone", func(ctx context.Context) (bool, string) {
		err := s.Client.Get(ctx, client.ObjectKeyFromObject(&old), &v1beta1.VPSieNode{})
		return apierrors.IsNotFound(err), fmt.Sprint(err)
	})
	s.AwaitVPSieNodes(1, v1beta1.PhaseReady)
	s.AwaitRunning("web", 1)
	s.WantLaunched(2)
}
