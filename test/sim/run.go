// Package sim runs all services in one process under virtual time, lets faults happen by seed, and judges every
// write and every call to the cloud against what really is.
package sim

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// How long what faults left behind may take to be mended. A launch request whose answer was lost is looked for
// during the settle time, and one that was late may come an hour late; a listing that lacks several machines at once is doubted for
// an hour, in which nothing is launched, and of machines that vanished together one is tried every quarter of an hour then.
const (
	servedWithin  = 180 * time.Minute
	clearedWithin = 180 * time.Minute
	quietFor      = 5 * time.Minute
	quietAfter    = 30 * time.Minute
	pollEvery     = 10 * time.Second
	idlePerMinute = 6
	// garbageAfter lets about a hundred megabytes gather.
	garbageAfter        = 15 * time.Minute
	garbageAfterLongRun = 6 * time.Hour
	// oddInstant is off the instants at which tickers and most timers fire.
	oddInstant = 13 * time.Nanosecond
	// lastsMin is how long a run of full length goes on at least; what it does not need for mending it is at rest.
	lastsMin = time.Hour
	// callsEndIn is longer than a call to VPSie that was made in the last instant of a run may take.
	callsEndIn = 10 * time.Minute
)

// result is what a run showed.
type result struct {
	Seed       uint64         `json:"seed"`
	Violations []string       `json:"violations,omitempty"`
	Steps      []string       `json:"steps,omitempty"`
	Faults     []string       `json:"faults,omitempty"`
	Hits       map[string]int `json:"hits,omitempty"`
	// Lives are machines that were launched and went again, Launched all that were launched.
	Lives int `json:"lives"`
	// Followed are the pods that were bound where the planner had nominated them.
	Followed int `json:"followed"`
	Launched int `json:"launched"`
	// CallsOf counts what the last process of each service asked of anybody until the last machine was gone.
	CallsOf map[string]int `json:"-"`
	// Calls were made to VPSie, in so many simulated seconds.
	Calls   int     `json:"calls"`
	Seconds float64 `json:"seconds"`
	// Trace is ring.trace.
	Trace string `json:"trace"`
}

// run plays a plan from its first pod to the last machine, and judges it. It must be called in a bubble.
func run(p plan, folder string, log *ring) result {
	w := newWorld(p, folder, log)
	done := make(chan struct{})
	var background sync.WaitGroup
	background.Go(func() { w.cluster.run(done) })
	w.install()
	background.Go(func() { w.keep(done) })
	background.Go(func() { collectGarbage(p, done) })
	w.play()
	if !w.judge.broken() {
		w.recover()
	}
	simulated := time.Since(w.began)
	close(done)
	background.Wait()
	w.shutdown()
	time.Sleep(callsEndIn) // a bubble whose first goroutine is gone has no time left for them
	return w.result(simulated)
}

// collectGarbage frees memory now and then, at instants at which hardly ever anything else happens, so that the collector is in
// nobody's way.
func collectGarbage(p plan, done <-chan struct{}) {
	time.Sleep(oddInstant)
	interval := garbageAfter
	if p.length > longRun {
		interval = garbageAfterLongRun
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
			runtime.GC()
		}
	}
}

func (w *world) callsOf() map[string]int {
	calls := map[string]int{}
	for _, service := range []string{Observer, Planner, Provisioner} {
		if p := w.one(service); p != nil {
			calls[service] = p.gate.count()
		}
	}
	return calls
}

func (w *world) result(simulated time.Duration) result {
	truth := w.cloud.sim.Truth()
	r := result{Seed: w.plan.seed, Hits: w.hits, Lives: truth.Counts.Deleted, Followed: int(w.judge.followed.Load()), CallsOf: w.callsOfLife, Launched: truth.Counts.Launched, Calls: truth.Calls.Total, Seconds: simulated.Seconds(), Trace: w.log.trace()}
	for name, n := range w.cloud.spoiled {
		r.Hits[name] += n
	}
	for _, v := range w.judge.violations {
		r.Violations = append(r.Violations, fmt.Sprintf("%s at %s: %s", v.Invariant, v.At.UTC().Format("15:04:05"), v.Message))
	}
	for _, o := range w.plan.faults {
		r.Faults = append(r.Faults, o.String())
	}
	if len(r.Violations) > 0 {
		r.Steps = w.log.last(stepsMax)
	}
	return r
}

