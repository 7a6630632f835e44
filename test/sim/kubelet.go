package sim

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

const (
	podStartAfter = time.Second
	podEndAfter   = 2 * time.Second
	foreignTaint  = "example.com/somebody-else"
)

// kubelet is a machine's agent in the cluster.
type kubelet struct {
	machine vpsiesim.Machine
	readyAt time.Time
	// deadSince is since when it is silent: stopped with its machine, or cut off.
	deadSince time.Time
	// neverReady says that it registers and does not work.
	neverReady bool
	gone       bool // with its machine
}

func (k *kubelet) isAlive() bool { return k.deadSince.IsZero() }

// booter connects VPSie's machines with the cluster.
type booter cluster

var _ vpsiesim.Booter = (*booter)(nil)

// Boot registers a machine's Node.
func (b *booter) Boot(_ context.Context, m vpsiesim.Machine) error {
	c := (*cluster)(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	k := &kubelet{machine: m, readyAt: time.Now().Add(c.between(time.Second, 10*time.Second)), neverReady: c.neverReady && c.random.IntN(2) == 0}
	if m.Foreign {
		k.readyAt = time.Now()
	}
	c.kubelets[m.NodeName()] = k
	return c.register(k)
}

func (c *cluster) register(k *kubelet) error {
	node := vpsiesim.NodeOf(k.machine)
	if k.machine.Foreign && k.machine.RequestedBy != "" {
		// Somebody added it for something of their own.
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: foreignTaint, Effect: corev1.TaintEffectNoSchedule})
	}
	err := c.server.As("kubelet").Create(node)
	if err == nil {
		err = c.server.As("kubelet").UpdateStatus(withStatus(node, vpsiesim.NodeOf(k.machine).Status))
	}
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	c.poke()
	return err
}

func withStatus(n *corev1.Node, status corev1.NodeStatus) *corev1.Node {
	n.Status = status
	return n
}

// Halt stops a machine's kubelet.
func (b *booter) Halt(_ context.Context, m vpsiesim.Machine) error {
	c := (*cluster)(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.kubelets[m.NodeName()]; k != nil && k.machine.Identifier == m.Identifier {
		k.gone = true
		if k.isAlive() {
			k.deadSince = time.Now()
		}
	}
	return nil
}

// PodsOn counts the pods that die with a machine.
func (b *booter) PodsOn(_ context.Context, hostname string) (int, error) {
	c := (*cluster)(b)
	n := 0
	for _, pod := range kubesim.List[corev1.Pod](c.server, "") {
		if pod.Spec.NodeName == hostname && !isOver(pod) && pod.DeletionTimestamp == nil {
			n++
		}
	}
	return n, nil
}

func (c *cluster) between(low, high time.Duration) time.Duration {
	return low + time.Duration(c.random.Int64N(int64(high-low)))
}

// runKubelets starts and ends pods where a kubelet works.
func (c *cluster) runKubelets(pods []*corev1.Pod, now time.Time) {
	for _, pod := range pods {
		k := c.kubelets[pod.Spec.NodeName]
		if k == nil || !k.isAlive() {
			continue
		}
		switch {
		case pod.DeletionTimestamp != nil:
			// The timestamp is when the grace period ends; pods here end sooner.
			asked := pod.DeletionTimestamp.Add(-time.Duration(grace(pod)) * time.Second)
			if !c.stuckPods && now.Sub(asked) >= podEndAfter || now.After(pod.DeletionTimestamp.Time) {
				ignore(c.server.As("kubelet").Delete(pod, deleteNow))
			} else {
				c.later(podEndAfter)
			}
		case pod.Status.Phase == corev1.PodPending && !k.neverReady && !now.Before(k.readyAt):
			c.startPod(pod, now)
		}
	}
}

func grace(pod *corev1.Pod) int64 {
	if pod.DeletionGracePeriodSeconds == nil {
		return 0
	}
	return *pod.DeletionGracePeriodSeconds
}

func (c *cluster) startPod(pod *corev1.Pod, now time.Time) {
	running := pod.DeepCopy()
	running.Status.Phase = corev1.PodRunning
	running.Status.StartTime = new(metav1.NewTime(now))
	running.Status.Conditions = append(running.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now),
	})
	ignore(c.server.As("kubelet").UpdateStatus(running))
}

// later has the cluster look again after d although nothing changes.
func (c *cluster) later(d time.Duration) { time.AfterFunc(d, c.poke) }
