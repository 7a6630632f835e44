package simulation

import (
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// commonLabels are the labels that most of some nodes of a kind have with the same value, and those that each has with a value of
// its own. Of a single node, what names it is its own, and so is what was its own when there were several.
func commonLabels(nodes []specimen, varied map[string]bool) (map[string]string, map[string]bool) {
	counts := map[string]map[string]int{}
	for _, n := range nodes {
		for key, value := range n.Labels {
			if counts[key] == nil {
				counts[key] = map[string]int{}
			}
			counts[key][value]++
		}
	}
	common, varying := map[string]string{}, map[string]bool{}
	for key, of := range counts {
		if key == corev1.LabelHostname || key == v1beta1.LabelVPSieNode {
			continue
		}
		if len(nodes) > 1 && len(of) == len(nodes) || len(nodes) == 1 && varied[key] {
			varying[key] = true
			continue
		}
		for value, count := range of {
			if count*2 > len(nodes) && (len(nodes) > 1 || !isOwn(nodes[0].Node, value)) {
				common[key] = value
			}
		}
	}
	return common, varying
}

// isOwn reports whether a label's value names the node.
func isOwn(n *scheduling.Node, value string) bool {
	for _, name := range []string{n.Name, n.Labels[corev1.LabelHostname], n.Labels[v1beta1.LabelVPSieNode]} {
		if name != "" && strings.Contains(strings.ToLower(value), strings.ToLower(name)) {
			return true
		}
	}
	return false
}

// forgetOwn takes from what a single node of a kind taught the labels that nodes of some other kind have each for itself.
func forgetOwn(learned map[Kind]Learned, nodes map[Kind][]specimen) {
	varying := map[string]bool{}
	for kind, l := range learned {
		if kind.Group != "" && kind.Size != "" {
			maps.Copy(varying, l.Varying)
		}
	}
	for kind, of := range nodes {
		if len(of) == 1 {
			maps.DeleteFunc(learned[kind].Labels, func(key, _ string) bool { return varying[key] })
		}
	}
}
