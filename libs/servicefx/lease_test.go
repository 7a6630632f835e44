package servicefx

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
)

// TestLeaseHasItsOwnConfig would notice watches that end with the timeout of the Lease's calls.
func TestLeaseHasItsOwnConfig(t *testing.T) {
	config := &rest.Config{Host: "http://kubernetes.test"}
	if _, err := newLease(config, "default", "l", time.Minute); err != nil {
		t.Fatal(err)
	}
	if config.Timeout != 0 || config.UserAgent != "" {
		t.Errorf("the manager's config has timeout %s and user agent %q", config.Timeout, config.UserAgent)
	}
}

// TestLeaseIsGivenUpByItsHolderOnly has a leader be out of touch until another one leads, and then end.
func TestLeaseIsGivenUpByItsHolderOnly(t *testing.T) {
	client := fake.NewClientset()
	leaseOf := func(identity string) *lease {
		return &lease{LeaseLock: &resourcelock.LeaseLock{
			LeaseMeta: metav1.ObjectMeta{Namespace: "default", Name: "l"}, Client: client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity, EventRecorder: record.NewFakeRecorder(9)},
		}}
	}
	holder := func() string {
		t.Helper()
		now, _, err := leaseOf("").Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return now.HolderIdentity
	}
	successor := leaseOf("b")
	leading, stop := context.WithCancel(t.Context())
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: leaseOf("a"), LeaseDuration: time.Hour, RenewDeadline: 50 * time.Minute, RetryPeriod: 20 * time.Minute, ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{OnStoppedLeading: func() {}, OnStartedLeading: func(ctx context.Context) {
			_, _, err := successor.Get(ctx)
			if err == nil {
				err = successor.Update(ctx, resourcelock.LeaderElectionRecord{HolderIdentity: "b", LeaseDurationSeconds: 10})
			}
			if err != nil {
				t.Error(err)
			}
			stop()
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	elector.Run(leading)
	if got := holder(); got != "b" {
		t.Errorf("the Lease is held by %q after its former holder ended, want b", got)
	}
	if _, _, err := successor.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := successor.Update(t.Context(), resourcelock.LeaderElectionRecord{LeaseDurationSeconds: 1}); err != nil || holder() != "" {
		t.Errorf("its holder does not give it up: %v, held by %q", err, holder())
	}
}
