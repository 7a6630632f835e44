package packing

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// findSpreads finds the constraints of what waits that spread pods over nodes, and the pods that each counts. Pods without
// rules are placed after those with them, and then hinder nobody.
func (b *classBook) findSpreads() {
	b.spreads, b.spreadPods = map[*target][]*scheduling.Spread{}, map[string]int32{}
	terms, first := map[*scheduling.Counter]*scheduling.Spread{}, map[string]*scheduling.Spread{}
	for _, t := range b.targets {
		spreads := t.variant.Spreads()
		for i := range spreads {
			if s := &spreads[i]; s.Key() == corev1.LabelHostname {
				if first[s.Selection()] == nil {
					first[s.Selection()] = s
				}
				terms[s.Counter] = first[s.Selection()]
			}
		}
	}
	if len(terms) == 0 {
		return
	}
	for _, t := range b.targets {
		if t.order != orderHost {
			continue
		}
		counted := map[string]bool{}
		for _, c := range t.is.CountedBy() {
			if s := terms[c]; s != nil && !counted[s.Selection()] {
				counted[s.Selection()] = true
				b.spreads[t] = append(b.spreads[t], s)
				b.spreadPods[s.Selection()] += int32(t.count)
			}
		}
	}
}

// machinesLeast is the number of machines over which pods are spread at least, so that the loss of one takes down no
// more than its share.
const machinesLeast = 3

// perMachine is how many pods that a spread over nodes counts one machine takes: as many as an empty machine beside it
// allows or, where the pods are to be evenly on fewer machines, their share of the least number of those.
func (b *classBook) perMachine(s *scheduling.Spread) int32 {
	if !b.level {
		return s.MaxSkew()
	}
	return max(s.MaxSkew(), (b.spreadPods[s.Selection()]+machinesLeast-1)/machinesLeast)
}
