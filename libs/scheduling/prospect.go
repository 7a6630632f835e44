package scheduling

import corev1 "k8s.io/api/core/v1"

// Prospect is an empty node as a State would see it, without its being there.
type Prospect struct {
	state *State
	node  nodeState
}

// Prospect returns the view of an empty node. It does not show what the state learns later, such as a resource that a new item is the
// first to request.
func (s *State) Prospect(n *Node) *Prospect {
	p := &Prospect{state: s, node: nodeState{Node: n, free: make([]int64, len(s.resources))}}
	for name, i := range s.resources {
		p.node.free[i] = p.node.capacity(name)
	}
	p.node.class = s.classOf(&p.node)
	return p
}

// Free is what the node has of each resource, by the resource's number. It must not be changed.
func (p *Prospect) Free() []int64 { return p.node.free }

// Class is the same for nodes that no item can tell apart by labels and taints.
func (p *Prospect) Class() int { return int(p.node.class) }

// Takes reports whether the node takes one pod of a subject, as far as the node and the pod alone say.
func (p *Prospect) Takes(is *Subject) bool {
	for _, need := range is.needs {
		if need.Amount > p.node.free[need.Resource] {
			return false
		}
	}
	return is.problem.Code == "" && p.state.admits(is, &p.node) == ruleNone
}

// Room is how many pods of a subject the node's resources hold.
func (p *Prospect) Room(is *Subject) int { return p.node.room(is) }

// Size is the size of its cpu and memory at the price ratio of resources.
func (p *Prospect) Size() int64 {
	free := Resources{}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if i, known := p.state.resources[name]; known {
			free[name] = p.node.free[i]
		}
	}
	return weigh(free)
}