// play lets workloads come and go while faults happen.
func (w *world) play() {
	ended := make(chan struct{})
	w.suffer(ended, func() {})
	if len(w.plan.replacements) > 0 {
		w.ending.Go(func() { w.rebalance(ended) })
	}
	began := time.Now()
	next := 0
	waves := w.plan.sortedWaves()
	for time.Since(began) < w.plan.length && !w.judge.broken() {
		for next < len(waves) && time.Since(began) >= waves[next].at {
			w.cluster.scale(w.plan.loads[waves[next].load], waves[next].replicas)
			w.note("people", "%s wants %d pods", w.plan.loads[waves[next].load].name, waves[next].replicas)
			next++
		}
		time.Sleep(pollEvery)
		w.judge.lookAtIntents()
	}
	close(ended)
	w.ending.Wait()
	w.cluster.reconnect(w.stopped)
	w.clearGhosts()
	w.mendAdopted()
	if w.plan.afterFaults != nil && !w.judge.broken() {
		w.plan.afterFaults(w)
	}
	w.note("people", "all faults are over")
}

// clearGhosts has a person delete Nodes whose machines are gone and that have no label, because somebody took it off or the
// unclaimed machine: without it nobody may call them ours.
func (w *world) clearGhosts() {
	for _, node := range listOf[corev1.Node](w) {
		m, known := w.cloud.sim.Model().MachineNamed(node.Name)
		if known && !m.Foreign && !m.GoneAt.IsZero() && node.Labels[v1beta1.LabelVPSieNode] == "" {
			ignore(w.cluster.server.As("person").Delete(node, deleteNow))
		}
	}
}

// mendAdopted has a person start kubelets that never worked and whose VPSieNodes were lost: that their Nodes were never Ready is lost with
// those, and Nodes that fail together are nobody's to replace.
func (w *world) mendAdopted() {
	launched := map[string]bool{}
	for _, n := range machines(w) {
		launched[n.Status.NodeName] = launched[n.Status.NodeName] || n.Spec.Origin != v1beta1.OriginAdoption
	}
	for _, node := range listOf[corev1.Node](w) {
		if node.Labels[v1beta1.LabelVPSieNode] != "" && !launched[node.Name] {
			w.cluster.mend(node.Name)
		}
	}
}

// recover holds liveness: pods run, then machines go, then nothing is written any more.
func (w *world) recover() {
	if !w.await("L1", servedWithin, w.waitingPods) {
		return
	}
	w.note("people", "nothing is wanted any more")
	for _, load := range w.cluster.workloads() {
		w.cluster.scale(load, 0)
	}
	for _, b := range listOf[policyv1.PodDisruptionBudget](w) {
		ignore(w.cluster.server.As("person").Delete(b, deleteNow))
	}
	if !w.await("L2", clearedWithin, w.surplus) || !w.liveOn() {
		return
	}
	w.callsOfLife = w.callsOf()
	if rest := lastsMin - time.Since(w.began); w.plan.length >= fullLength && rest > 0 {
		time.Sleep(rest)
	}
	w.quiet()
	w.judge.atEnd()
}

