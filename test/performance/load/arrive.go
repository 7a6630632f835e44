package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// gapMean is the mean time from one sample to the next. Gaps are drawn so that some pods come close together.
const gapMean = 700 * time.Millisecond

// Waits are the times from the creation of a pod that fits nowhere to the request to VPSie for a machine, in ascending order.
type Waits struct {
	Each []time.Duration
	// Machines is how many were launched for the pods.
	Machines int
}

// Percentile is the least wait that the given share of them, in percent, does not exceed.
func (w Waits) Percentile(percent int) time.Duration {
	if len(w.Each) == 0 {
		return 0
	}
	return w.Each[max((len(w.Each)*percent+99)/100, 1)-1]
}

// Arrive creates the size's samples one after the other at random gaps, and returns when each has a machine. The fleet must be filled: a
// sample that finds room asks for nothing.
//
// Machines of a size are interchangeable, so a request cannot be attributed to a pod. Requests and pods are paired in their order; every pairing
// has the same mean.
func (f *Fleet) Arrive(ctx context.Context, dice *rand.Rand) (Waits, error) {
	before, err := f.Launched(ctx)
	if err != nil {
		return Waits{}, err
	}
	var created []time.Time
	for i := range f.Size.Samples {
		select {
		case <-ctx.Done():
			return Waits{}, ctx.Err()
		case <-time.After(time.Duration(dice.ExpFloat64() * float64(gapMean))):
		}
		pod := f.sample(i, i%f.Size.Groups)
		created = append(created, time.Now())
		if _, err := f.pods.CoreV1().Pods(f.Namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
			return Waits{}, fmt.Errorf("create pod %s: %w", pod.Name, err)
		}
	}
	err = until(ctx, f.Err, "a machine was asked for each sample", func() (bool, string, error) {
		now, err := f.Launched(ctx)
		n := len(now) - len(before)
		return n >= f.Size.Samples, fmt.Sprintf("%d were", n), err
	})
	if err != nil {
		return Waits{}, err
	}
	if err := f.AwaitMachines(ctx); err != nil {
		return Waits{}, err
	}
	after, err := f.Launched(ctx)
	if err != nil {
		return Waits{}, err
	}
	w := Waits{Machines: len(after) - len(before)}
	var requested []time.Time
	for _, m := range after[len(before):] {
		requested = append(requested, m.RequestedAt)
	}
	slices.SortFunc(requested, time.Time.Compare)
	for i, at := range created {
		w.Each = append(w.Each, requested[i].Sub(at))
	}
	slices.Sort(w.Each)
	return w, nil
}
