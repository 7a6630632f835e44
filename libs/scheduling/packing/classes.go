package packing

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/cover"
)

// nodeSurcharge is what a machine costs on top of its price, as a share of the cheapest one's, so that of
// plans of equal price the one with fewer nodes wins.
const nodeSurcharge = 0.05

// costLeast is what a machine costs at least, in millionths of a dollar: the covering problem knows none that is free.
const costLeast = 1

// classBook turns targets into the classes of a cover, and patterns of those back into pods.
type classBook struct {
	*drafting
	cover *cover.Problem
	// resources are the indices of those that any class needs.
	resources []int
	members   [][]member
	// priority, weight and roles are those of what one of a class stands for.
	priority  []int32
	weight    []int64
	roles     [][]role
	number    map[string]int
	capNumber map[string]int32
	roleOf    map[*target][]role
	// spreads are the constraints over nodes that count a target's pods, and spreadPods the pods that each counts.
	spreads    map[*target][]*scheduling.Spread
	spreadPods map[string]int32
	// addresses are those of which waiting pods take a port.
	addresses map[string][]string
}

// member is what belongs to a class: so many times the pods of a unit.
type member struct {
	unit  []portion
	count int
}

// portion is a number of a target's pods.
type portion struct {
	target *target
	count  int
}

func newClassBook(d *drafting) *classBook {
	b := &classBook{drafting: d, cover: &cover.Problem{}, addresses: map[string][]string{}, number: map[string]int{}, capNumber: map[string]int32{}, roleOf: map[*target][]role{}}
	used := map[int]bool{}
	for _, t := range d.targets {
		for _, need := range t.variant.Needs() {
			used[need.Resource] = true
		}
	}
	b.resources = slices.Sorted(maps.Keys(used))
	least := leastPrice(d.options)
	for i, o := range d.options {
		free := make([]int64, len(b.resources))
		for k, r := range b.resources {
			free[k] = d.empties[i].Free()[r]
		}
		b.cover.Options = append(b.cover.Options, cover.Option{
			Free: free, Cost: float64(o.MonthlyPrice) + nodeSurcharge*least + costLeast, Kind: d.site[i] + d.empties[i].Class()*len(d.options),
		})
	}
	b.findRoles()
	b.findSpreads()
	for _, t := range d.targets {
		for _, p := range t.variant.Shape.HostPorts {
			id := fmt.Sprint("port|", p.Protocol, p.Port, "|")
			b.addresses[id] = append(b.addresses[id], p.IP)
		}
	}
	b.addAll()
	b.makeFoes()
	return b
}

// addAll puts all targets into classes: those that share a node with others by rule in units, the rest pod by pod.
func (b *classBook) addAll() {
	inUnits := map[*target]int{}
	for _, set := range b.followerSets() {
		b.addUnits(set, inUnits)
	}
	for _, t := range b.targets {
		if _, linked := inUnits[t]; !linked && !t.apart {
			b.addTarget(t)
		}
	}
}

// addTarget puts a target's pods into classes, one for each site that they go to.
func (b *classBook) addTarget(t *target) {
	if t.left == 0 {
		return
	}
	unit := []portion{{t, 1}}
	if t.sites == nil {
		b.addUnit(unit, absent, t.left)
		return
	}
	for site, count := range t.sites {
		if count > 0 {
			b.addUnit(unit, site, count)
		}
	}
}

// needsOf is what a unit takes of each resource.
func (b *classBook) needsOf(unit []portion) []int64 {
	needs := make([]int64, len(b.resources))
	for _, p := range unit {
		for _, need := range p.target.variant.Needs() {
			i, _ := slices.BinarySearch(b.resources, need.Resource)
			needs[i] += need.Amount * int64(p.count)
		}
		for _, resource := range p.target.variant.Attachments() {
			if i, found := slices.BinarySearch(b.resources, resource); found {
				needs[i]++ // as if no other pod on the node used the volume
			}
		}
	}
	return needs
}

