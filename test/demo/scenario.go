package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

// What the story is about.
const (
	namespace  = "demo"
	group      = "web"
	deployment = "web"
	pods       = 100
	// needed is how many machines a hundred pods of that size need.
	needed = 10
	// allowed is more, so that launching too many would show.
	allowed = 12
)

// tell plays the story to its end and judges it. An error means that a step did not happen, or
// that something happened that must not.
func tell(ctx context.Context, s *stack.Stack, out io.Writer) error {
	st := &story{out: out}
	w := newWatcher(st, s)
	watching, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	if err := w.start(watching, &work); err != nil {
		return err
	}
	st.begin()
	for _, act := range []func(context.Context, *watcher, *stack.Stack) error{prepare, grow, shrink} {
		if err := act(ctx, w, s); err != nil {
			return err
		}
	}
	return summarise(ctx, w, s, out)
}

// prepare makes the NodeGroup.
func prepare(ctx context.Context, w *watcher, s *stack.Stack) error {
	if err := s.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return fmt.Errorf("create namespace: %w", err)
	}
	g := workload.NodeGroup(namespace, group, allowed)
	if err := s.Client.Create(ctx, g); err != nil {
		return fmt.Errorf("create NodeGroup: %w", err)
	}
	w.story.line("group", "NodeGroup %s/%s may launch up to %d machines of size %s; there are no nodes yet", namespace, group, allowed, workload.MediumName)
	return await(ctx, s, step{"the NodeGroup is ready", stack.Planner, w.groupReady})
}

// grow makes the pods wait and follows them until they run.
func grow(ctx context.Context, w *watcher, s *stack.Stack) error {
	d := workload.Deployment(namespace, deployment, pods, workload.TenPerNode)
	if err := s.Client.Create(ctx, d); err != nil {
		return fmt.Errorf("create deployment: %w", err)
	}
	w.story.line("workload", "deployment %s/%s asks for %d pods", namespace, deployment, pods)
	for _, next := range []step{
		{"pods wait", stack.Observer, w.podsWait},
		{"the planner decides to launch", stack.Planner, w.decidedUp},
		{"VPSie created the machines", stack.Provisioner, w.launched(needed)},
		{"the nodes are Ready", stack.Provisioner, w.ready(needed)},
		{"all pods run", stack.Planner, w.running(pods)},
	} {
		if err := await(ctx, s, next); err != nil {
			return err
		}
	}
	w.story.line("pods", "all %d pods run on %d machines", pods, w.machinesAlive())
	return nil
}

// shrink takes the work away and follows the machines until they are gone.
func shrink(ctx context.Context, w *watcher, s *stack.Stack) error {
	d := workload.Deployment(namespace, deployment, pods, workload.TenPerNode)
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":0}}`))
	if err := s.Client.Patch(ctx, d, patch); err != nil {
		return fmt.Errorf("remove workload: %w", err)
	}
	w.story.line("workload", "removed: deployment %s/%s is scaled to 0", namespace, deployment)
	for _, next := range []step{
		{"the pods are gone", stack.Planner, w.podsGone},
		{"the planner decides to retire the machines", stack.Planner, w.decidedDown},
		{"the nodes are drained", stack.Provisioner, w.drained(needed)},
		{"the machines are gone", stack.Provisioner, w.machinesGone(needed)},
		{"Nodes and VPSieNodes are gone", stack.Provisioner, w.recordsGone},
	} {
		if err := await(ctx, s, next); err != nil {
			return err
		}
	}
	w.story.line("machine", "nothing is left, and nothing is paid for any more")
	return nil
}

// summarise prints the numbers, which scripts may read, and judges them.
func summarise(ctx context.Context, w *watcher, s *stack.Stack, out io.Writer) error {
	truth, err := s.Sim.Truth(ctx)
	if err != nil {
		return fmt.Errorf("read ground truth: %w", err)
	}
	verdict, err := s.Judge(ctx)
	if err != nil {
		return err
	}
	p50, longest, err := w.waits(truth)
	if err != nil {
		return err
	}
	mem := w.residentMB()
	fmt.Fprintf(out, `
pods served: %d
machines launched: %d
machines deleted: %d
pending to VPSie request: p50 %d ms, max %d ms
resident memory: observer %d MB, planner %d MB, provisioner %d MB
cost: %s
leaks: %d
doubles: %d
wrong deletions: %d
`, w.served(), truth.Counts.Launched, truth.Counts.Deleted, p50.Milliseconds(), longest.Milliseconds(),
		mem[stack.Observer], mem[stack.Planner], mem[stack.Provisioner], dollars(truth.Money.CostTotal),
		len(verdict.Leaks), len(verdict.Doubles), len(verdict.WrongDeletions))
	var problems []error
	for _, findings := range [][]string{verdict.Leaks, verdict.Doubles, verdict.WrongDeletions} {
		for _, finding := range findings {
			problems = append(problems, errors.New(finding))
		}
	}
	if truth.Counts.Launched != needed {
		problems = append(problems, fmt.Errorf("%d machines were launched where %d were needed", truth.Counts.Launched, needed))
	}
	if w.served() != pods {
		problems = append(problems, fmt.Errorf("%d of %d pods ran", w.served(), pods))
	}
	return errors.Join(problems...)
}
