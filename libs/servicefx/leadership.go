package servicefx

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ErrNotLeader says that another replica leads, or that nobody does.
var ErrNotLeader = errors.New("this replica does not hold the Lease")

// Leadership tells whether this replica leads, by the Lease as the API server has it. A leader learns late that another replica took over:
// after its process was suspended, or when the Lease was deleted.
type Leadership struct {
	lock     *lease
	duration time.Duration
}

// Until reads the Lease and returns until when no other replica takes it over, or ErrNotLeader. Whatever rests on being the leader
// must be sent by then. It may be called from anywhere.
func (l *Leadership) Until(ctx context.Context) (time.Time, error) {
	renewed := l.lock.renewed.Load()
	if renewed == nil {
		return time.Time{}, ErrNotLeader
	}
	now, err := l.lock.Client.Leases(l.lock.LeaseMeta.Namespace).Get(ctx, l.lock.LeaseMeta.Name, metav1.GetOptions{})
	if err != nil {
		return time.Time{}, fmt.Errorf("read Lease %s: %w", l.lock.Describe(), err)
	}
	if holder := now.Spec.HolderIdentity; holder == nil || *holder != l.lock.Identity() {
		return time.Time{}, ErrNotLeader
	}
	until := renewed.Add(l.duration)
	if time.Until(until) <= 0 {
		return time.Time{}, ErrNotLeader
	}
	return until, nil
}
