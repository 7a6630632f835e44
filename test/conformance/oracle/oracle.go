// Package oracle says where a pod may run in the words of kube-scheduler itself: it runs the PreFilter
// and Filter plugins of the release that go.mod names, with that release's default arguments and
// feature gates, and no scheduling loop around them.
package oracle

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"github.com/vpsie/vpsie-autoscaler/test/conformance/cluster"
)

// Verdict is a refusal: the plugin that keeps a pod from a node, and what it says. The zero value
// means that the pod fits.
type Verdict struct {
	Plugin  string
	Message string
}

// PreFilter stands for the plugins that name the nodes a pod may run on before any node is looked at.
const PreFilter = "PreFilter"

// OK reports whether no plugin refused.
func (v Verdict) OK() bool { return v == Verdict{} }

// Oracle judges one cluster at a time. It is not safe for concurrent use.
type Oracle struct {
	framework framework.Framework
	storage   *storage
	world     *world
	nodes     []*corev1.Node
	pods      []*corev1.Pod
	// reserved are the cycles of the pods with volumes that were admitted to each node.
	reserved map[string][]*cycle
}

// world is the snapshot that the plugins look at. They keep it from when they are made, so another
// snapshot is put into it rather than in its place.
type world struct{ *cache.Snapshot }

// New makes the plugins; the cluster is empty until Load. The plugins live until ctx ends.
func New(ctx context.Context) (*Oracle, error) {
	o := &Oracle{storage: newStorage(), world: &world{cache.NewEmptySnapshot()}}
	var err error
	if o.framework, err = newFramework(ctx, o.world, o.storage); err != nil {
		return nil, fmt.Errorf("make kube-scheduler's plugins: %w", err)
	}
	return o, nil
}

// Load forgets the cluster and takes in another one.
func (o *Oracle) Load(objects cluster.Objects) error {
	if err := o.storage.load(objects); err != nil {
		return err
	}
	o.nodes, o.reserved = slices.Clone(objects.Nodes), map[string][]*cycle{}
	o.pods = nil
	for _, pod := range objects.Pods {
		o.pods = append(o.pods, identified(pod))
	}
	o.snapshot()
	return nil
}

// snapshot tells the plugins about the present nodes and pods.
func (o *Oracle) snapshot() { o.world.Snapshot = cache.NewSnapshot(o.pods, o.nodes) }

// identified returns a pod that has a UID, by which the scheduler tells pods apart.
func identified(pod *corev1.Pod) *corev1.Pod {
	if pod.UID != "" {
		return pod
	}
	out := *pod
	out.UID = types.UID(pod.Namespace + "/" + pod.Name)
	return &out
}

// AddNode takes in a node without pods.
func (o *Oracle) AddNode(node *corev1.Node) {
	o.nodes = append(o.nodes, node)
	o.snapshot()
}

// RemoveNode takes out a node and the pods on it. Claims that the pods reserved for it are free again.
func (o *Oracle) RemoveNode(ctx context.Context, name string) {
	for _, c := range o.reserved[name] {
		o.framework.RunReservePluginsUnreserve(ctx, c.state, c.pod, name)
	}
	delete(o.reserved, name)
	o.nodes = slices.DeleteFunc(o.nodes, func(n *corev1.Node) bool { return n.Name == name })
	o.pods = slices.DeleteFunc(o.pods, func(p *corev1.Pod) bool { return p.Spec.NodeName == name })
	o.snapshot()
}

// Check judges a pod for each node, by the node's name.
func (o *Oracle) Check(ctx context.Context, pod *corev1.Pod) (map[string]Verdict, error) {
	c := o.begin(ctx, identified(pod))
	out := make(map[string]Verdict, len(o.nodes))
	for _, node := range o.nodes {
		verdict, err := c.filter(ctx, node.Name)
		if err != nil {
			return nil, err
		}
		out[node.Name] = verdict
	}
	return out, nil
}

// Admit judges a pod for one node and, where it fits, binds it there.
func (o *Oracle) Admit(ctx context.Context, pod *corev1.Pod, node string) (Verdict, error) {
	pod = identified(pod)
	c := o.begin(ctx, pod)
	verdict, err := c.filter(ctx, node)
	if err != nil || !verdict.OK() {
		return verdict, err
	}
	// Claims that wait for their first consumer belong to this node from now on.
	if status := o.framework.RunReservePluginsReserve(ctx, c.state, pod, node); !status.IsSuccess() {
		return Verdict{}, fmt.Errorf("reserve the volumes of pod %s/%s on node %q: %w", pod.Namespace, pod.Name, node, status.AsError())
	}
	bound := cluster.Bound(pod, node)
	info, err := framework.NewPodInfo(bound)
	if err != nil {
		return Verdict{}, fmt.Errorf("bind pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	o.pods = append(o.pods, bound)
	if len(pod.Spec.Volumes) > 0 {
		o.reserved[node] = append(o.reserved[node], c)
	}
	if err := o.world.AssumePod(info); err != nil {
		return Verdict{}, fmt.Errorf("bind pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return Verdict{}, nil
}

// cycle is what kube-scheduler does for one pod: PreFilter once, then Filter for a node at a time.
type cycle struct {
	*Oracle
	pod     *corev1.Pod
	state   fwk.CycleState
	result  *fwk.PreFilterResult
	refusal Verdict
}

func (o *Oracle) begin(ctx context.Context, pod *corev1.Pod) *cycle {
	c := &cycle{Oracle: o, pod: pod, state: framework.NewCycleState()}
	var status *fwk.Status
	c.result, status, _ = o.framework.RunPreFilterPlugins(ctx, c.state, pod)
	c.refusal = verdictOf(status)
	return c
}

func (c *cycle) filter(ctx context.Context, node string) (Verdict, error) {
	info, err := c.world.Get(node)
	if err != nil {
		return Verdict{}, fmt.Errorf("judge pod %s/%s: %w", c.pod.Namespace, c.pod.Name, err)
	}
	switch {
	case !c.refusal.OK():
		return c.refusal, nil
	case !c.result.AllNodes() && !c.result.NodeNames.Has(node):
		return Verdict{Plugin: PreFilter, Message: "the pod names other nodes"}, nil
	}
	return verdictOf(c.framework.RunFilterPlugins(ctx, c.state, c.pod, info)), nil
}

// verdictOf reads a status. An error is a refusal: the scheduler tries such a pod again later.
func verdictOf(status *fwk.Status) Verdict {
	if status.IsSuccess() {
		return Verdict{}
	}
	return Verdict{Plugin: status.Plugin(), Message: status.Message()}
}
