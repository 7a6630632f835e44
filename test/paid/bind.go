package paid

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/kubernetes"
)

const (
	// readyTimeout bounds the time until launches are possible, boundTimeout until every pod is bound.
	readyTimeout = time.Minute
	boundTimeout = 10 * time.Minute
	poll         = 200 * time.Millisecond
	// calmFor is how long nothing may be launched before what is paid counts as final.
	calmFor = 5 * time.Second
)

// bind creates a case's pods and follows them until all are bound. It returns when the last was created.
func bind(ctx context.Context, c Case, client kubernetes.Interface, alive func() error) (row Row, last time.Time, err error) {
	row = Row{Case: c}
	f, err := follow(ctx, client)
	if err != nil {
		return row, last, err
	}
	if row.began, last, err = create(ctx, client, c.Workload.Pods, c.Over); err != nil {
		return row, last, err
	}
	if err := until(ctx, boundTimeout, "every pod is bound", func() (bool, error) { return f.tally().bound == len(c.Workload.Pods), alive() }); err != nil {
		return row, last, fmt.Errorf("%w: %d of %d are", err, f.tally().bound, len(c.Workload.Pods))
	}
	t := f.tally()
	row.AllBound, row.Nominated, row.Followed = t.lastBound.Sub(row.began), t.nominated, t.followed
	return row, last, nil
}

// await looks at what is paid until nothing was launched for a while; look returns how many machines were.
func await(ctx context.Context, row *Row, look func(*Row) (int, error)) error {
	launched, since := -1, time.Now()
	return until(ctx, boundTimeout, "nothing is launched any more", func() (bool, error) {
		now, err := look(row)
		if err != nil {
			return false, err
		}
		if now != launched {
			launched, since = now, time.Now()
		}
		return time.Since(since) > calmFor, nil
	})
}

// until polls a condition; the error says what did not become so.
func until(ctx context.Context, timeout time.Duration, what string, is func() (bool, error)) error {
	end := time.Now().Add(timeout)
	for {
		done, err := is()
		if done || err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("after %s it is not so that %s", timeout, what)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(poll):
		}
	}
}
