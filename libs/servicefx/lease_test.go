package servicefx

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	kubetesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
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

// leaseOf is a process's view of one Lease.
func leaseOf(client kubernetes.Interface, identity string) *lease {
	return &lease{LeaseLock: &resourcelock.LeaseLock{
		LeaseMeta: metav1.ObjectMeta{Namespace: "default", Name: "l"}, Client: client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
	}}
}

func holderOf(t *testing.T, client kubernetes.Interface) string {
	t.Helper()
	now, _, err := leaseOf(client, "").Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return now.HolderIdentity
}

// lead runs an elector until it leads, and then ends it; meanwhile happens when it has renewed the Lease for the last time.
func lead(t *testing.T, client *fake.Clientset, meanwhile func()) {
	t.Helper()
	leading, stop := context.WithCancel(t.Context())
	defer stop()
	client.PrependReactor("update", "leases", func(kubetesting.Action) (bool, runtime.Object, error) {
		stop()
		return false, nil, nil
	})
	var once sync.Once
	client.PrependReactor("get", "leases", func(kubetesting.Action) (bool, runtime.Object, error) {
		if leading.Err() != nil {
			once.Do(meanwhile)
		}
		return false, nil, nil
	})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: leaseOf(client, "a"), LeaseDuration: time.Hour, RenewDeadline: 50 * time.Minute, RetryPeriod: 20 * time.Minute, ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{OnStoppedLeading: func() {}, OnStartedLeading: func(context.Context) {}},
	})
	if err != nil {
		t.Fatal(err)
	}
	elector.Run(leading)
}

// TestLeaseIsGivenUpByItsHolderOnly has a leader be out of touch until another one leads, and then end.
func TestLeaseIsGivenUpByItsHolderOnly(t *testing.T) {
	client := fake.NewClientset()
	lead(t, client, func() {
		successor := &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "l"}, Spec: coordinationv1.LeaseSpec{HolderIdentity: new("b")},
		}
		if err := client.Tracker().Update(coordinationv1.SchemeGroupVersion.WithResource("leases"), successor, "default"); err != nil {
			t.Error(err)
		}
	})
	if got := holderOf(t, client); got != "b" {
		t.Errorf("the Lease is held by %q after its former holder ended, want b", got)
	}
}

// TestLeaseIsGivenUpByItsHolder keeps a successor from waiting for the Lease to run out.
func TestLeaseIsGivenUpByItsHolder(t *testing.T) {
	client := fake.NewClientset()
	lead(t, client, func() {})
	if got := holderOf(t, client); got != "" {
		t.Errorf("the Lease is held by %q after its holder ended, want nobody", got)
	}
}

// TestLeadership asks a leader until when it leads, before and after another replica takes the Lease or somebody removes it.
func TestLeadership(t *testing.T) {
	leases := coordinationv1.SchemeGroupVersion.WithResource("leases")
	for name, tc := range map[string]struct {
		change func(t *testing.T, client *fake.Clientset)
		leads  bool
	}{
		"Leads": {func(*testing.T, *fake.Clientset) {}, true},
		"IsDeposed": {func(t *testing.T, client *fake.Clientset) {
			successor := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "l"}, Spec: coordinationv1.LeaseSpec{HolderIdentity: new("b")}}
			if err := client.Tracker().Update(leases, successor, "default"); err != nil {
				t.Error(err)
			}
		}, false},
		"HasRunOut": {func(*testing.T, *fake.Clientset) { time.Sleep(8 * time.Second) }, false},
		"LeaseIsGone": {func(t *testing.T, client *fake.Clientset) {
			if err := client.Tracker().Delete(leases, "default", "l"); err != nil {
				t.Error(err)
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fake.NewClientset()
				l := leaseOf(client, "a")
				leadership := &Leadership{lock: l, duration: 10 * time.Second}
				if _, err := leadership.Until(t.Context()); !errors.Is(err, ErrNotLeader) {
					t.Errorf("error %v before the election", err)
				}
				began := time.Now()
				if err := l.Create(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "a"}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(3 * time.Second)
				tc.change(t, client)
				until, err := leadership.Until(t.Context())
				if leads := err == nil; leads != tc.leads || leads && !until.Equal(began.Add(10*time.Second)) {
					t.Errorf("leads until %s, error %v; want that it leads: %v, ten seconds from %s", until, err, tc.leads, began)
				}
			})
		})
	}
}
