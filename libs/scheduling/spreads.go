package scheduling

import corev1 "k8s.io/api/core/v1"

// findSpreads finds the constraints of what waits that spread pods over nodes, and the pods that each counts. Pods without
// rules are placed after those with them, and then hinder nobody.
func (b *classBook) findSpreads() {
	b.spreads, b.spreadPods = map[*target][]*spreadTerm{}, map[string]int32{}
	terms, first := map[*counter]*spreadTerm{}, map[string]*spreadTerm{}
	for _, t := range b.targets {
		for i := range t.variant.spread {
			if s := &t.variant.spread[i]; s.TopologyKey == corev1.LabelHostname {
				if first[s.id] == nil {
					first[s.id] = s
				}
				b.state.compile(t.variant)
				terms[t.variant.spreads[i]] = first[s.id]
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
		b.state.observe(t.is)
		counted := map[string]bool{}
		for _, c := range t.is.counted {
			if s := terms[c]; s != nil && !counted[s.id] {
				counted[s.id] = true
				b.spreads[t] = append(b.spreads[t], s)
				b.spreadPods[s.id] += int32(t.count)
			}
		}
	}
}

// machinesLeast is the number of machines over which pods are spread at least, so that the loss of one takes down no
// more than its share.
const machinesLeast = 3

// perMachine is how many pods that a spread over nodes counts one machine takes: as many as an empty machine beside it
// allows or, where the pods are to be evenly on fewer machines, their share of the least number of those.
func (b *classBook) perMachine(s *spreadTerm) int32 {
	if !b.level {
		return s.MaxSkew
	}
	return max(s.MaxSkew, (b.spreadPods[s.id]+machinesLeast-1)/machinesLeast)
}
