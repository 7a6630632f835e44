package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

const (
	truthPoll = 200 * time.Millisecond
	// podLines is how often the number of waiting and running pods is told at most.
	podLines = 500 * time.Millisecond
)

// watcher sees what happens in Kubernetes, on the bus and at VPSie, tells it, and remembers what steps ask about.
type watcher struct {
	story *story
	stack *stack.Stack

	mu        sync.Mutex
	readyWhy  string // of the NodeGroup's Ready condition, empty while it is True
	waiting   map[string]bool
	run       map[string]bool
	ran       map[string]bool // pods that ever ran
	firstWait time.Time
	told      string // what was last told of the pods
	toldAt    time.Time
	nodes     map[string]bool // Nodes by whether they are Ready
	readied   map[string]bool // Nodes that ever were Ready
	phases    map[string]v1beta1.Phase
	emptied   map[string]bool // VPSieNodes whose Node was drained
	scaledUp  bool
	retired   int
	machines  map[string]vpsiesim.Machine
	memory    map[string]int64 // most bytes by service
}

func newWatcher(st *story, s *stack.Stack) *watcher {
	return &watcher{
		story: st, stack: s, readyWhy: "it has no status yet", told: "0 wait, 0 run",
		waiting: map[string]bool{}, run: map[string]bool{}, ran: map[string]bool{},
		nodes: map[string]bool{}, readied: map[string]bool{}, phases: map[string]v1beta1.Phase{}, emptied: map[string]bool{},
		machines: map[string]vpsiesim.Machine{}, memory: map[string]int64{},
	}
}

// start watches until ctx ends; work counts what then ends.
func (w *watcher) start(ctx context.Context, work *sync.WaitGroup) error {
	informers, err := cache.New(w.stack.RESTConfig(), cache.Options{Scheme: w.stack.Client.Scheme()})
	if err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	var synced []toolscache.InformerSynced
	for _, kind := range []struct {
		object client.Object
		see    func(object any, gone bool)
	}{
		{&corev1.Pod{}, inNamespace(w.seePod)},
		{&corev1.Node{}, seen(w.seeNode)},
		{&v1beta1.NodeGroup{}, inNamespace(w.seeGroup)},
		{&v1beta1.VPSieNode{}, inNamespace(w.seeVPSieNode)},
	} {
		informer, err := informers.GetInformer(ctx, kind.object, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watch %T: %w", kind.object, err)
		}
		registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { kind.see(object, false) },
			UpdateFunc: func(_, object any) { kind.see(object, false) },
			DeleteFunc: func(object any) { kind.see(object, true) },
		})
		if err != nil {
			return fmt.Errorf("watch %T: %w", kind.object, err)
		}
		synced = append(synced, registration.HasSynced)
	}
	work.Go(func() { _ = informers.Start(ctx) }) // it ends with its context
	if !toolscache.WaitForCacheSync(ctx.Done(), synced...) {
		return errors.Join(errors.New("the first listing is not complete"), ctx.Err())
	}
	w.stack.OnDecision(w.seeDecision)
	work.Go(func() { w.poll(ctx) })
	return nil
}

// seen types what a handler gets.
func seen[T client.Object](see func(T, bool)) func(any, bool) {
	return func(object any, gone bool) {
		if unknown, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
			object = unknown.Obj
		}
		if typed, ok := object.(T); ok {
			see(typed, gone)
		}
	}
}

func inNamespace[T client.Object](see func(T, bool)) func(any, bool) {
	return seen(func(object T, gone bool) {
		if object.GetNamespace() == namespace {
			see(object, gone)
		}
	})
}

func (w *watcher) seePod(pod *corev1.Pod, gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waiting, pod.Name)
	delete(w.run, pod.Name)
	switch {
	case gone:
	case pod.Status.Phase == corev1.PodRunning:
		w.run[pod.Name], w.ran[pod.Name] = true, true
	case workload.IsUnschedulable(pod):
		if w.firstWait.IsZero() {
			w.firstWait = time.Now()
			w.story.line("pods", "the first one waits: %s", schedulerSays(pod))
		}
		w.waiting[pod.Name] = true
	}
	w.tellPods(false)
}

func schedulerSays(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled {
			return c.Message
		}
	}
	return "no reason was given"
}

