package scheduling

import (
	"iter"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// State is a cluster under simulation: pods can be placed and taken back, and nodes come and go, at a
// cost that depends on what changes and not on the size of the cluster. It is not safe for concurrent use.
//
// Its rules are kube-scheduler's (v1.37) Filter plugins NodeUnschedulable, TaintToleration, NodeAffinity,
// NodePorts, NodeResourcesFit, VolumeRestrictions, NodeVolumeLimits, VolumeBinding, VolumeZone,
// PodTopologySpread and InterPodAffinity.
type State struct {
	namespaces map[string]map[string]string
	resources  map[corev1.ResourceName]int
	nodes      []*nodeState
	items      []*Subject
	byID       map[ShapeID]*Subject
	topologies map[string]*topology
	counters   []*Counter
	counterOf  map[string]*Counter
	// spreads are the counters of topology spread constraints, and eligibilities the nodes that those look at.
	spreads       []*Counter
	eligibilities map[string]*eligibility
	owners        []ownedTerm
	// itemsAt, countersAt and ownersAt find by anchor what may concern each other.
	itemsAt              map[anchor][]*Subject
	countersAt, ownersAt anchored
	classKeys            map[string]bool
	classes              map[string]int32
	// users counts the pods that use a volume by its handle.
	users   map[string]int
	log     []change
	logging bool
}

// ownedTerm counts, for each domain, the pods that repel others by a term.
type ownedTerm struct {
	term    podTerm
	counter *Counter
}

type nodeState struct {
	*Node
	free  []int64
	class int32
	pods  []placed
	// ported lists the items on the node that take ports of it.
	ported  []*Subject
	handles map[string]int
	gone    bool
	object  *corev1.Node
}

type placed struct {
	item  *Subject
	count int32
}

const (
	// attachPrefix begins the names of resources that count the volumes of a CSI driver.
	attachPrefix = "attach/"
	// unlimited is a node's capacity for volumes of a CSI driver without an attach limit, and roomMax is the most pods that a node
	// can have room for: both exceed any actual count, and sums of them do not overflow.
	unlimited = int64(1) << 50
	roomMax   = int64(1) << 40
)

// NewState starts a simulation. The cluster is not changed by it.
func NewState(c Cluster) *State {
	s := &State{
		namespaces: c.Namespaces, resources: map[corev1.ResourceName]int{}, byID: map[ShapeID]*Subject{},
		topologies: map[string]*topology{}, counterOf: map[string]*Counter{}, classKeys: map[string]bool{}, classes: map[string]int32{},
		users: map[string]int{}, eligibilities: map[string]*eligibility{}, itemsAt: map[anchor][]*Subject{},
	}
	ids := make([]ShapeID, 0, len(c.Items))
	for id := range c.Items {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		s.Subject(c.Items[id])
	}
	for _, n := range c.Nodes {
		s.AddNode(n)
	}
	return s
}

func (s *State) resource(name corev1.ResourceName) int {
	index, known := s.resources[name]
	if known {
		return index
	}
	index = len(s.resources)
	s.resources[name] = index
	for _, n := range s.nodes {
		n.free = append(n.free, n.capacity(name))
	}
	return index
}

// capacity is how much of a resource the node has for pods at all.
func (n *nodeState) capacity(name corev1.ResourceName) int64 {
	if driver, attaches := strings.CutPrefix(string(name), attachPrefix); attaches {
		if limit, limited := n.AttachLimits[driver]; limited {
			return limit
		}
		return unlimited
	}
	return n.Allocatable[name] - n.Reserved[name]
}

// Len is the number of nodes ever added; nodes are named by their index.
func (s *State) Len() int { return len(s.nodes) }

// Node is a node as it was added. It must not be changed.
func (s *State) Node(node int) *Node { return s.nodes[node].Node }

// IsGone reports whether a node was removed.
func (s *State) IsGone(node int) bool { return s.nodes[node].gone }

// PodsOn lists what is on a node, with the number of pods, in the order in which it came. The node must not change meanwhile.
func (s *State) PodsOn(node int) iter.Seq2[*Subject, int] {
	return func(yield func(*Subject, int) bool) {
		for _, p := range s.nodes[node].pods {
			if !yield(p.item, int(p.count)) {
				return
			}
		}
	}
}

// Fullness is the larger of the shares of cpu and memory that are requested on a node.
func (s *State) Fullness(node int) float64 {
	n, full := s.nodes[node], 0.0
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if i, known := s.resources[name]; known && n.Allocatable[name] > 0 {
			full = max(full, 1-float64(n.free[i])/float64(n.Allocatable[name]))
		}
	}
	return full
}

// NodeName is the name of a node.
func (s *State) NodeName(node int) string { return s.nodes[node].Name }

// AddNode takes a node and its pods in, and returns its index.
func (s *State) AddNode(n *Node) int {
	index := len(s.nodes)
	node := &nodeState{Node: n, free: make([]int64, len(s.resources))}
	for name, i := range s.resources {
		node.free[i] = node.capacity(name)
	}
	node.class = s.classOf(node)
	s.nodes = append(s.nodes, node)
	for _, t := range s.topologies {
		t.add(n.Labels)
	}
	for _, e := range s.eligibilities {
		e.of = append(e.of, e.admits(node))
	}
	for _, c := range s.spreads {
		c.admitNode(index, 1)
	}
	s.record(change{kind: changeAdd, node: index})
	ids := make([]ShapeID, 0, len(n.Pods))
	for id := range n.Pods {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if is := s.byID[id]; is != nil {
			s.Put(is, index, int32(n.Pods[id]))
		}
	}
	for _, item := range n.Expected {
		s.Put(s.Subject(item), index, 1)
	}
	return index
}

