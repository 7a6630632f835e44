package sim

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/bus/bustest"
	"github.com/vpsie/vpsie-autoscaler/libs/feed/feedtest"
	"github.com/vpsie/vpsie-autoscaler/libs/rpc/rpctest"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// world is one run: a cluster, a cloud, a bus, and the services between them.
type world struct {
	plan    plan
	folder  string
	cluster *cluster
	cloud   *cloud
	bus     *bustest.Memory
	bucket  *feedtest.Memory
	network *rpctest.Network
	judge   *judge
	log     *ring
	dies    atomic.Bool

	mu        sync.Mutex
	random    *rand.Rand
	processes int
	running   map[string][]*process
	ending    sync.WaitGroup
	// holders are the processes by the identity that they put into Leases; elected is who got a service's Lease last.
	holders   map[string]*process
	elected   map[string]*process
	electedAt map[string]time.Time
	// robbedAt is when somebody last deleted a service's Lease under its leader.
	robbedAt map[string]time.Time
	// replicas is how many processes a service is meant to have; held services are not started again.
	replicas map[string]int
	held     map[string]int
	// skew is how wrong the clock of a process is that starts now, by service.
	skew map[string]time.Duration
	// notBefore is when a service whose processes end soon after their start may be started again, patience how
	// long that wait was, as a kubelet waits longer each time.
	notBefore map[string]time.Time
	patience  map[string]time.Duration
	busFaults busFaults
	kube      kubeState
	down      bool // VPSie
	hits      map[string]int
	over      bool
	stopped   []*kubelet
	// began is when the run did.
	began time.Time
	// smallSince is when machines began to be smaller than their size says.
	smallSince time.Time
	// callsOfLife is result.CallsOf.
	callsOfLife map[string]int
	// token is what the credentials file holds.
	token string
}

func newWorld(p plan, folder string, log *ring) *world {
	w := &world{
		began: time.Now(),
		plan:  p, folder: folder, log: log, random: rand.New(rand.NewPCG(p.seed, 7)), running: map[string][]*process{},
		holders: map[string]*process{}, elected: map[string]*process{}, electedAt: map[string]time.Time{}, robbedAt: map[string]time.Time{},
		replicas: map[string]int{Observer: 1, Planner: 1, Provisioner: 1}, held: map[string]int{}, skew: map[string]time.Duration{}, notBefore: map[string]time.Time{}, patience: map[string]time.Duration{}, hits: map[string]int{},
		bus: bustest.NewMemory(), bucket: feedtest.NewMemory(), network: rpctest.NewNetwork(), token: vpsiesim.DefaultToken,
	}
	w.judge = newJudge(w)
	w.cluster = newCluster(w, rand.New(rand.NewPCG(p.seed, 8)))
	w.cloud = &cloud{world: w, spoiled: map[string]int{}, sim: vpsiesim.New(vpsiesim.Config{
		Switches: &p.switches, Seed: &p.catalogue, RandomSeed: p.seed, Booter: (*booter)(w.cluster),
	})}
	w.must(os.WriteFile(filepath.Join(folder, "token"), []byte(w.token), 0o600))
	return w
}

// must stops the run on an error of the harness itself.
func (w *world) must(err error) {
	if err != nil {
		w.fail("harness", "%v", err)
	}
}

// note writes a step of the run down.
func (w *world) note(who, format string, args ...any) { w.log.add(who, fmt.Sprintf(format, args...)) }

// hit counts that a fault did something.
func (w *world) hit(fault string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hits[fault]++
}

func (w *world) fail(invariant, format string, args ...any) { w.judge.fail(invariant, format, args...) }

func (w *world) cloudDown() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.down
}

func (w *world) apiDown() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.kube.down || w.kube.failures > 0 || w.kube.throttled > 0
}

// install makes the NodeGroups and starts the services.
func (w *world) install() {
	admin := w.cluster.server.As("admin")
	w.must(admin.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
	for i := range w.plan.groups {
		ignore(admin.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.plan.groups[i].Namespace}})) // most are there already
		w.must(admin.Create(w.plan.groups[i].DeepCopy()))
	}
	for _, load := range w.plan.loads {
		w.cluster.add(load)
	}
	for _, service := range []string{Observer, Provisioner, Planner} {
		w.start(service)
	}
}

// keep starts what should run and does not, as Deployments do, until done is closed.
func (w *world) keep(done <-chan struct{}) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		for _, service := range []string{Observer, Planner, Provisioner} {
			w.mu.Lock()
			missing := w.replicas[service] - len(w.running[service])
			if w.held[service] > 0 || time.Now().Before(w.notBefore[service]) {
				missing = 0
			}
			w.mu.Unlock()
			for range missing {
				w.start(service)
			}
		}
	}
}

// crashed and exited end a process that died by itself.
func (w *world) crashed(p *process) {
	w.note("process", "crash %s", p.name)
	w.end(p)
}

func (w *world) exited(p *process) {
	w.mu.Lock()
	over := w.over
	w.backOff(p)
	w.mu.Unlock()
	if !over {
		w.note("process", "exit %s", p.name)
		w.end(p)
	}
}

// backOff has a service wait that ended by itself, longer each time when that was soon. The caller holds the lock.
func (w *world) backOff(p *process) {
	if time.Since(p.started) > crashLoopAfter {
		w.patience[p.service] = 0
		return
	}
	w.patience[p.service] = min(max(time.Second, 2*w.patience[p.service]), crashLoopMax)
	w.notBefore[p.service] = time.Now().Add(w.patience[p.service])
}

const (
	crashLoopAfter = time.Minute
	crashLoopMax   = time.Minute
)

// one returns a running process of a service, nil when there is none.
func (w *world) one(service string) *process {
	if leader := w.leader(service); leader != nil && leader.gate.alive() == nil {
		return leader
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.running[service]) == 0 {
		return nil
	}
	return w.running[service][0]
}

// shutdown ends everything, so that no goroutine is left.
func (w *world) shutdown() {
	w.mu.Lock()
	w.over = true
	var all []*process
	for _, list := range w.running {
		all = append(all, list...)
	}
	w.mu.Unlock()
	for _, p := range all {
		p.gate.thaw()
		w.end(p)
	}
	w.ending.Wait()
	w.cloud.sim.Close()
	w.must(w.bus.Close())
}

func machines(w *world) []*v1beta1.VPSieNode { return listOf[v1beta1.VPSieNode](w) }

func keyOf(o client.Object) string { return o.GetNamespace() + "/" + o.GetName() }