// addUnit puts so many times the pods of a unit into a class, and reports false where no option at the site takes one.
func (b *classBook) addUnit(unit []portion, site, count int) bool {
	needs := b.needsOf(unit)
	fits := make([]bool, len(b.options))
	signature := make([]byte, len(b.options))
	some := false
	for i := range b.options {
		fits[i] = (site == absent || b.site[i] == site) && b.fitsOne(i, needs, unit)
		if fits[i] {
			some, signature[i] = true, 1
		}
	}
	if !some {
		return false
	}
	caps, roles, priority, weight := b.capsOf(unit), b.rolesOf(unit), int32(math.MinInt32), int64(0)
	for _, p := range unit {
		priority = max(priority, p.target.item.Shape.Priority)
		weight += p.target.is.Size() * int64(p.count)
	}
	key := classKey(priority, needs, caps, roles, signature)
	n, known := b.number[key]
	if !known {
		n = len(b.cover.Classes)
		b.number[key] = n
		b.cover.Classes = append(b.cover.Classes, cover.Class{Needs: needs, Caps: caps, Fits: fits})
		b.members, b.roles = append(b.members, nil), append(b.roles, roles)
		b.priority, b.weight = append(b.priority, priority), append(b.weight, weight)
	}
	b.cover.Classes[n].Count += int32(count)
	b.members[n] = append(b.members[n], member{unit, count})
	return true
}

// classKey spells what pods of one class have in common.
func classKey(priority int32, needs []int64, caps []int32, roles []role, signature []byte) string {
	key := append(signature, '|')
	key = binary.AppendVarint(key, int64(priority))
	for _, need := range needs {
		key = binary.AppendVarint(key, need)
	}
	key = binary.AppendVarint(key, int64(len(caps)))
	for _, g := range caps {
		key = binary.AppendVarint(key, int64(g))
	}
	for _, r := range roles {
		key = append(append(key, r.term...), 0, byte(btoi(r.owner)), byte(btoi(r.matched)))
	}
	return string(key)
}

// fitsOne reports whether an empty machine takes a unit, as far as room and the machine say.
func (b *classBook) fitsOne(option int, needs []int64, unit []portion) bool {
	for i, need := range needs {
		if need > b.cover.Options[option].Free[i] {
			return false
		}
	}
	return !slices.ContainsFunc(unit, func(p portion) bool { return !b.takes(option, p.target) })
}

// capsOf are the groups of pods of which one node takes only so many, for a unit.
func (b *classBook) capsOf(unit []portion) []int32 {
	var caps []int32
	for _, p := range unit {
		caps = append(caps, b.capsOfTarget(p.target)...)
	}
	slices.Sort(caps)
	return slices.Compact(caps)
}

func (b *classBook) capsOfTarget(t *target) []int32 {
	var caps []int32
	add := func(id string, most int32) {
		n, known := b.capNumber[id]
		if !known {
			n = int32(len(b.cover.Caps))
			b.capNumber[id] = n
			b.cover.Caps = append(b.cover.Caps, most)
		}
		b.cover.Caps[n] = min(b.cover.Caps[n], most)
		caps = append(caps, n)
	}
	is := t.variant
	for _, s := range b.spreads[t] {
		add("spread|"+s.Selection(), b.perMachine(s))
	}
	for _, r := range b.roleOf[t] {
		if r.owner && r.matched {
			add("anti|"+r.term, 1)
		}
	}
	for _, p := range is.Shape.HostPorts {
		id := fmt.Sprint("port|", p.Protocol, p.Port, "|")
		add(id+p.IP, 1)
		if p.IP == "" { // of every address, those of other pods included
			for _, ip := range b.addresses[id] {
				add(id+ip, 1)
			}
		}
	}
	slices.Sort(caps)
	return slices.Compact(caps)
}

// rank is the highest priority in a pattern, and the size of what it serves.
func (b *classBook) rank(p *cover.Pattern) (int32, int64) {
	priority, size := int32(math.MinInt32), int64(0)
	for k, i := range p.Classes {
		priority = max(priority, b.priority[i])
		size += b.weight[i] * int64(p.Counts[k])
	}
	return priority, size
}
