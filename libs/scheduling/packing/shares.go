package packing

import (
	"maps"
	"slices"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/cover"
)

// share is what a target gets on which machines of a draft.
type share struct {
	target *target
	parts  []part
}

type part struct{ machine, count int }

// share deals the pods of each class out over the machines whose patterns hold the class: the members of a class
// take turns, so that each is on as many nodes as can be.
func (b *classBook) share(patterns []cover.Pattern, sites []int) []*share {
	shares := make([]*share, len(b.targets))
	index := make(map[*target]int, len(b.targets))
	for i, t := range b.targets {
		shares[i] = &share{target: t}
		index[t] = i
	}
	left := make([][]int, len(b.members))
	next := make([]int, len(b.members))
	for n, members := range b.members {
		for _, m := range members {
			left[n] = append(left[n], m.count)
		}
	}
	for k := range patterns {
		p := &patterns[k]
		for j, n := range p.Classes {
			for range p.Counts[j] {
				m := take(left[n], &next[n])
				if m < 0 {
					break
				}
				for _, of := range b.members[n][m].unit {
					s := shares[index[of.target]]
					if last := len(s.parts) - 1; last >= 0 && s.parts[last].machine == k {
						s.parts[last].count += of.count
					} else {
						s.parts = append(s.parts, part{k, of.count})
					}
				}
			}
		}
	}
	for _, s := range shares {
		s.interleave(sites)
	}
	return shares
}

// take finds the next member of which something is left, from next on in turn.
func take(left []int, next *int) int {
	for range left {
		m := *next
		*next = (m + 1) % len(left)
		if left[m] > 0 {
			left[m]--
			return m
		}
	}
	return -1
}

// interleave orders the parts so that sites take turns: a spread over sites then grows evenly.
func (s *share) interleave(sites []int) {
	bySite := map[int][]part{}
	for _, p := range s.parts {
		bySite[sites[p.machine]] = append(bySite[sites[p.machine]], p)
	}
	order := slices.Sorted(maps.Keys(bySite))
	s.parts = s.parts[:0]
	for rank := 0; len(order) > 0; rank++ {
		order = slices.DeleteFunc(order, func(site int) bool { return rank >= len(bySite[site]) })
		for _, site := range order {
			s.parts = append(s.parts, bySite[site][rank])
		}
	}
}
