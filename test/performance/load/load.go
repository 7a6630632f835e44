// Package load asks much of the whole product: many NodeGroups, machines and pods on a real control plane, and little time.
package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	// milliCPU is what a machine of the Medium size leaves for pods.
	milliCPU = 3900
	// podsPerNodeMax keeps below the 110 pods that a Node may run, and far enough from the memory of a machine.
	podsPerNodeMax = 50
	// patience is how long a step may take before the run fails.
	patience  = 45 * time.Minute
	pollEvery = 250 * time.Millisecond
)

// Size is how much is asked for.
type Size struct {
	Groups, Nodes, Pods int
	// Samples is how many further pods come one by one, each of which needs a machine of its own.
	Samples int
}

// Full is the size that the goals of the design are for.
var Full = Size{Groups: 100, Nodes: 1000, Pods: 30000, Samples: 150}

// Validate reports every problem at once.
func (s Size) Validate() error {
	var problems []error
	if s.Groups < 1 || s.Nodes < s.Groups || s.Pods < s.Nodes || s.Samples < 0 {
		return fmt.Errorf("%d groups, %d nodes, %d pods, %d samples: want a node for each group, a pod for each node, and no negative number", s.Groups, s.Nodes, s.Pods, s.Samples)
	}
	if s.Nodes%s.Groups != 0 {
		problems = append(problems, fmt.Errorf("%d nodes do not divide evenly into %d groups", s.Nodes, s.Groups))
	}
	if s.Pods%s.Nodes != 0 || s.Pods/s.Nodes > podsPerNodeMax {
		problems = append(problems, fmt.Errorf("%d pods do not divide evenly into %d nodes with at most %d each", s.Pods, s.Nodes, podsPerNodeMax))
	}
	return errors.Join(problems...)
}

// podRequests are requests of which exactly as many pods fit on a machine as it is to run.
func (s Size) podRequests() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(int64(milliCPU/(s.Pods/s.Nodes)), resource.DecimalSI),
		corev1.ResourceMemory: resource.MustParse("64Mi"),
	}
}

// until polls a condition, whose text says how far it is, and ends early with the error of what has died.
func until(ctx context.Context, alive func() error, what string, is func() (bool, string, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	var progress string
	for {
		done, now, err := is()
		if done && err == nil {
			return nil
		}
		if ctx.Err() == nil {
			progress = now
			if err != nil {
				return fmt.Errorf("wait until %s: %w", what, err)
			}
		}
		if err := alive(); err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w (%s)", what, ctx.Err(), progress)
		case <-ticker.C:
		}
	}
}
