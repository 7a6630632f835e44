package scheduling

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2" //nolint:depguard // ToleratesTaint asks for a logger, and gets one that writes nowhere
)

// rule is what keeps a pod from a node.
type rule uint8

// The rules, in the order in which they are judged. ruleUnknown is a judgement not made yet.
const (
	ruleUnknown rule = iota
	ruleNone
	ruleProblem
	ruleGone
	ruleUnschedulable
	ruleTaint
	ruleNodeAffinity
	ruleVolumeTopology
	ruleHostPort
	ruleResources
	ruleAttachLimit
	ruleExclusiveVolume
	ruleTopologySpread
	rulePodAffinity
	ruleAntiAffinity
	ruleRepelled
)

// judge says which rule keeps one more pod of an item from a node; ruleNone when none does.
func (s *State) judge(is *itemState, node int) rule {
	n := s.nodes[node]
	switch {
	case is.problem.Code != "":
		return ruleProblem
	case n.gone:
		return ruleGone
	}
	if r := s.admits(is, n); r != ruleNone {
		return r
	}
	for _, need := range is.needs {
		if need.amount > n.free[need.resource] {
			return ruleResources
		}
	}
	if is.isFree() && s.hasNoOwners() {
		return ruleNone
	}
	return s.judgeOthers(is, n, node)
}

func (s *State) hasNoOwners() bool { return len(s.owners) == 0 }

// judgeOthers judges what depends on other pods.
func (s *State) judgeOthers(is *itemState, n *nodeState, node int) rule {
	for _, other := range n.ported {
		if conflict(is.Shape.HostPorts, other.Shape.HostPorts) {
			return ruleHostPort
		}
	}
	if r := s.judgeVolumes(is, n); r != ruleNone {
		return r
	}
	s.compile(is)
	s.observe(is)
	for i, c := range is.spreads {
		domain, t := c.topology.of[node], &is.spread[i]
		if domain == absent {
			return ruleTopologySpread
		}
		skew := c.at(domain) - c.spread.minimum(t.MinDomains)
		if is.selfSpread[i] {
			skew++
		}
		if skew > t.MaxSkew {
			return ruleTopologySpread
		}
	}
	for _, c := range is.repelledBy {
		if c.at(c.topology.of[node]) > 0 {
			return ruleRepelled
		}
	}
	for _, c := range is.anti {
		if c.at(c.topology.of[node]) > 0 {
			return ruleAntiAffinity
		}
	}
	return s.judgeAffinity(is, node)
}

// judgeAffinity wants, for each term, a pod that matches all terms in the node's domain; or none such in
// the cluster and a pod that matches its own terms, which is then the first.
func (s *State) judgeAffinity(is *itemState, node int) rule {
	met, exists := true, false
	for _, c := range is.affinity {
		domain := c.topology.of[node]
		if domain == absent {
			return rulePodAffinity
		}
		met = met && c.at(domain) > 0
		exists = exists || c.total > 0
	}
	if met || !exists && is.selfAffine {
		return ruleNone
	}
	return rulePodAffinity
}

func (s *State) judgeVolumes(is *itemState, n *nodeState) rule {
	var fresh [4]need
	more := fresh[:0]
	for i, v := range is.handles {
		if v.exclusive && s.users[v.handle] > 0 {
			return ruleExclusiveVolume
		}
		if v.waits && s.users[v.handle] > n.handles[v.handle] {
			return ruleVolumeTopology
		}
		if v.resource == absent || n.handles[v.handle] > 0 || slices.ContainsFunc(is.handles[:i], func(o sharedVolume) bool { return o.handle == v.handle }) {
			continue
		}
		j := slices.IndexFunc(more, func(o need) bool { return o.resource == v.resource })
		if j < 0 {
			more = append(more, need{v.resource, 0})
			j = len(more) - 1
		}
		more[j].amount++
	}
	for _, m := range more {
		for _, need := range is.needs {
			if need.resource == m.resource {
				m.amount += need.amount
			}
		}
		if m.amount > n.free[m.resource] {
			return ruleAttachLimit
		}
	}
	return ruleNone
}

