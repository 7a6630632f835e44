// Package app turns pods and nodes into pressure: shapes and counts, written to the feed.
package app

import (
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// arrivingMax is how long a pod that the scheduler has not looked at counts as arriving; longer
// means that its scheduler does not run, and nobody should wait for it.
const arrivingMax = 30 * time.Second

type podState int

const (
	podIgnored podState = iota
	podBound
	podPending
	podArriving
)

// rolloutMax is how long after a ReplicaSet's size changed its missing pods count as arriving;
// longer means that something, such as a quota, keeps them from being made.
const rolloutMax = 5 * time.Second

// How long after a failure of a watch the ledger counts as behind. A watch that keeps failing is tried
// again at growing intervals, each at most four times the one before.
const (
	troubleMin    = 3 * time.Second
	troubleMax    = 75 * time.Second
	troubleGrowth = 4
)

// podEntry is what is kept of a pod.
type podEntry struct {
	state podState
	shape scheduling.ShapeID
	node  string
	since time.Time
	owner types.UID
	ref   feed.PodReference
}

// rollout is how many pods a ReplicaSet wants, and since when.
type rollout struct {
	replicas int
	since    time.Time
}

type shapeEntry struct {
	record *feedv1.Shape
	uses   int
}

type budgetEntry struct {
	namespace string
	selector  labels.Selector
	allowed   int
}

// Ledger is the cluster in shapes and counts. Its methods are safe for concurrent use.
type Ledger struct {
	mu         sync.Mutex
	pods       map[types.UID]podEntry
	nodes      map[string]*feed.Node
	onNode     map[string]map[scheduling.ShapeID]int
	shapes     map[scheduling.ShapeID]*shapeEntry
	daemonSets map[string]scheduling.ShapeID
	budgets    map[string]budgetEntry
	traces     map[scheduling.ShapeID]string
	rollouts   map[types.UID]rollout
	owned      map[types.UID]int
	trouble    string
	troubledAt time.Time
	behind     time.Time
	dirty      chan struct{}
}

// NewLedger returns an empty ledger.
func NewLedger() *Ledger {
	return &Ledger{
		pods: map[types.UID]podEntry{}, nodes: map[string]*feed.Node{}, onNode: map[string]map[scheduling.ShapeID]int{},
		shapes: map[scheduling.ShapeID]*shapeEntry{}, daemonSets: map[string]scheduling.ShapeID{},
		budgets: map[string]budgetEntry{}, traces: map[scheduling.ShapeID]string{},
		rollouts: map[types.UID]rollout{}, owned: map[types.UID]int{}, dirty: make(chan struct{}, 1),
	}
}

// Troubled says that a watch of the cluster failed at now, so that what the ledger holds may be behind.
func (l *Ledger) Troubled(err error, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wait := min(troubleGrowth*now.Sub(l.troubledAt), troubleMax)
	if l.troubledAt.IsZero() || now.Sub(l.troubledAt) > troubleMax {
		wait = 0
	}
	l.trouble, l.troubledAt = err.Error(), now
	if until := now.Add(wait + troubleMin); until.After(l.behind) {
		l.behind = until
	}
}

// Dirty receives after a change; many changes may be one receipt.
func (l *Ledger) Dirty() <-chan struct{} { return l.dirty }

func (l *Ledger) touch() {
	select {
	case l.dirty <- struct{}{}:
	default:
	}
}

// SetPod takes the newest version of a pod.
func (l *Ledger) SetPod(pod *corev1.Pod) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry := podEntry{state: stateOf(pod)}
	if entry.state == podIgnored {
		l.drop(pod.UID)
		return nil
	}
	shape := scheduling.ShapeOf(pod, l.budgetsOf(pod))
	id, record, err := feed.EncodeShape(&shape)
	if err != nil {
		return err
	}
	entry.shape, entry.node, entry.since = id, pod.Spec.NodeName, pendingSince(pod)
	if owner := metav1.GetControllerOf(pod); owner != nil {
		entry.owner = owner.UID
	}
	entry.ref = feed.PodReference{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)}
	if entry == l.pods[pod.UID] {
		return nil
	}
	l.use(id, record)
	l.drop(pod.UID)
	l.pods[pod.UID] = entry
	l.owned[entry.owner]++
	if entry.state == podBound {
		counts := l.onNode[entry.node]
		if counts == nil {
			counts = map[scheduling.ShapeID]int{}
			l.onNode[entry.node] = counts
		}
		counts[id]++
	}
	l.touch()
	return nil
}

// DeletePod forgets a pod.
func (l *Ledger) DeletePod(uid types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(uid)
}

