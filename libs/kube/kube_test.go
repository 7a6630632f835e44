package kube_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/vpsie/vpsie-autoscaler/libs/kube"
)

type recorder struct {
	mu    sync.Mutex
	notes []string
}

func (r *recorder) Eventf(_, _ runtime.Object, _, _, _, note string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf(note, args...))
}

func (r *recorder) told() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.notes)
}

func TestEventsArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		next := &recorder{}
		paced := kube.NewPacedRecorder(next, slog.New(slog.DiscardHandler))
		for i := range 2500 {
			paced.Eventf(&corev1.Pod{}, nil, "Normal", "Reason", "Action", "event %d", i)
		}
		done := make(chan error, 1)
		go func() { done <- paced.Run(ctx) }()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(next.told()); n < 20 || n > 30 {
			t.Errorf("%d events in the first second, want about 25", n)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := len(next.told()); n != 2000 {
			t.Errorf("%d events in all, want the 2000 that the queue holds", n)
		}
		if told := next.told(); told[0] != "event 0" || told[1] != "event 1" {
			t.Errorf("events out of order: %v", told[:2])
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestSetConditionMovesTimeOnlyWithTheStatus(t *testing.T) {
	var conditions []metav1.Condition
	if !kube.SetCondition(&conditions, "Ready", metav1.ConditionTrue, 1, "Fine", "all is well") {
		t.Error("a new condition is no change")
	}
	conditions[0].LastTransitionTime = metav1.NewTime(time.Unix(1000, 0))
	if kube.SetCondition(&conditions, "Ready", metav1.ConditionTrue, 1, "Fine", "all is well") {
		t.Error("the same condition is a change")
	}
	if !kube.SetCondition(&conditions, "Ready", metav1.ConditionTrue, 1, "Fine", "still") || conditions[0].LastTransitionTime.Unix() != 1000 {
		t.Errorf("a new message moved the time: %+v", conditions[0])
	}
	if !kube.SetCondition(&conditions, "Ready", metav1.ConditionFalse, 1, "Bad", strings.Repeat("x", 40000)) {
		t.Error("a new status is no change")
	}
	if len(conditions[0].Message) > 32768 || conditions[0].LastTransitionTime.Unix() == 1000 {
		t.Errorf("message of %d bytes, time %s", len(conditions[0].Message), conditions[0].LastTransitionTime)
	}
}

// named keeps the names of what events are about.
type named struct{ names chan string }

func (n named) Eventf(regarding, _ runtime.Object, _, _, _, _ string, _ ...any) {
	if pod, ok := regarding.(*corev1.Pod); ok {
		n.names <- pod.Name
	}
}

// TestEventIsAboutTheObjectAsItWas has the caller read another state into the object before the event is told.
func TestEventIsAboutTheObjectAsItWas(t *testing.T) {
	next := named{make(chan string, 1)}
	paced := kube.NewPacedRecorder(next, slog.New(slog.DiscardHandler))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "before"}}
	paced.Eventf(pod, nil, "Normal", "Reason", "Action", "note")
	pod.Name = "after"
	go func() { _ = paced.Run(t.Context()) }()
	if name := <-next.names; name != "before" {
		t.Errorf("the event is about %s", name)
	}
}