// tellPods tells the numbers when they changed, and not too often unless it is the last time. The caller holds the lock.
func (w *watcher) tellPods(now bool) {
	text := fmt.Sprintf("%d wait, %d run", len(w.waiting), len(w.run))
	if text == w.told || !now && time.Since(w.toldAt) < podLines {
		return
	}
	w.told, w.toldAt = text, time.Now()
	w.story.line("pods", "%s", text)
}

func (w *watcher) seeNode(node *corev1.Node, gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was, known := w.nodes[node.Name]
	if gone {
		delete(w.nodes, node.Name)
		w.story.line("node", "%s is gone from Kubernetes", node.Name)
		return
	}
	is := workload.IsReady(node)
	w.nodes[node.Name] = is
	if is && (!known || !was) {
		w.readied[node.Name] = true
		cpu := node.Status.Allocatable[corev1.ResourceCPU]
		memory := node.Status.Allocatable[corev1.ResourceMemory]
		w.story.line("node", "%s is Ready with %s cpu and %s memory for pods", node.Name, cpu.String(), memory.String())
	}
}

func (w *watcher) seeGroup(g *v1beta1.NodeGroup, _ bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := meta.FindStatusCondition(g.Status.Conditions, v1beta1.ConditionReady)
	switch {
	case c == nil:
		w.readyWhy = "it has no condition yet"
	case c.Status == metav1.ConditionTrue:
		if w.readyWhy != "" {
			w.story.line("group", "NodeGroup %s/%s is Ready: %s", g.Namespace, g.Name, c.Message)
		}
		w.readyWhy = ""
	default:
		w.readyWhy = c.Reason + ": " + c.Message
	}
}

func (w *watcher) seeVPSieNode(n *v1beta1.VPSieNode, gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, phase := w.phases[n.Name], n.Status.Phase
	if gone {
		delete(w.phases, n.Name)
		return
	}
	w.phases[n.Name] = phase
	if phase == before {
		return
	}
	switch phase {
	case v1beta1.PhaseDraining:
		w.story.line("node", "%s is cordoned and drained", n.Status.NodeName)
	case v1beta1.PhaseDeleting:
		w.emptied[n.Name] = true
		w.story.line("machine", "%s is empty; its deletion is requested from VPSie", n.Status.Hostname)
	case v1beta1.PhaseFailed:
		w.story.line("machine", "%s failed", n.Name)
	}
}

func (w *watcher) seeDecision(r *busv1.DecisionRecord) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch r.GetKind() {
	case busv1.DecisionKind_DECISION_KIND_SCALE_UP:
		w.scaledUp = true
	case busv1.DecisionKind_DECISION_KIND_SCALE_DOWN:
		w.retired++
	default:
		// Refusals are in the FACTS stream as well; here they would hide the story.
		return
	}
	w.story.line("decision", "%s [%s]", r.GetMessage(), r.GetReason())
}

// poll looks at what Kubernetes does not show.
func (w *watcher) poll(ctx context.Context) {
	ticker := time.NewTicker(truthPoll)
	defer ticker.Stop()
	for {
		if truth, err := w.stack.Sim.Truth(ctx); err == nil {
			w.seeTruth(truth)
		}
		w.seeMemory()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (w *watcher) seeTruth(t vpsiesim.Truth) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range t.Machines {
		before, known := w.machines[m.Identifier]
		w.machines[m.Identifier] = m
		if !known {
			w.story.line("machine", "%s is launched for %s an hour, %d ms after the first pod waited",
				m.Hostname, dollars(m.PricePerHour), m.RequestedAt.Sub(w.firstWait).Milliseconds())
		}
		if before.GoneAt.IsZero() && !m.GoneAt.IsZero() {
			w.story.line("machine", "%s is gone after %.1f s; it cost %s", m.Hostname, m.GoneAt.Sub(m.ListedAt).Seconds(), dollars(m.Cost))
		}
	}
	w.tellPods(true)
}

func (w *watcher) seeMemory() {
	for _, name := range stack.Services() {
		bytes, err := w.stack.Service(name).ResidentBytes()
		if err != nil {
			continue
		}
		w.mu.Lock()
		w.memory[name] = max(w.memory[name], bytes)
		w.mu.Unlock()
	}
}