func (l *Ledger) drop(uid types.UID) {
	entry, ok := l.pods[uid]
	if !ok {
		return
	}
	delete(l.pods, uid)
	if l.owned[entry.owner]--; l.owned[entry.owner] == 0 {
		delete(l.owned, entry.owner)
	}
	if counts := l.onNode[entry.node]; entry.state == podBound {
		if counts[entry.shape]--; counts[entry.shape] == 0 {
			delete(counts, entry.shape)
		}
		if len(counts) == 0 {
			delete(l.onNode, entry.node)
		}
	}
	l.release(entry.shape)
	l.touch()
}

func (l *Ledger) use(id scheduling.ShapeID, record *feedv1.Shape) {
	if l.shapes[id] == nil {
		l.shapes[id] = &shapeEntry{record: record}
	}
	l.shapes[id].uses++
}

func (l *Ledger) release(id scheduling.ShapeID) {
	entry := l.shapes[id]
	if entry == nil {
		return
	}
	if entry.uses--; entry.uses <= 0 {
		delete(l.shapes, id)
	}
}

// SetReplicaSet takes the newest version of a ReplicaSet, as seen at now.
func (l *Ledger) SetReplicaSet(set *appsv1.ReplicaSet, now time.Time) {
	replicas := 1
	if set.Spec.Replicas != nil {
		replicas = int(*set.Spec.Replicas)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if old, known := l.rollouts[set.UID]; known && old.replicas == replicas {
		return
	}
	if replicas == 0 {
		delete(l.rollouts, set.UID) // most ReplicaSets are the past of a Deployment
		return
	}
	l.rollouts[set.UID] = rollout{replicas: replicas, since: now}
	l.touch()
}

// DeleteReplicaSet forgets a ReplicaSet.
func (l *Ledger) DeleteReplicaSet(uid types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.rollouts, uid)
}

// SetNode takes the newest version of a node.
func (l *Ledger) SetNode(node *corev1.Node) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nodes[node.Name] = &feed.Node{
		Name: node.Name, Labels: node.Labels, Taints: node.Spec.Taints,
		Allocatable:   scheduling.ResourcesOf(node.Status.Allocatable),
		Unschedulable: node.Spec.Unschedulable, Ready: isReady(node),
		CordonedByUs: node.Annotations[v1beta1.AnnotationCordoned] != "",
		Protection:   scheduling.NodeProtection(node), CreatedAt: node.CreationTimestamp.Time,
	}
	l.touch()
}

// DeleteNode forgets a node.
func (l *Ledger) DeleteNode(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.nodes, name)
	l.touch()
}

// SetDaemonSet takes the newest version of a DaemonSet.
func (l *Ledger) SetDaemonSet(set *appsv1.DaemonSet) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	shape := scheduling.ShapeOf(daemonPod(set), nil)
	id, record, err := feed.EncodeShape(&shape)
	if err != nil {
		return err
	}
	name := set.Namespace + "/" + set.Name
	if l.daemonSets[name] == id {
		return nil
	}
	l.use(id, record)
	l.release(l.daemonSets[name])
	l.daemonSets[name] = id
	l.touch()
	return nil
}

// DeleteDaemonSet forgets a DaemonSet.
func (l *Ledger) DeleteDaemonSet(namespacedName string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.release(l.daemonSets[namespacedName])
	delete(l.daemonSets, namespacedName)
	l.touch()
}

// SetBudget takes the newest version of a PodDisruptionBudget. It reports whether the pods of its
// namespace must be given again because the budget may cover others than before.
func (l *Ledger) SetBudget(pdb *policyv1.PodDisruptionBudget) (bool, error) {
	selector, err := metav1.LabelSelectorAsSelector(pdb.Spec.Selector)
	if err != nil {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	name := pdb.Namespace + "/" + pdb.Name
	old, known := l.budgets[name]
	l.budgets[name] = budgetEntry{namespace: pdb.Namespace, selector: selector, allowed: int(pdb.Status.DisruptionsAllowed)}
	l.touch()
	return !known || old.selector.String() != selector.String(), nil
}

// DeleteBudget forgets a PodDisruptionBudget; the pods of its namespace must be given again.
func (l *Ledger) DeleteBudget(namespacedName string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.budgets, namespacedName)
	l.touch()
}

func (l *Ledger) budgetsOf(pod *corev1.Pod) []string {
	var names []string
	for name, budget := range l.budgets {
		if budget.namespace == pod.Namespace && budget.selector.Matches(labels.Set(pod.Labels)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