// admits judges what depends on the node and the item alone, once for each class of nodes.
func (s *State) admits(is *itemState, n *nodeState) rule {
	if is.byName {
		return s.judgeNode(is, n)
	}
	for int(n.class) >= len(is.admitted) {
		is.admitted = append(is.admitted, ruleUnknown)
	}
	if is.admitted[n.class] == ruleUnknown {
		is.admitted[n.class] = s.judgeNode(is, n)
	}
	return is.admitted[n.class]
}

func (s *State) judgeNode(is *itemState, n *nodeState) rule {
	if n.Unschedulable && !tolerated(is.Shape.Tolerations, &unschedulableTaint) {
		return ruleUnschedulable
	}
	if _, found := untolerated(n.Taints, is.Shape.Tolerations); found {
		return ruleTaint
	}
	if match, err := is.Item.affinity.Match(n.kubeNode()); err != nil || !match {
		return ruleNodeAffinity
	}
	for _, t := range is.topologies {
		if !t.Match(n.kubeNode()) {
			return ruleVolumeTopology
		}
	}
	return ruleNone
}

// classOf numbers the nodes that no item can tell apart by labels and taints.
func (s *State) classOf(n *nodeState) int32 {
	var b strings.Builder
	for _, key := range slices.Sorted(mapKeys(s.classKeys)) {
		if value, found := n.Labels[key]; found {
			b.WriteString(key + "=" + value + ";")
		}
	}
	if n.Unschedulable {
		b.WriteString("!")
	}
	for i := range n.Taints {
		b.WriteString("~" + n.Taints[i].ToString())
	}
	key := b.String()
	class, known := s.classes[key]
	if !known {
		class = int32(len(s.classes))
		s.classes[key] = class
	}
	return class
}

// reclassify numbers the nodes again once a label matters that did not.
func (s *State) reclassify() {
	s.classes = map[string]int32{}
	for _, n := range s.nodes {
		n.class = s.classOf(n)
	}
	for _, is := range s.items {
		is.admitted = nil
	}
}

// compile makes the counters that an item's own constraints look at.
func (s *State) compile(is *itemState) {
	if is.compiled {
		return
	}
	is.compiled = true
	if len(is.affine) > 0 {
		is.selfAffine = s.meetsAll(is.affine, is.Item)
		for _, t := range is.affine {
			is.affinity = append(is.affinity, s.affinityCounter(is.affine, t.key))
		}
	}
	for _, t := range is.repels {
		is.anti = append(is.anti, s.counter("anti|"+t.id, t.key, func(other *Item) bool { return s.meets(&t, other) }))
	}
	for i := range is.spread {
		is.spreads = append(is.spreads, s.spreadCounter(is, i))
		is.selfSpread = append(is.selfSpread, is.spread[i].matches(is.Item, is.Shape.Namespace))
	}
}

func (s *State) meets(t *podTerm, item *Item) bool {
	return t.matches(item, s.namespaces[item.Shape.Namespace])
}

func (s *State) meetsAll(terms []podTerm, item *Item) bool {
	for i := range terms {
		if !s.meets(&terms[i], item) {
			return false
		}
	}
	return true
}

// affinityCounter counts pods that match all of the terms: kube-scheduler takes a pod's affinity terms together.
func (s *State) affinityCounter(terms []podTerm, key string) *counter {
	ids := make([]string, len(terms))
	for i := range terms {
		ids[i] = terms[i].id
	}
	slices.Sort(ids)
	return s.counter("all|"+key+"|"+strings.Join(ids, "&"), key, func(other *Item) bool { return s.meetsAll(terms, other) })
}

