package packing

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// role is what a target has to do with a term of anti-affinity on one node.
type role struct {
	term           string
	owner, matched bool
}

// findRoles says of each target which terms of anti-affinity on one node it owns and which mean it.
func (b *classBook) findRoles() {
	terms := map[*scheduling.Counter]bool{}
	for _, t := range b.targets {
		for _, c := range t.variant.Repels() {
			if c.Key() == corev1.LabelHostname {
				terms[c] = true
			}
		}
	}
	if len(terms) == 0 {
		return
	}
	for _, t := range b.targets {
		var roles []role
		for _, c := range t.variant.Repels() {
			if c.Key() == corev1.LabelHostname && !slices.ContainsFunc(roles, func(r role) bool { return r.term == c.ID() }) {
				roles = append(roles, role{term: c.ID(), owner: true})
			}
		}
		for _, c := range t.is.RepelledBy() {
			if !terms[c] {
				continue
			}
			if i := slices.IndexFunc(roles, func(r role) bool { return r.term == c.ID() }); i >= 0 {
				roles[i].matched = true
			} else {
				roles = append(roles, role{term: c.ID(), matched: true})
			}
		}
		if len(roles) > 0 {
			slices.SortFunc(roles, func(x, y role) int { return strings.Compare(x.term, y.term) })
			b.roleOf[t] = roles
		}
	}
}

// rolesOf joins the roles of a unit's pods.
func (b *classBook) rolesOf(unit []portion) []role {
	if len(unit) == 1 {
		return b.roleOf[unit[0].target]
	}
	var out []role
	for _, p := range unit {
		for _, r := range b.roleOf[p.target] {
			if i := slices.IndexFunc(out, func(o role) bool { return o.term == r.term }); i < 0 {
				out = append(out, r)
			} else {
				out[i].owner, out[i].matched = out[i].owner || r.owner, out[i].matched || r.matched
			}
		}
	}
	slices.SortFunc(out, func(x, y role) int { return strings.Compare(x.term, y.term) })
	return out
}

// keepsItsRules reports whether the pods of a unit may share a node: none repels another, and no group is over its cap.
func (b *classBook) keepsItsRules(unit []portion) bool {
	inGroup := map[int32]int32{}
	for _, p := range unit {
		for _, g := range b.capsOfTarget(p.target) {
			inGroup[g] += int32(p.count)
		}
		for _, r := range b.roleOf[p.target] {
			if r.owner && b.matchedIn(unit, r.term) > btoi(r.matched) {
				return false
			}
		}
	}
	for g, n := range inGroup {
		if n > b.cover.Caps[g] {
			return false
		}
	}
	return true
}

// matchedIn counts the pods of a unit that a term of anti-affinity means.
func (b *classBook) matchedIn(unit []portion, term string) int {
	n := 0
	for _, p := range unit {
		if slices.ContainsFunc(b.roleOf[p.target], func(r role) bool { return r.term == term && r.matched }) {
			n += p.count
		}
	}
	return n
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// makeFoes keeps classes apart of which one repels the other.
func (b *classBook) makeFoes() {
	owners, matched := map[string][]int32{}, map[string][]int32{}
	both := map[string]bool{}
	for n := range b.cover.Classes {
		for _, r := range b.roles[n] {
			if r.owner {
				owners[r.term] = append(owners[r.term], int32(n))
			}
			if r.matched {
				matched[r.term] = append(matched[r.term], int32(n))
			}
			both[r.term+"|"+strconv.Itoa(n)] = r.owner && r.matched
		}
	}
	for _, term := range slices.Sorted(maps.Keys(owners)) {
		for _, o := range owners[term] {
			for _, m := range matched[term] {
				if o == m || both[term+"|"+strconv.Itoa(int(o))] && both[term+"|"+strconv.Itoa(int(m))] {
					continue
				}
				b.cover.Classes[o].Conflicts = append(b.cover.Classes[o].Conflicts, m)
				b.cover.Classes[m].Conflicts = append(b.cover.Classes[m].Conflicts, o)
			}
		}
	}
}
