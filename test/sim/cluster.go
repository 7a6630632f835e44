package sim

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

// reactAfter is how long the cluster's controllers take to see a change.
const reactAfter = 20 * time.Millisecond

// cluster is a Kubernetes cluster: an API server, and what else makes pods and Nodes live and die. All of
// its controllers are one goroutine, which takes one look after another.
type cluster struct {
	server *kubesim.Server
	world  *world
	random *rand.Rand
	wake   chan struct{}

	mu       sync.Mutex
	kubelets map[string]*kubelet
	clients  map[string]*process
	loads    []*workload
	// lateBinding is how long the scheduler goes on to believe that a Node has no new taints.
	lateBinding time.Duration
	// heedless says that the scheduler knows nothing of nominations.
	heedless bool
	// stuck pods are told to end and do not.
	stuckPods bool
	// neverReady says that kubelets that register from now on may never work.
	neverReady bool
	tainted    map[string]time.Time

	pressureMu sync.Mutex
	pressure   map[types.UID]time.Time
	feedLag    time.Duration // how old the pods may be that the planner sees
}

// workloads returns every workload there is.
func (c *cluster) workloads() []*workload {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.loads)
}

func newCluster(w *world, random *rand.Rand) *cluster {
	c := &cluster{
		world: w, random: random, wake: make(chan struct{}, 1), kubelets: map[string]*kubelet{}, clients: map[string]*process{},
		tainted: map[string]time.Time{}, pressure: map[types.UID]time.Time{},
	}
	c.server = kubesim.New(kubesim.Config{Faults: (*kubeFaults)(w)})
	c.server.Observe(func(change kubesim.Change) {
		if change.Request.Resource.Resource == "leases" {
			w.noteHolder(change)
			return
		}
		w.judge.onChange(change)
		switch change.Request.Resource.Resource {
		case "pods", "nodes", "poddisruptionbudgets":
			c.poke()
		}
	})
	return c
}

func (c *cluster) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run lets the cluster live until done is closed.
func (c *cluster) run(done <-chan struct{}) {
	timer := time.NewTimer(c.world.plan.lookEvery)
	defer timer.Stop()
	for {
		select {
		case <-done:
			return
		case <-c.wake:
			time.Sleep(reactAfter)
		case <-timer.C:
		}
		c.look()
		timer.Reset(c.world.plan.lookEvery)
	}
}

func (c *cluster) look() {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	pods := kubesim.List[corev1.Pod](c.server, "")
	c.runKubelets(pods, now)
	c.controlNodes(pods, now)
	c.control(pods)
	c.schedule(now)
	c.budget()
}

func (w *world) noteHolder(change kubesim.Change) {
	lease, ok := change.New.(*coordinationv1.Lease)
	if !ok || lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.cluster.clients[change.Request.Client]
	if p == nil {
		return
	}
	w.holders[*lease.Spec.HolderIdentity] = p
	if w.elected[p.service] != p {
		w.elected[p.service] = p
		w.electedAt[p.service] = time.Now()
	}
}

func isReady(n *corev1.Node) bool {
	for _, condition := range n.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

func isOver(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

func ignore(error) {}

// clientIs selects the requests of one process.
func clientIs(name string) func(kubesim.Request) bool {
	return func(r kubesim.Request) bool { return r.Client == name }
}

var deleteNow = metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}
