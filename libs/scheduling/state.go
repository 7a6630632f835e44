package scheduling

import (
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
	items      []*itemState
	byID       map[ShapeID]*itemState
	topologies map[string]*topology
	counters   []*counter
	counterOf  map[string]*counter
	owners     []ownedTerm
	// itemsAt, countersAt and ownersAt find by anchor what may concern each other.
	itemsAt              map[anchor][]*itemState
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
	counter *counter
}

type nodeState struct {
	*Node
	free  []int64
	class int32
	pods  []placed
	// ported lists the items on the node that take ports of it.
	ported  []*itemState
	handles map[string]int
	gone    bool
	object  *corev1.Node
}

type placed struct {
	item  *itemState
	count int32
}

// itemState is an item as one State sees it.
type itemState struct {
	*Item
	needs []need
	// admitted caches, by class of node, whether labels and taints admit the item.
	admitted []rule
	compiled bool
	affinity []*counter
	anti     []*counter
	spreads  []*counter
	// selfSpread says of each spread constraint whether it counts the item's own pods.
	selfSpread []bool
	selfAffine bool
	// counted are the counters that a pod of the item adds to, and repelledBy those that keep it away;
	// they cover the counters and owners seen so far.
	counted     []*counter
	repelledBy  []*counter
	seen, owned int
	anchors     []anchor
	handles     []sharedVolume
	sited       *Item
	// weight is the size of a pod, and perNode how many the item's own rules allow on a new node at most.
	weight  int64
	perNode int
}

type need struct {
	resource int
	amount   int64
}

type sharedVolume struct {
	handle    string
	exclusive bool
	waits     bool
	resource  int // of the driver's attachments, absent where nobody counts them
}

const (
	attachPrefix = "attach/"
	unlimited    = int64(1) << 50
)

// NewState starts a simulation. The cluster is not changed by it.
func NewState(c Cluster) *State {
	s := &State{
		namespaces: c.Namespaces, resources: map[corev1.ResourceName]int{}, byID: map[ShapeID]*itemState{},
		topologies: map[string]*topology{}, counterOf: map[string]*counter{}, classKeys: map[string]bool{}, classes: map[string]int32{},
		users: map[string]int{}, itemsAt: map[anchor][]*itemState{},
	}
	ids := make([]ShapeID, 0, len(c.Items))
	for id := range c.Items {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		s.know(c.Items[id])
	}
	for _, n := range c.Nodes {
		s.AddNode(n)
	}
	return s
}

// know returns the state's view of an item.
func (s *State) know(item *Item) *itemState {
	if is := s.byID[item.ID]; is != nil {
		return is
	}
	is := &itemState{Item: item, weight: max(weigh(item.Shape.Requests), 1), perNode: perNodeMax(item)}
	names := make([]string, 0, len(item.Shape.Requests))
	for name := range item.Shape.Requests {
		names = append(names, string(name))
	}
	slices.Sort(names)
	for _, name := range names {
		if amount := item.Shape.Requests[corev1.ResourceName(name)]; amount > 0 {
			is.needs = append(is.needs, need{s.resource(corev1.ResourceName(name)), amount})
		}
	}
	is.addVolumes(s)
	s.byID[item.ID] = is
	s.items = append(s.items, is)
	is.anchors = item.anchors()
	for _, at := range is.anchors {
		s.itemsAt[at] = append(s.itemsAt[at], is)
	}
	for _, key := range item.nodeLabels {
		if !s.classKeys[key] {
			s.classKeys[key] = true
			s.reclassify()
		}
	}
	for _, t := range item.repels {
		s.own(t, is)
	}
	return is
}

func (is *itemState) addVolumes(s *State) {
	attach := map[int]int64{}
	var order []int
	for _, v := range is.Shape.Volumes {
		index := absent
		if v.Driver != "" {
			index = s.resource(corev1.ResourceName(attachPrefix + v.Driver))
		}
		switch {
		case v.Handle != "":
			is.handles = append(is.handles, sharedVolume{v.Driver + "^" + v.Handle, v.Exclusive, v.Waits, index})
		case index != absent:
			if attach[index] == 0 {
				order = append(order, index)
			}
			attach[index]++
		}
	}
	for _, index := range order {
		is.needs = append(is.needs, need{index, attach[index]})
	}
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
	for _, c := range s.counters {
		if c.spread != nil {
			c.spread.eligible = append(c.spread.eligible, c.spread.admits(node))
			c.admitNode(index, 1)
		}
	}
	s.record(change{kind: changeAdd, node: index})
	ids := make([]ShapeID, 0, len(n.Pods))
	for id := range n.Pods {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if is := s.byID[id]; is != nil {
			s.put(is, index, int32(n.Pods[id]))
		}
	}
	for _, item := range n.Expected {
		s.put(s.know(item), index, 1)
	}
	return index
}

// RemoveNode takes a node out, with the pods on it.
func (s *State) RemoveNode(node int) {
	n := s.nodes[node]
	for len(n.pods) > 0 {
		p := n.pods[len(n.pods)-1]
		s.put(p.item, node, -p.count)
	}
	s.withdraw(node)
	s.record(change{kind: changeRemove, node: node})
}

func (s *State) withdraw(node int) {
	s.nodes[node].gone = true
	for _, c := range s.counters {
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
	for _, c := range s.counters {
		if c.spread != nil {
			c.spread.eligible = c.spread.eligible[:last]
		}
	}
}

func (s *State) restore(node int) {
	s.nodes[node].gone = false
	for _, c := range s.counters {
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

// Place puts n pods of an item on a node without judging; a negative n takes them back.
func (s *State) Place(item *Item, node, n int) { s.put(s.know(item), node, int32(n)) }

// PlaceUpTo puts up to n pods of an item on a node, as many as its rules allow, and returns how many.
func (s *State) PlaceUpTo(item *Item, node, n int) int { return s.fill(s.know(item), node, n) }

func (s *State) fill(is *itemState, node, n int) int {
	if is.isFree() {
		if s.judge(is, node) != ruleNone {
			return 0
		}
		n = min(n, s.room(is, node))
		s.put(is, node, int32(n))
		return n
	}
	for i := range n {
		if s.judge(is, node) != ruleNone {
			return i
		}
		s.put(is, node, 1)
	}
	return n
}

// room is how many pods of an item the free resources of a node hold.
func (s *State) room(is *itemState, node int) int {
	room := int64(1) << 40
	free := s.nodes[node].free
	for _, need := range is.needs {
		room = min(room, max(free[need.resource], 0)/need.amount)
	}
	return int(room)
}

func (s *State) put(is *itemState, node int, n int32) {
	if n == 0 {
		return
	}
	s.observe(is)
	target := s.nodes[node]
	for _, need := range is.needs {
		target.free[need.resource] -= need.amount * int64(n)
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

func (n *nodeState) count(is *itemState, by int32) {
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
		n.ported = slices.DeleteFunc(n.ported, func(p *itemState) bool { return p == is })
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