// liveOn has more machines come and go until enough were launched. It reports false when something is broken.
func (w *world) liveOn() bool {
	load := &workload{name: "more", milliCPU: 1400, memoryMi: 200, keep: -1}
	// Two fit most machines, and every group has room for ten that do not share one.
	pods, launched := min(10, 2*(w.plan.livesMin-w.cloud.sim.Truth().Counts.Deleted)), 0
	for round := 0; w.cloud.sim.Truth().Counts.Deleted < w.plan.livesMin; round++ {
		if round > w.plan.livesMin {
			w.fail("harness", "after %d rounds no more than %d machines came and went", round, w.cloud.sim.Truth().Counts.Deleted)
			return false
		}
		w.note("people", "more machines come and go")
		if round == 0 {
			w.cluster.add(load)
		}
		if now := w.cloud.sim.Truth().Counts.Launched; now == launched {
			pods += 2 // they fit what is kept since the last round
		} else {
			launched = now
		}
		w.cluster.scale(load, pods)
		if !w.await("L1", servedWithin, w.waitingPods) {
			return false
		}
		w.cluster.scale(load, 0)
		if !w.await("L2", clearedWithin, w.surplus) {
			return false
		}
	}
	return true
}

// minimum is how many machines are kept although nothing needs them.
func (w *world) minimum() int {
	n := 0
	for _, g := range listOf[v1beta1.NodeGroup](w) {
		n += int(g.Spec.MinNodes)
	}
	return n
}

// await waits until nothing is left to say, and fails with what is.
func (w *world) await(invariant string, limit time.Duration, left func() []string) bool {
	began := time.Now()
	for {
		time.Sleep(pollEvery)
		w.judge.lookAtIntents()
		if w.judge.broken() {
			return false
		}
		missing := left()
		if len(missing) == 0 {
			return true
		}
		if time.Since(began) > limit {
			w.fail(invariant, "%s after all faults were over: %s", time.Since(began).Round(time.Second), strings.Join(missing, "; "))
			return false
		}
	}
}

// waitingPods names the pods that could run and do not.
func (w *world) waitingPods() []string {
	var waiting []string
	for _, pod := range listOf[corev1.Pod](w) {
		if !strings.HasPrefix(pod.Name, "impossible-") && (pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil) {
			waiting = append(waiting, "pod "+pod.Name+" is "+string(pod.Status.Phase))
		}
	}
	return waiting
}

// surplus names the machines that are paid for and not wanted.
func (w *world) surplus() []string {
	reported := w.reportedOrphans()
	var alive []string
	for _, m := range w.cloud.sim.Truth().Machines {
		if !m.Foreign && m.State != "lost" && m.GoneAt.IsZero() && !reported[m.Identifier] {
			alive = append(alive, "machine "+m.Hostname+" is "+m.State)
		}
	}
	leaving := 0
	for _, n := range machines(w) {
		if n.DeletionTimestamp != nil || n.Spec.Retirement != nil {
			leaving++
		}
	}
	if len(alive) <= w.minimum() && leaving == 0 {
		return nil
	}
	return append(alive, fmt.Sprintf("the minimum is %d, %d leave", w.minimum(), leaving))
}

// quiet holds that a system with nothing to do does nothing: no write to Kubernetes, few calls to VPSie.
func (w *world) quiet() {
	began := time.Now()
	calls, before := 0, w.cloud.sim.Model().Calls().Total
	for {
		if w.judge.broken() {
			return
		}
		since := w.judge.quietSince()
		if time.Since(since) < pollEvery {
			before = w.cloud.sim.Model().Calls().Total
		}
		if time.Since(since) >= quietFor {
			calls = w.cloud.sim.Model().Calls().Total - before
			break
		}
		if time.Since(began) > quietAfter {
			w.fail("R10", "something is still written %s after the last machine went:\n\t%s", time.Since(began).Round(time.Second), strings.Join(w.judge.lastWrites(), "\n\t"))
			return
		}
		time.Sleep(pollEvery)
	}
	if calls > idlePerMinute*int(quietFor/time.Minute) {
		w.fail("economy", "%d calls to VPSie in %s with nothing to do", calls, quietFor)
	}
}

func (j *judge) quietSince() time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.busyAt
}

func (j *judge) lastWrites() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string{}, j.writes...)
}

func listOf[T any, P kubesim.Object[T]](w *world) []P {
	return kubesim.List[T, P](w.cluster.server, "")
}

func byPerson(m vpsiesim.Machine) bool {
	return m.HowDeleted == vpsiesim.DeletedInConsole || m.HowDeleted == vpsiesim.DeletedByVanishing
}
