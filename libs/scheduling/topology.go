package scheduling

// absent is the domain of a node that lacks a topology's label.
const absent = -1

// topology numbers the values that a label key has on nodes.
type topology struct {
	key    string
	number map[string]int32
	// of is the domain of each node.
	of []int32
}

func (t *topology) add(labels map[string]string) {
	value, found := labels[t.key]
	if !found {
		t.of = append(t.of, absent)
		return
	}
	n, known := t.number[value]
	if !known {
		n = int32(len(t.number))
		t.number[value] = n
	}
	t.of = append(t.of, n)
}

// Counter counts, for each domain of a topology, the pods that a term of a rule is about: an affinity, an anti-affinity or a topology
// spread constraint. Equal terms share one.
type Counter struct {
	id       string
	topology *topology
	counts   []int32
	total    int
	// meant says whether an item's pods are counted.
	meant func(*Item) bool
	// spread is set for a topology spread constraint, whose domains are eligible nodes' only.
	spread *domains
}

// ID names what is counted, the same in every State.
func (c *Counter) ID() string { return c.id }

// Key is the label whose value makes nodes one domain.
func (c *Counter) Key() string { return c.topology.key }

// Counts reports whether pods of an item are counted.
func (c *Counter) Counts(item *Item) bool { return c.meant(item) }

// IsSpread reports whether it belongs to a topology spread constraint.
func (c *Counter) IsSpread() bool { return c.spread != nil }

// At is the number of pods in a node's domain; zero for a node that is in none.
func (c *Counter) At(node int) int { return int(c.at(c.topology.of[node])) }

func (c *Counter) at(domain int32) int32 {
	if domain == absent || int(domain) >= len(c.counts) {
		return 0
	}
	return c.counts[domain]
}

func (c *Counter) grow(domain int32) {
	for int(domain) >= len(c.counts) {
		c.counts = append(c.counts, 0)
		if c.spread != nil {
			c.spread.nodes = append(c.spread.nodes, 0)
		}
	}
}

// add counts n more pods on a node.
func (c *Counter) add(node int, n int32) {
	domain := c.topology.of[node]
	if domain == absent || c.spread != nil && !c.spread.eligible.of[node] {
		return
	}
	c.grow(domain)
	before := c.counts[domain]
	c.counts[domain] += n
	c.total += int(n)
	if c.spread != nil && c.spread.nodes[domain] > 0 {
		c.spread.moved(before, c.counts[domain])
	}
}

// admitNode takes a node's domain in, empty as yet; present is 1 for a node that comes and -1 for one that goes.
func (c *Counter) admitNode(node int, present int32) {
	domain := c.topology.of[node]
	if c.spread == nil || domain == absent || !c.spread.eligible.of[node] {
		return
	}
	c.grow(domain)
	c.spread.nodes[domain] += present
	switch {
	case present > 0 && c.spread.nodes[domain] == 1:
		c.spread.appeared(c.counts[domain])
	case present < 0 && c.spread.nodes[domain] == 0:
		c.spread.vanished(c.counts[domain])
	}
}

// eligibility says of each node whether a topology spread constraint counts it.
type eligibility struct {
	admits func(*nodeState) bool
	of     []bool
}

// domains are those that a topology spread constraint balances.
type domains struct {
	eligible *eligibility
	// nodes counts the eligible nodes of each domain; without any it is no domain.
	nodes []int32
	known int
	// histogram counts the domains with each number of pods, and least is where it starts.
	histogram []int32
	least     int32
}

func (d *domains) appeared(count int32) {
	d.known++
	d.put(count, 1)
	if d.known == 1 || count < d.least {
		d.least = count
	}
}

func (d *domains) vanished(count int32) {
	d.known--
	d.put(count, -1)
	d.settle()
}

func (d *domains) moved(before, after int32) {
	d.put(before, -1)
	d.put(after, 1)
	if after < d.least {
		d.least = after
	}
	d.settle()
}

func (d *domains) put(count, n int32) {
	for int(count) >= len(d.histogram) {
		d.histogram = append(d.histogram, 0)
	}
	d.histogram[count] += n
}

func (d *domains) settle() {
	for d.known > 0 && d.histogram[d.least] == 0 {
		d.least++
	}
}

// noDomains is the number of pods in the emptiest domain where there is none: any node may then be the first.
const noDomains = 1 << 30

// minimum is the number of pods in the emptiest domain, as kube-scheduler's PodTopologySpread counts it:
// zero while there are fewer domains than the constraint asks for.
func (d *domains) minimum(minDomains *int32) int32 {
	if minDomains != nil && d.known < int(*minDomains) {
		return 0
	}
	if d.known == 0 {
		return noDomains
	}
	return d.least
}
