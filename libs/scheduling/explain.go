package scheduling

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
)

// Check judges one more pod of an item on a node. The zero Verdict means that it fits.
func (s *State) Check(item *Item, node int) Verdict {
	is := s.Subject(item)
	return s.Explain(is, node, s.Judge(is, node))
}

// CheckNew judges one pod of an item on a node that is not there yet.
func (s *State) CheckNew(item *Item, n *Node) Verdict {
	var v Verdict
	s.Try(func() bool {
		v = s.Check(item, s.AddNode(n))
		return false
	})
	return v
}

// Explain puts the refusal of a subject by a node into words.
func (s *State) Explain(is *Subject, node int, r Rule) Verdict {
	n := s.nodes[node]
	switch r {
	case ruleNone:
		return Verdict{}
	case ruleProblem:
		return is.problem
	case ruleGone:
		return Verdict{reason.NoScaleUpResources, "the node is gone"}
	case ruleUnschedulable:
		return Verdict{reason.NoScaleUpTaint, "node is unschedulable"}
	case ruleTaint:
		taint, _ := untolerated(n.Taints, is.Shape.Tolerations)
		return Verdict{reason.NoScaleUpTaint, "pod does not tolerate taint " + taint.ToString()}
	case ruleNodeAffinity:
		return Verdict{reason.NoScaleUpSelector, "node labels do not match the pod's node selector or required node affinity"}
	case ruleVolumeTopology:
		return Verdict{reason.NoScaleUpVolume, "a volume of the pod cannot be used or created where the node is"}
	case ruleHostPort:
		return Verdict{reason.NoScaleUpHostPort, "a host port of the pod is in use on the node"}
	case ruleResources:
		return s.missing(is, n)
	case ruleAttachLimit:
		return Verdict{reason.NoScaleUpAttachLimit, "the node can attach no more volumes for the pod"}
	case ruleExclusiveVolume:
		return Verdict{reason.NoScaleUpVolume, "a ReadWriteOncePod volume of the pod is in use by another pod"}
	case ruleTopologySpread:
		return Verdict{reason.NoScaleUpTopologySpread, s.explainSpread(is, node)}
	case rulePodAffinity:
		return Verdict{reason.NoScaleUpPodAffinity, "no pod that matches the pod's affinity is in the node's topology domain"}
	case ruleAntiAffinity:
		return Verdict{reason.NoScaleUpPodAffinity, "a pod that matches the pod's anti-affinity is in the node's topology domain"}
	case ruleRepelled:
		return Verdict{reason.NoScaleUpPodAffinity, "a pod whose anti-affinity matches the pod is in the node's topology domain"}
	}
	panic(fmt.Sprintf("scheduling: rule %d has no explanation", r))
}

// NearestRefusal is the refusal of the node that is nearest to taking a pod of a subject, of several.
func (s *State) NearestRefusal(is *Subject, nodes []int) Verdict {
	nearest, at := ruleGone, nodes[0]
	for _, node := range nodes {
		if r := s.Judge(is, node); r.Nearer(nearest) {
			nearest, at = r, node
		}
	}
	return s.Explain(is, at, nearest)
}

// missing names what the node lacks for one pod, in a stable order.
func (s *State) missing(is *Subject, n *nodeState) Verdict {
	names := make([]corev1.ResourceName, len(s.resources))
	for name, i := range s.resources {
		names[i] = name
	}
	var lacks []string
	code := reason.NoScaleUpAttachLimit
	for _, need := range is.needs {
		if need.Amount <= n.free[need.Resource] {
			continue
		}
		name, free := names[need.Resource], max(n.free[need.Resource], 0)
		driver, attaches := strings.CutPrefix(string(name), attachPrefix)
		if attaches {
			lacks = append(lacks, fmt.Sprintf("%d of %d volumes of %s requested", free, need.Amount, driver))
			continue
		}
		code = reason.NoScaleUpResources
		lacks = append(lacks, fmt.Sprintf("%s %s of %s requested", name, FormatAmount(name, free), FormatAmount(name, need.Amount)))
	}
	slices.Sort(lacks)
	return Verdict{code, "too small for the pod: free " + strings.Join(lacks, ", ")}
}

func (s *State) explainSpread(is *Subject, node int) string {
	for i := range is.spreads {
		c := &is.spreads[i]
		if c.topology.of[node] == absent {
			return "node has no label " + c.term.TopologyKey + ", over which the pod is spread"
		}
		if skew := c.skew(node); skew > c.term.MaxSkew {
			return fmt.Sprintf("one more pod there would raise the skew over %s to %d; maxSkew is %d", c.term.TopologyKey, skew, c.term.MaxSkew)
		}
	}
	return "the pod's topology spread does not allow it"
}

// mismatches are the refusals by which a machine would not take the pod, the nearest to success
// first. Every other refusal is nearer: the machine would do, and something else forbids it.
var mismatches = []reason.Code{
	reason.NoScaleUpTopologySpread, reason.NoScaleUpPodAffinity, reason.NoScaleUpHostPort, reason.NoScaleUpAttachLimit,
	reason.NoScaleUpResources, reason.NoScaleUpVolume, reason.NoScaleUpSelector, reason.NoScaleUpTaint,
}

// Remoteness ranks a refusal by how far from success it is.
func Remoteness(code reason.Code) int { return slices.Index(mismatches, code) }

// Nearest returns the refusal that is nearest to success, so that the most helpful one of many can
// be shown; of equals the first.
func Nearest(verdicts []Verdict) Verdict {
	best, bestRank := Verdict{}, len(mismatches)
	for _, v := range verdicts {
		if rank := Remoteness(v.Code); rank < bestRank {
			best, bestRank = v, rank
		}
	}
	return best
}

// FormatAmount renders an amount of a resource for people.
func FormatAmount(name corev1.ResourceName, amount int64) string {
	switch name {
	case corev1.ResourceCPU:
		return fmt.Sprintf("%dm", amount)
	case corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return fmt.Sprintf("%dMi", amount>>20)
	default:
		return itoa(amount)
	}
}