// RemoveNode takes a node out, with the pods on it.
func (s *State) RemoveNode(node int) {
	n := s.nodes[node]
	for len(n.pods) > 0 {
		p := n.pods[len(n.pods)-1]
		s.Put(p.item, node, -p.count)
	}
	s.withdraw(node)
	s.record(change{kind: changeRemove, node: node})
}

func (s *State) withdraw(node int) {
	s.nodes[node].gone = true
	for _, c := range s.spreads {
		c.admitNode(node, -1)
	}
}

// forget drops the node that was added last.
func (s *State) forget() {
	last := len(s.nodes) - 1
	s.nodes = s.nodes[:last]
	for _, t := range s.topologies {
		t.of = t.of[:last]
	}
	for _, e := range s.eligibilities {
		e.of = e.of[:last]
	}
}

func (s *State) restore(node int) {
	s.nodes[node].gone = false
	for _, c := range s.spreads {
		c.admitNode(node, 1)
	}
}

// Count is the number of pods of an item on a node.
func (s *State) Count(item *Item, node int) int { return s.podsOf(item.ID, node) }

// podsOf counts the pods of a shape on a node.
func (s *State) podsOf(id ShapeID, node int) int {
	for _, p := range s.nodes[node].pods {
		if p.item.ID == id {
			return int(p.count)
		}
	}
	return 0
}

// FillInTurn puts up to n pods of a subject on nodes, as many as its rules allow, in passes, since a pod in one topology domain can
// make room for one in another. It calls placed, which may be nil, for each node that took some, and returns how many pods found no
// place.
func (s *State) FillInTurn(is *Subject, nodes []int, n int, placed func(node, count int)) int {
	for progress := true; progress && n > 0; {
		progress = false
		for _, node := range nodes {
			if n == 0 {
				break
			}
			if put := s.Fill(is, node, n); put > 0 {
				if placed != nil {
					placed(node, put)
				}
				n -= put
				progress = !is.IsFree()
			}
		}
	}
	return n
}

// Place puts n pods of an item on a node without judging; a negative n takes them back.
func (s *State) Place(item *Item, node, n int) { s.Put(s.Subject(item), node, int32(n)) }

// PlaceUpTo puts up to n pods of an item on a node, as many as its rules allow, and returns how many.
func (s *State) PlaceUpTo(item *Item, node, n int) int { return s.Fill(s.Subject(item), node, n) }

// Fill is PlaceUpTo for a subject.
func (s *State) Fill(is *Subject, node, n int) int {
	if is.IsFree() {
		if s.Judge(is, node) != ruleNone {
			return 0
		}
		n = min(n, s.nodes[node].room(is))
		s.Put(is, node, int32(n))
		return n
	}
	for i := range n {
		if s.Judge(is, node) != ruleNone {
			return i
		}
		s.Put(is, node, 1)
	}
	return n
}

// room is how many pods of a subject the free resources of a node hold.
func (n *nodeState) room(is *Subject) int {
	room := roomMax
	for _, need := range is.needs {
		room = min(room, max(n.free[need.Resource], 0)/need.Amount)
	}
	return int(room)
}

// Put is Place for a subject.
func (s *State) Put(is *Subject, node int, n int32) {
	if n == 0 {
		return
	}
	s.observe(is)
	target := s.nodes[node]
	for _, need := range is.needs {
		target.free[need.Resource] -= need.Amount * int64(n)
	}
	target.count(is, n)
	for _, c := range is.counted {
		c.add(node, n)
	}
	for _, v := range is.handles {
		s.attach(target, v, int(n))
	}
	s.record(change{kind: changePut, node: node, item: is, count: n})
}

func (n *nodeState) count(is *Subject, by int32) {
	i := slices.IndexFunc(n.pods, func(p placed) bool { return p.item == is })
	if i < 0 {
		n.pods = append(n.pods, placed{is, 0})
		i = len(n.pods) - 1
		if len(is.Shape.HostPorts) > 0 {
			n.ported = append(n.ported, is)
		}
	}
	if n.pods[i].count += by; n.pods[i].count == 0 {
		n.pods = slices.Delete(n.pods, i, i+1)
		n.ported = slices.DeleteFunc(n.ported, func(p *Subject) bool { return p == is })
	}
}

func (s *State) attach(n *nodeState, v sharedVolume, pods int) {
	if n.handles == nil {
		n.handles = map[string]int{}
	}
	before := n.handles[v.handle]
	n.handles[v.handle] = before + pods
	s.users[v.handle] += pods
	if v.resource == absent {
		return
	}
	if before == 0 {
		n.free[v.resource]--
	} else if before+pods == 0 {
		n.free[v.resource]++
	}
}

func (n *nodeState) kubeNode() *corev1.Node {
	if n.object == nil {
		n.object = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: n.Labels}}
	}
	return n.object
}
