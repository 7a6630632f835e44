package packing

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// wish is a kind of soft constraint: something that kube-scheduler prefers and does not insist on.
type wish uint8

// The kinds, in the order in which a plan tries to grant them: those that mostly cost nothing first.
const (
	wishTaint wish = iota
	wishNodeAffinity
	wishZoneSpread
	wishPodAffinity
	wishZoneAntiAffinity
	wishHostSpread
	wishHostAntiAffinity
	wishCount
)

// wishSet is a set of wishes.
type wishSet uint8

func (w wishSet) has(kind wish) bool { return w&(1<<kind) != 0 }

// wishesOf lists the kinds of soft constraints that a shape has; every shape would rather not be on a
// node with a PreferNoSchedule taint.
func wishesOf(shape *scheduling.Shape) []wish {
	var out []wish
	add := func(kind wish, when bool) {
		if when && !slices.Contains(out, kind) {
			out = append(out, kind)
		}
	}
	for _, c := range shape.Spread {
		// The cluster's defaults are worth no money: nobody asked for them by name.
		soft := c.WhenUnsatisfiable == corev1.ScheduleAnyway && !shape.SpreadByDefault
		add(wishHostSpread, soft && c.TopologyKey == corev1.LabelHostname)
		add(wishZoneSpread, soft && c.TopologyKey != corev1.LabelHostname)
	}
	a := shape.Affinity
	if a == nil {
		return out
	}
	add(wishNodeAffinity, a.NodeAffinity != nil && len(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution) > 0)
	add(wishPodAffinity, a.PodAffinity != nil && len(a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution) > 0)
	if a.PodAntiAffinity != nil {
		for _, t := range a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			host := t.PodAffinityTerm.TopologyKey == corev1.LabelHostname
			add(wishHostAntiAffinity, host)
			add(wishZoneAntiAffinity, !host)
		}
	}
	return out
}

// wishSets are what is tried where wishes cost nothing: all of the item's together, then each by itself.
func (d *demand) wishSets() []wishSet {
	if len(d.wishes) == 0 {
		return nil
	}
	sets := []wishSet{^wishSet(0)}
	if len(d.wishes) > 1 {
		for _, kind := range d.wishes {
			sets = append(sets, 1<<kind)
		}
	}
	return sets
}

// insist is a demand's subject with the wishes of a set made into requirements. Of several weighted terms of one kind the heaviest is
// insisted on.
func (k *packer) insist(d *demand, set wishSet) *scheduling.Subject {
	own := wishSet(0)
	for _, kind := range d.wishes {
		if set.has(kind) {
			own |= 1 << kind
		}
	}
	if own == 0 {
		return d.is
	}
	id := d.item.ID + scheduling.ShapeID("!"+strconv.Itoa(int(own)))
	if is := k.state.Known(id); is != nil {
		return is
	}
	return k.state.Subject(insisted(id, d.item.Shape, own))
}

// insisted makes the item of another name that has the wishes of a set as requirements.
func insisted(id scheduling.ShapeID, of *scheduling.Shape, set wishSet) *scheduling.Item {
	shape := *of
	shape.Spread = slices.Clone(shape.Spread)
	for j := range shape.Spread {
		kind := wishZoneSpread
		if shape.Spread[j].TopologyKey == corev1.LabelHostname {
			kind = wishHostSpread
		}
		if set.has(kind) {
			shape.Spread[j].WhenUnsatisfiable = corev1.DoNotSchedule
		}
	}
	if a := shape.Affinity; a != nil {
		shape.Affinity = insistOnAffinity(a.DeepCopy(), set)
	}
	return scheduling.NewItem(id, &shape)
}

func insistOnAffinity(a *corev1.Affinity, set wishSet) *corev1.Affinity {
	if a.NodeAffinity != nil && set.has(wishNodeAffinity) {
		insistOnNode(a.NodeAffinity)
	}
	if a.PodAffinity != nil && set.has(wishPodAffinity) {
		if t := heaviest(a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution, func(string) bool { return true }); t != nil {
			a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution = append(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, *t)
		}
	}
	if a.PodAntiAffinity != nil {
		wanted := func(key string) bool {
			if key == corev1.LabelHostname {
				return set.has(wishHostAntiAffinity)
			}
			return set.has(wishZoneAntiAffinity)
		}
		if t := heaviest(a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution, wanted); t != nil {
			a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution = append(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, *t)
		}
	}
	return a
}

func heaviest(terms []corev1.WeightedPodAffinityTerm, wanted func(key string) bool) *corev1.PodAffinityTerm {
	var best *corev1.WeightedPodAffinityTerm
	for j := range terms {
		if t := &terms[j]; wanted(t.PodAffinityTerm.TopologyKey) && (best == nil || t.Weight > best.Weight) {
			best = t
		}
	}
	if best == nil {
		return nil
	}
	return &best.PodAffinityTerm
}

// insistOnNode adds the heaviest preferred term to each of the required ones.
func insistOnNode(a *corev1.NodeAffinity) {
	var best *corev1.PreferredSchedulingTerm
	for j := range a.PreferredDuringSchedulingIgnoredDuringExecution {
		if t := &a.PreferredDuringSchedulingIgnoredDuringExecution[j]; best == nil || t.Weight > best.Weight {
			best = t
		}
	}
	if best == nil {
		return
	}
	required := a.RequiredDuringSchedulingIgnoredDuringExecution
	if required == nil || len(required.NodeSelectorTerms) == 0 {
		a.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{best.Preference}}
		return
	}
	for j := range required.NodeSelectorTerms {
		t := &required.NodeSelectorTerms[j]
		t.MatchExpressions = append(t.MatchExpressions, best.Preference.MatchExpressions...)
		t.MatchFields = append(t.MatchFields, best.Preference.MatchFields...)
	}
}