func (s *State) spreadCounter(is *itemState, i int) *counter {
	t := &is.spread[i]
	// The domains are those of nodes that have the labels of all constraints, and that the pod could use
	// as far as the policies say.
	id := "spread|" + t.id
	for j := range is.spread {
		id += "+" + is.spread[j].TopologyKey
	}
	if t.honoursAffinity() {
		id += "|affinity:" + is.nodeKey
	}
	if t.honoursTaints() {
		id += "|taints:" + is.nodeKey
	}
	if c := s.counterOf[id]; c != nil {
		return c
	}
	// An empty selector counts nothing, although it matches the pod itself: PodTopologySpread skips the count.
	c := s.newCounter(t.TopologyKey, func(other *Item) bool {
		return !t.selector.Empty() && !other.Shape.Terminating && t.matches(other, is.Shape.Namespace)
	})
	c.spread = &domains{admits: func(n *nodeState) bool { return is.isDomain(t, n) }}
	for _, n := range s.nodes {
		c.spread.eligible = append(c.spread.eligible, c.spread.admits(n))
	}
	s.start(id, c)
	return c
}

// isDomain reports whether a node counts for a spread constraint of the item.
func (is *itemState) isDomain(t *spreadTerm, n *nodeState) bool {
	for i := range is.spread {
		if _, found := n.Labels[is.spread[i].TopologyKey]; !found {
			return false
		}
	}
	if t.honoursAffinity() {
		if match, err := is.Item.affinity.Match(n.kubeNode()); err != nil || !match {
			return false
		}
	}
	if t.honoursTaints() {
		if _, found := untolerated(n.Taints, is.Shape.Tolerations); found {
			return false
		}
	}
	return true
}

func (s *State) counter(id, key string, meant func(*Item) bool) *counter {
	if c := s.counterOf[id]; c != nil {
		return c
	}
	c := s.newCounter(key, meant)
	s.start(id, c)
	return c
}

func (s *State) newCounter(key string, meant func(*Item) bool) *counter {
	t := s.topologies[key]
	if t == nil {
		t = &topology{key: key, number: map[string]int32{}}
		for _, n := range s.nodes {
			t.add(n.Labels)
		}
		s.topologies[key] = t
	}
	return &counter{topology: t, meant: meant}
}

// start counts what is there already.
func (s *State) start(id string, c *counter) {
	meant := make(map[*itemState]bool, len(s.items))
	for _, is := range s.items {
		if c.meant(is.Item) {
			meant[is] = true
		}
	}
	for i, n := range s.nodes {
		if n.gone {
			continue
		}
		c.admitNode(i, 1)
		if len(meant) == 0 {
			continue
		}
		for _, p := range n.pods {
			if meant[p.item] {
				c.add(i, p.count)
			}
		}
	}
	s.counterOf[id] = c
	s.counters = append(s.counters, c)
}

// own makes the counter of the pods that repel others by a term, and has the item counted by it.
func (s *State) own(t podTerm, is *itemState) {
	id := "own|" + t.id
	if c := s.counterOf[id]; c != nil {
		is.counted = append(is.counted, c)
		return
	}
	c := s.newCounter(t.key, func(*Item) bool { return false })
	s.start(id, c)
	s.owners = append(s.owners, ownedTerm{t, c})
	is.counted = append(is.counted, c)
}

// observe brings an item up to date with counters and owners that came since it was last used.
func (s *State) observe(is *itemState) {
	for ; is.seen < len(s.counters); is.seen++ {
		if c := s.counters[is.seen]; c.meant(is.Item) {
			is.counted = append(is.counted, c)
		}
	}
	for ; is.owned < len(s.owners); is.owned++ {
		if o := s.owners[is.owned]; s.meets(&o.term, is.Item) {
			is.repelledBy = append(is.repelledBy, o.counter)
		}
	}
}

func untolerated(taints []corev1.Taint, tolerations []corev1.Toleration) (*corev1.Taint, bool) {
	for i := range taints {
		taint := &taints[i]
		if taint.Effect != corev1.TaintEffectNoSchedule && taint.Effect != corev1.TaintEffectNoExecute {
			continue
		}
		if !tolerated(tolerations, taint) {
			return taint, true
		}
	}
	return nil, false
}

func tolerated(tolerations []corev1.Toleration, taint *corev1.Taint) bool {
	for i := range tolerations {
		if tolerations[i].ToleratesTaint(klog.Logger{}, taint, false) {
			return true
		}
	}
	return false
}

var unschedulableTaint = corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
