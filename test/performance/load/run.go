package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/test/performance/load/inmemory"
	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// Goals of the design.
const (
	goalWaitP50     = 300 * time.Millisecond
	goalWaitP99     = time.Second
	goalReconcile   = 100 * time.Millisecond
	goalMemory      = 200 * megabyte
	goalCallsLaunch = 1.5
	goalCallsGone   = 1.2
	goalGone        = 10 * time.Minute
	reconcileShare  = 95
)

const (
	// settle is how long the record of launches may lag behind the ledger.
	settle = 20 * time.Second
	// requestsPerMinute is what VPSie is assumed to allow.
	requestsPerMinute = 6000
)

// Options returns the stack on which the figures are measured: the services have their own defaults where the stack's are quicker than those,
// and VPSie allows 6,000 calls a minute.
func Options(size Size, log io.Writer) stack.Options {
	return stack.Options{
		Log:     log,
		SimArgs: []string{fmt.Sprintf("--worker-cap=%d", 2*(size.Nodes+size.Samples+size.Groups))},
		ServiceArgs: map[string][]string{stack.Provisioner: {
			fmt.Sprintf("--vpsie-requests-per-minute=%d", requestsPerMinute), "--vpsie-burst=100", "--launch-poll=1s", "--launch-settle=12m",
			"--drain-settle=5s", "--absence-interval=10s", "--vpsie-breaker-delay=15s",
		}},
	}
}

// Report is what a run showed.
type Report struct {
	Size    Size
	Filled  Filled
	Waits   Waits
	Emptied Emptied
	Verdict vpsiesim.Verdict
	// Rest is what the services occupy with everything running and nothing to do, Peak what they occupied at most.
	Rest, PeakFill, PeakArrive, PeakEmpty Memory
	// reconciled are the times of the whole run.
	reconciled map[string]histogram
}

// Run starts a stack on a real control plane, fills a fleet, lets single pods come, and empties it. Memory at rest is read after a time of
// nothing to do.
func Run(ctx context.Context, size Size, rest time.Duration, log io.Writer) (Report, error) {
	return run(ctx, size, rest, Options(size, log), log)
}

// RunInMemory does so without a control plane and without KWOK: on a cluster in this process.
func RunInMemory(ctx context.Context, size Size, rest time.Duration, log io.Writer) (Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := inmemory.Start(cancel)
	if err != nil {
		return Report{}, err
	}
	dir, err := os.MkdirTemp("", "vpsie-load-")
	if err != nil {
		return Report{}, errors.Join(err, c.Stop())
	}
	o := Options(size, log)
	o.Kubeconfig, o.Bare = filepath.Join(dir, "kubeconfig"), true
	var r Report
	own := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: stack.Namespace}}
	if err = errors.Join(c.WriteKubeconfig(o.Kubeconfig), c.Server.As("administrator").Create(own)); err == nil {
		r, err = run(ctx, size, rest, o, log)
	}
	return r, errors.Join(err, c.Stop(), os.RemoveAll(dir))
}

func run(ctx context.Context, size Size, rest time.Duration, o stack.Options, log io.Writer) (Report, error) {
	if err := size.Validate(); err != nil {
		return Report{}, err
	}
	s, err := stack.Start(ctx, o)
	if err != nil {
		return Report{}, err
	}
	const namespace = "load"
	_, err = s.Kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	var r Report
	if err == nil {
		r, err = Measure(ctx, s, namespace, size, rest, log)
	}
	if err != nil {
		s.KeepFiles()
		err = fmt.Errorf("%w; logs are kept in %s", err, s.Dir)
	}
	return r, errors.Join(err, s.Stop())
}

