package scheduling

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// assignSites chooses where pods go whose rules speak of a topology other than the node: a site is a set of
// options that such rules cannot tell apart, such as those of one zone. It plays through with the state's
// counters where each pod may go, the emptiest domain first, on one boundless node a site.
func (d *drafting) assignSites() {
	keys := d.siteKeys()
	d.site = make([]int, len(d.options))
	if len(keys) == 0 {
		return
	}
	number := map[string]int{}
	for i, o := range d.options {
		var id strings.Builder
		for _, key := range keys {
			id.WriteString(o.Empty.Labels[key] + "|")
		}
		if _, known := number[id.String()]; !known {
			number[id.String()] = len(number)
		}
		d.site[i] = number[id.String()]
	}
	d.state.Try(func() bool {
		a := siteAssignment{drafting: d, sites: len(number), load: make([]int64, len(number)), nodes: map[string][]int{}}
		a.run()
		return false
	})
}

// siteKeys are the topologies, other than the node itself, that rules of what waits speak of.
func (d *drafting) siteKeys() []string {
	keys := map[string]bool{}
	for _, t := range d.targets {
		for _, key := range t.variant.topologyKeys() {
			keys[key] = true
		}
	}
	for _, o := range d.state.owners {
		if o.term.key != corev1.LabelHostname && slices.ContainsFunc(d.targets, func(t *target) bool { return d.state.meets(&o.term, t.item) }) {
			keys[o.term.key] = true
		}
	}
	return slices.Sorted(maps.Keys(keys))
}

func (is *itemState) topologyKeys() []string {
	var keys []string
	for _, t := range slices.Concat(is.affine, is.repels) {
		keys = append(keys, t.key)
	}
	for i := range is.spread {
		keys = append(keys, is.spread[i].TopologyKey)
	}
	return slices.DeleteFunc(keys, func(key string) bool { return key == corev1.LabelHostname })
}

type siteAssignment struct {
	*drafting
	sites int
	// load is the size of the pods that each site has been given.
	load []int64
	// nodes are the boundless nodes, by what an item asks of a node, one a site; absent where no option serves.
	nodes map[string][]int
}

func (a *siteAssignment) run() {
	var zonal, counted []*target
	for _, t := range a.targets {
		if len(t.variant.topologyKeys()) > 0 || a.isRepelled(t) {
			zonal = append(zonal, t)
			is := a.state.know(t.variant.overSites())
			a.state.compile(is)
		}
	}
	// Pods that such rules count, and that are placed before the pods with the rules, need a site as well.
	for _, t := range a.targets {
		if !slices.Contains(zonal, t) && t.order() == 0 && a.isCounted(t, zonal) {
			counted = append(counted, t)
		}
	}
	a.assignAll(counted)
	a.assignAll(zonal)
}

func (a *siteAssignment) isCounted(t *target, zonal []*target) bool {
	return slices.ContainsFunc(zonal, func(z *target) bool {
		for i := range z.variant.spread {
			if term := &z.variant.spread[i]; term.TopologyKey != corev1.LabelHostname && term.matches(t.item, z.item.Shape.Namespace) {
				return true
			}
		}
		return false
	})
}

func (a *siteAssignment) assignAll(targets []*target) {
	waiting := make([]int, len(targets))
	for i, t := range targets {
		t.sites, waiting[i] = make([]int, a.sites), t.left
	}
	for progress := true; progress; {
		progress = false
		for i, t := range targets {
			for waiting[i] > 0 && a.assign(t) {
				waiting[i]--
				progress = true
			}
		}
	}
}

func (a *siteAssignment) isRepelled(t *target) bool {
	return slices.ContainsFunc(a.state.owners, func(o ownedTerm) bool {
		return o.term.key != corev1.LabelHostname && a.state.meets(&o.term, t.item)
	})
}

// assign gives one pod a site.
func (a *siteAssignment) assign(t *target) bool {
	is := a.state.know(t.variant.overSites())
	best, bestCount, bestNode := -1, int32(0), absent
	for site, node := range a.siteNodes(t) {
		if node == absent || a.state.judgeOthers(is, a.state.nodes[node], node) != ruleNone {
			continue
		}
		count := int32(0)
		for _, c := range is.counted {
			if c.spread != nil {
				count += c.at(c.topology.of[node])
			}
		}
		if best < 0 || count < bestCount || count == bestCount && a.load[site] < a.load[best] {
			best, bestCount, bestNode = site, count, node
		}
	}
	if best < 0 {
		return false
	}
	a.state.put(is, bestNode, 1)
	a.load[best] += t.is.weight
	t.sites[best]++
	return true
}

// siteNodes returns the boundless node of each site at which an option serves the target.
func (a *siteAssignment) siteNodes(t *target) []int {
	id := t.variant.nodeKey
	if nodes, known := a.nodes[id]; known {
		return nodes
	}
	nodes := make([]int, a.sites)
	for site := range nodes {
		nodes[site] = absent
	}
	for i, o := range a.options {
		if site := a.site[i]; nodes[site] == absent && a.takes(i, t) {
			n := &Node{Name: "site", Labels: maps.Clone(o.Empty.Labels)}
			delete(n.Labels, corev1.LabelHostname)
			nodes[site] = a.state.AddNode(n)
		}
	}
	a.nodes[id] = nodes
	return nodes
}

// overSites is the item with only those rules that speak of topologies larger than a node.
func (is *itemState) overSites() *Item {
	if is.sited != nil {
		return is.sited
	}
	shape := *is.Shape
	shape.HostPorts, shape.Volumes, shape.Requests = nil, nil, nil
	shape.Spread = slices.DeleteFunc(slices.Clone(shape.Spread), func(c corev1.TopologySpreadConstraint) bool {
		return c.TopologyKey == corev1.LabelHostname
	})
	if shape.Affinity != nil {
		a := shape.Affinity.DeepCopy()
		onHost := func(t corev1.PodAffinityTerm) bool { return t.TopologyKey == corev1.LabelHostname }
		if a.PodAffinity != nil {
			a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution = slices.DeleteFunc(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, onHost)
		}
		if a.PodAntiAffinity != nil {
			a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution = slices.DeleteFunc(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, onHost)
		}
		shape.Affinity = a
	}
	is.sited = NewItem(is.ID+"@", &shape)
	return is.sited
}
