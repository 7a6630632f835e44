package scheduling

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2" //nolint:depguard // ToleratesTaint asks for a logger, and gets one that writes nowhere
)

// Rule is what keeps a pod from a node. The zero Rule says that nothing was judged yet.
type Rule uint8

// The rules, in the order in which they are judged. ruleUnknown is a judgement not made yet.
const (
	ruleUnknown Rule = iota
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

// OK reports whether no rule keeps the pod from the node.
func (r Rule) OK() bool { return r == ruleNone }

// IsFinal reports whether a refusal lasts while nodes only fill up or go.
func (r Rule) IsFinal() bool {
	switch r {
	case ruleProblem, ruleGone, ruleUnschedulable, ruleTaint, ruleNodeAffinity, ruleVolumeTopology, ruleResources:
		return true
	}
	return false
}

// Nearer reports whether a refusal is nearer to success than another, which may be the zero Rule: the later rules are judged
// once the earlier ones are met.
func (r Rule) Nearer(than Rule) bool { return than == ruleUnknown || r > than }

// Judge says which rule keeps one more pod of a subject from a node. Explain puts that into words.
func (s *State) Judge(is *Subject, node int) Rule {
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
		if need.Amount > n.free[need.Resource] {
			return ruleResources
		}
	}
	if is.IsFree() && s.hasNoOwners() {
		return ruleNone
	}
	return s.JudgeOthers(is, node)
}

func (s *State) hasNoOwners() bool { return len(s.owners) == 0 }

// JudgeOthers is Judge for the rules about other pods alone: the node need not admit the pod or have room for it.
func (s *State) JudgeOthers(is *Subject, node int) Rule {
	n := s.nodes[node]
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
	for i := range is.spreads {
		if c := &is.spreads[i]; c.topology.of[node] == absent || c.skew(node) > c.term.MaxSkew {
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

// skew is by how many pods a node's domain would exceed the emptiest one if it got one more of the subject.
func (s *Spread) skew(node int) int32 {
	skew := s.at(s.topology.of[node]) - s.spread.minimum(s.term.MinDomains)
	if s.Self {
		skew++
	}
	return skew
}

// judgeAffinity wants, for each term, a pod that matches all terms in the node's domain; or none such in
// the cluster and a pod that matches its own terms, which is then the first.
func (s *State) judgeAffinity(is *Subject, node int) Rule {
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

func (s *State) judgeVolumes(is *Subject, n *nodeState) Rule {
	var fresh [4]Need
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
		j := slices.IndexFunc(more, func(o Need) bool { return o.Resource == v.resource })
		if j < 0 {
			more = append(more, Need{v.resource, 0})
			j = len(more) - 1
		}
		more[j].Amount++
	}
	for _, m := range more {
		for _, need := range is.needs {
			if need.Resource == m.Resource {
				m.Amount += need.Amount
			}
		}
		if m.Amount > n.free[m.Resource] {
			return ruleAttachLimit
		}
	}
	return ruleNone
}

// Avoids reports whether a node has a PreferNoSchedule taint that an item does not tolerate.
func (s *State) Avoids(item *Item, node int) bool {
	return slices.ContainsFunc(s.nodes[node].Taints, func(t corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectPreferNoSchedule && !tolerated(item.Shape.Tolerations, &t)
	})
}

// admits judges what depends on the node and the item alone, once for each class of nodes.
func (s *State) admits(is *Subject, n *nodeState) Rule {
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

func (s *State) judgeNode(is *Subject, n *nodeState) Rule {
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