// Measure does all that on a stack that runs.
func Measure(ctx context.Context, s *stack.Stack, namespace string, size Size, rest time.Duration, log io.Writer) (Report, error) {
	r := Report{Size: size}
	began := time.Now()
	say := func(format string, args ...any) {
		fmt.Fprintf(log, "load: %5.0fs %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	var services []*stack.Service
	for _, name := range stack.Services() {
		services = append(services, s.Service(name))
	}
	m := &meter{services: services}
	metering, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { m.run(metering) })
	defer work.Wait()
	defer stop()
	before, err := reconciles(ctx, s)
	if err != nil {
		return r, err
	}
	f, err := New(ctx, s, namespace, size, 0)
	if err != nil {
		return r, err
	}
	say("%d NodeGroups are Ready", size.Groups)
	if r.Filled, err = f.Fill(ctx); err != nil {
		return r, err
	}
	r.PeakFill = m.most()
	say("%d pods run on %d machines after %s", size.Pods, r.Filled.Machines, short(r.Filled.Took))
	if err := pause(ctx, rest); err != nil {
		return r, err
	}
	r.Rest = memoryOf(services)
	m.most()
	if r.Waits, err = f.Arrive(ctx, rand.New(rand.NewPCG(1, 2))); err != nil {
		return r, err
	}
	r.PeakArrive = m.most()
	say("%d more pods came one by one", size.Samples)
	if r.Emptied, err = f.Empty(ctx); err != nil {
		return r, err
	}
	r.PeakEmpty = m.most()
	say("%d machines were gone after %s", r.Emptied.Machines, short(r.Emptied.MachinesGone))
	after, err := reconciles(ctx, s)
	if err != nil {
		return r, err
	}
	r.reconciled = map[string]histogram{}
	for name, h := range after {
		r.reconciled[name] = h.since(before[name])
	}
	r.Verdict, err = judge(ctx, s)
	return r, err
}

// judge waits for the record of launches, which may lag behind the ledger, to clear every finding.
func judge(ctx context.Context, s *stack.Stack) (vpsiesim.Verdict, error) {
	end := time.Now().Add(settle)
	for {
		v, err := s.Judge(ctx)
		if err != nil || v.Clean() || time.Now().After(end) {
			return v, err
		}
		if err := pause(ctx, pollEvery); err != nil {
			return v, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Table puts the goals beside what was measured.
func (r *Report) Table() Table {
	var t Table
	t.count(fmt.Sprintf("machines launched for %d pods", r.Size.Pods), r.Size.Nodes, r.Filled.Machines)
	t.count(fmt.Sprintf("machines launched for %d single pods", r.Size.Samples), r.Size.Samples, r.Waits.Machines)
	t.info("until all pods run", "%s", short(r.Filled.Took))
	t.duration("pending to VPSie request, p50", goalWaitP50, r.Waits.Percentile(50))
	t.duration("pending to VPSie request, p99", goalWaitP99, r.Waits.Percentile(99))
	t.info("pending to VPSie request, longest", "%s", short(r.Waits.Percentile(100)))
	for _, name := range slices.Sorted(maps.Keys(r.reconciled)) {
		h := r.reconciled[name]
		if h.count() > 0 {
			t.duration(fmt.Sprintf("reconcile p95: %s (%d times)", name, h.count()), goalReconcile, h.percentile(reconcileShare))
		}
	}
	t.memory("resident memory at rest", goalMemory, r.Rest)
	t.memory("resident memory at most, while pods come one by one", goalMemory, r.PeakArrive)
	t.memory("resident memory at most, while filling", goalMemory, r.PeakFill)
	t.memory("resident memory at most, while emptying", goalMemory, r.PeakEmpty)
	t.ratio("VPSie calls a machine launched", goalCallsLaunch, perMachine(r.Filled.Calls.Total, r.Filled.Machines))
	t.ratio("VPSie calls a machine removed", goalCallsGone, perMachine(r.Emptied.Calls.Total, r.Emptied.Machines))
	t.info("VPSie calls in any minute", "%d", max(r.Filled.Calls.PeakMinute, r.Emptied.Calls.PeakMinute))
	t.duration(fmt.Sprintf("until %d empty machines are gone at VPSie", r.Emptied.Machines), goalGone, r.Emptied.MachinesGone)
	t.duration(fmt.Sprintf("until their %d VPSieNodes are gone", r.Emptied.Machines), goalGone, r.Emptied.ObjectsGone)
	t.count("machines leaked", 0, len(r.Verdict.Leaks))
	t.count("machines launched twice", 0, len(r.Verdict.Doubles))
	t.count("machines deleted wrongly", 0, len(r.Verdict.WrongDeletions))
	return t
}

func perMachine(calls, machines int) float64 { return float64(calls) / float64(max(machines, 1)) }

// order lists services in the order in which a machine passes them.
func order(m Memory) []string {
	return slices.DeleteFunc(stack.Services(), func(name string) bool { return m[name] == 0 })
}
