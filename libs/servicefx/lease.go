package servicefx

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lease is a Lease that nobody but its holder gives up. The elector of client-go (v0.37, LeaderElector.tryRelease), when it was out of
// touch for too long, empties the Lease as it finds it, although another replica may hold it by then: a third could lead beside that
// one. Like the elector's other locks it is for one goroutine.
type lease struct {
	*resourcelock.LeaseLock
	// holder is who held the Lease when it was read last.
	holder string
	// renewed is when the last write began by which this process holds the Lease, by its own clock: others wait for the Lease's duration
	// from when they saw that write. It may be read from anywhere.
	renewed atomic.Pointer[time.Time]
}

// newLease returns the Lease of a service; the calls of its client end before the leadership does.
func newLease(config *rest.Config, namespace, name string, renewDeadline time.Duration) (*lease, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("look up host name: %w", err)
	}
	config = rest.AddUserAgent(rest.CopyConfig(config), "leader-election")
	config.Timeout = max(renewDeadline/2, time.Second)
	client, err := coordinationv1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client of Leases: %w", err)
	}
	return &lease{LeaseLock: &resourcelock.LeaseLock{
		LeaseMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Client: client,
		LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())},
	}}, nil
}

// Get reads the Lease.
func (l *lease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.LeaseLock.Get(ctx)
	if err == nil {
		l.holder = record.HolderIdentity
	}
	return record, raw, err
}

// Update writes the Lease, unless it would take it from another holder without taking it over.
func (l *lease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if record.HolderIdentity == "" && l.holder != l.Identity() {
		return fmt.Errorf("release Lease %s: it is held by %q, not by this process", l.Describe(), l.holder)
	}
	return l.noting(record, func() error { return l.LeaseLock.Update(ctx, record) })
}

// Create writes a Lease that does not exist.
func (l *lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.noting(record, func() error { return l.LeaseLock.Create(ctx, record) })
}

func (l *lease) noting(record resourcelock.LeaderElectionRecord, write func() error) error {
	began := time.Now()
	err := write()
	if err == nil && record.HolderIdentity == l.Identity() {
		l.renewed.Store(&began)
	}
	return err
}
