package vpsiesim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// order is what a machine of a managed cluster is made from.
type order struct {
	role     Role
	offer    Offer
	foreign  bool
	by       string
	hostname string // empty lets VPSie choose
	noNode   bool   // the machine never registers
}

// newNode writes a machine of c into the ledger; it is not listed yet. The caller holds the lock.
//
//	requested ──ListDelay──► listed ──BootDelay──► registered
//	    └────────── delete ────┴─── DeleteDelay ───────┴──► gone
func (m *Model) newNode(c *cluster, g *group, o order) *machine {
	if o.hostname == "" {
		o.hostname = m.newHostname(c.name + "-" + string(o.role))
	}
	id := m.nextID()
	mc := &machine{cluster: c, group: g, id: id, host: 10 + id%7, Machine: Machine{
		Identifier: m.newIdentifier(), Hostname: o.hostname, Role: o.role,
		Cluster: c.identifier, SizeID: o.offer.ID, VCPU: o.offer.VCPU, RAMMiB: o.offer.RAMMiB, DiskGiB: o.offer.DiskGiB,
		Foreign: o.foreign, RequestedAt: time.Now().UTC(), RequestedBy: o.by,
		PricePerHour: o.offer.PricePerHour(), PodsAtDeletion: PodsUnknown,
		PrivateIP: fmt.Sprintf("10.20.%d.%d", id/250%250, 1+id%250), NeverRegisters: o.noNode || !m.switches.NodeRegisters,
		KubeVersion: c.version,
	}}
	if g != nil {
		mc.GroupID = g.id
	}
	m.machines = append(m.machines, mc)
	m.byID[mc.Identifier] = mc
	c.nodes = append(c.nodes, mc)
	return mc
}

// list makes the machine visible and starts its boot. The caller holds the lock.
func (m *Model) list(mc *machine) {
	if mc.ListedAt = time.Now().UTC(); mc.Role == RoleSlave && !mc.NeverRegisters {
		delay := time.Duration(m.switches.BootDelay)
		if mc.Foreign {
			delay = 0 // a seeded machine has been there for long
		}
		m.after(delay, func() { m.boot(mc) })
	}
}

// AddNode asks for one more node of a role in a cluster; groupID 0 means the default group.
func (m *Model) AddNode(clusterID string, role Role, groupID int, by string) (Machine, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.adds.requested++
	c := m.cluster(clusterID)
	if c == nil {
		return Machine{}, errNoCluster
	}
	g := c.group(groupID)
	if g == nil && groupID != 0 {
		return Machine{}, errNoGroup
	}
	if g == nil {
		if i := slices.IndexFunc(c.groups, func(g *group) bool { return g.droppedAt.IsZero() }); i >= 0 {
			g = c.groups[i]
		}
	}
	o := order{role: role, offer: c.offer, by: by}
	if g != nil {
		o.offer = g.offer
	}
	if role == RoleSlave && c.workers() >= m.switches.WorkerCap {
		return Machine{}, errWorkerCap
	}
	appears := m.switches.NodeAppears
	if m.soldOut(o.offer, c.datacenter.Identifier) {
		if m.switches.CapacityExhaustion == "refused" {
			return Machine{}, errSoldOut
		}
		appears = "never"
	}
	m.adds.accepted++
	mc := m.newNode(c, g, o)
	switch appears {
	case "never":
		// Such a request holds no place under the worker cap, or a test of it could not go on.
		mc.lost = true
		c.nodes = slices.DeleteFunc(c.nodes, func(n *machine) bool { return n == mc })
	case "twice":
		m.listLater(m.newNode(c, g, o))
		fallthrough
	default:
		m.listLater(mc)
	}
	return mc.Machine, nil
}

// listLater lists a machine after ListDelay. The caller holds the lock.
func (m *Model) listLater(mc *machine) {
	m.after(time.Duration(m.switches.ListDelay), func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if mc.GoneAt.IsZero() {
			m.list(mc)
		}
	})
}

// deletion says who removes a machine and how.
type deletion struct {
	how       HowDeleted
	by        string
	immediate bool
}

// beginDelete notes that the deletion of the machines was asked for and returns those for which it is new.
//
// The pods on them are counted between beginDelete and endDelete, when the machines still run. The caller holds the lock.
func (m *Model) beginDelete(d deletion, machines ...*machine) []*machine {
	var fresh []*machine
	for _, mc := range machines {
		if !mc.DeleteRequestedAt.IsZero() || !mc.GoneAt.IsZero() {
			continue
		}
		mc.DeleteRequestedAt, mc.HowDeleted, mc.DeletedBy = time.Now().UTC(), d.how, d.by
		fresh = append(fresh, mc)
	}
	return fresh
}

// endDelete counts pods and lets the machines go after DeleteDelay. The caller does not hold the lock.
func (m *Model) endDelete(d deletion, machines []*machine) {
	for _, mc := range machines {
		pods := m.podsOn(mc.Hostname, mc.Role)
		m.mu.Lock()
		mc.PodsAtDeletion = pods
		delay := time.Duration(m.switches.DeleteDelay)
		if d.immediate {
			delay = 0
		}
		if delay == 0 {
			m.gone(mc)
		} else {
			m.after(delay, func() {
				m.mu.Lock()
				defer m.mu.Unlock()
				m.gone(mc)
			})
		}
		m.mu.Unlock()
	}
}

// gone takes the machine away and stops its kubelet. The caller holds the lock.
func (m *Model) gone(mc *machine) {
	if !mc.GoneAt.IsZero() {
		return
	}
	mc.GoneAt = time.Now().UTC()
	mc.cluster.nodes = slices.DeleteFunc(mc.cluster.nodes, func(n *machine) bool { return n == mc })
	// A failed attempt may have left a Node behind as well.
	if !mc.RegisteredAt.IsZero() || mc.attempts > 0 {
		m.after(0, func() { m.halt(mc) })
	}
}

// deletable finds a machine that still exists, by identifier.
func (m *Model) deletable(identifier string) *machine {
	mc := m.byID[identifier]
	if mc == nil || mc.cluster == nil || mc.ListedAt.IsZero() || !mc.GoneAt.IsZero() {
		return nil
	}
	return mc
}

// DeleteNode removes the worker with this identifier.
func (m *Model) DeleteNode(clusterID, identifier, by string) error {
	m.mu.Lock()
	if m.cluster(clusterID) == nil {
		m.mu.Unlock()
		return errNoCluster
	}
	mc := m.deletable(identifier)
	if mc == nil || mc.Cluster != clusterID || mc.Role != RoleSlave {
		m.mu.Unlock()
		return errNodeUnknown
	}
	d := deletion{how: DeletedByIdentifier, by: by}
	fresh := m.beginDelete(d, mc)
	m.mu.Unlock()
	m.endDelete(d, fresh)
	return nil
}

// Reduce removes one listed node of a role, chosen by VPSie; groupID 0 means any group.
func (m *Model) Reduce(clusterID string, role Role, groupID int, by string) error {
	m.mu.Lock()
	c := m.cluster(clusterID)
	if c == nil {
		m.mu.Unlock()
		return errNoCluster
	}
	if groupID != 0 && c.group(groupID) == nil {
		m.mu.Unlock()
		return errNoGroup
	}
	var candidates []*machine
	for _, mc := range c.nodes {
		if mc.Role == role && !mc.ListedAt.IsZero() && mc.DeleteRequestedAt.IsZero() && (groupID == 0 || mc.GroupID == groupID) {
			candidates = append(candidates, mc)
		}
	}
	if len(candidates) == 0 {
		m.mu.Unlock()
		return errNodeUnknown
	}
	victim := candidates[0]
	switch m.switches.ReduceVictim {
	case "newest":
		victim = candidates[len(candidates)-1]
	case "random":
		victim = candidates[m.random.IntN(len(candidates))]
	}
	d := deletion{how: DeletedByReduce, by: by}
	fresh := m.beginDelete(d, victim)
	m.mu.Unlock()
	m.endDelete(d, fresh)
	return nil
}

// AddGroup creates an empty node group; each size may have one group in a cluster.
func (m *Model) AddGroup(clusterID, name string, sizeID int) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.cluster(clusterID)
	if c == nil {
		return 0, errNoCluster
	}
	offer, ok := m.offer(sizeID)
	if !ok || !offer.managed() {
		return 0, refuse(http.StatusBadRequest, "Please select the right size")
	}
	for _, g := range c.groups {
		if g.droppedAt.IsZero() && g.offer.ID == sizeID && m.switches.SameSizeGroup == "refused" {
			return 0, refuse(http.StatusBadRequest, fmt.Sprintf("Group %s has same selected Size, please select another size", g.name))
		}
	}
	return m.newGroup(c, name, offer).id, nil
}

func (m *Model) newGroup(c *cluster, name string, offer Offer) *group {
	now := time.Now().UTC()
	g := &group{id: m.nextID(), identifier: m.newIdentifier(), name: name, offer: offer, createdAt: now, updatedAt: now}
	c.groups = append(c.groups, g)
	return g
}

// DeleteGroup deletes the group with this UUID and the nodes in it.
func (m *Model) DeleteGroup(identifier, by string) error {
	m.mu.Lock()
	for _, c := range m.clusters {
		for _, g := range c.groups {
			if g.identifier != identifier || !g.droppedAt.IsZero() {
				continue
			}
			g.droppedAt = time.Now().UTC()
			d := deletion{how: DeletedWithGroup, by: by}
			fresh := m.beginDelete(d, slices.DeleteFunc(slices.Clone(c.nodes), func(mc *machine) bool { return mc.group != g })...)
			m.mu.Unlock()
			m.endDelete(d, fresh)
			return nil
		}
	}
	m.mu.Unlock()
	return errNoGroup
}

// newCluster is what a managed cluster is created from.
type newCluster struct {
	name, datacenter, resource, version string
	masters, slaves                     int
}

const clusterNodesMax = 100

// CreateCluster asks for a managed cluster, which is listed after ListDelay.
func (m *Model) CreateCluster(n newCluster, by string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dc, ok := m.datacenter(n.datacenter)
	if !ok || strings.TrimSpace(n.name) == "" || n.version == "" || n.masters < 1 || n.slaves < 0 || n.masters > clusterNodesMax {
		return errLost
	}
	offer, ok := m.offerIn(n.datacenter, n.resource)
	if !ok {
		return refuse(http.StatusBadRequest, "Please select the right package for this OS")
	}
	if n.slaves > m.switches.WorkerCap {
		return errWorkerCap
	}
	now := time.Now().UTC()
	c := &cluster{
		id: m.nextID(), identifier: m.newIdentifier(), name: n.name, datacenter: dc, version: n.version,
		offer: offer, createdAt: now, updatedAt: now,
	}
	m.clusters = append(m.clusters, c)
	var g *group
	if n.slaves > 0 {
		g = m.newGroup(c, m.newHostname("GRP-"+offer.Nickname), offer)
	}
	m.after(time.Duration(m.switches.ListDelay), func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		c.listed = true
		for range n.masters {
			m.list(m.newNode(c, nil, order{role: RoleMaster, offer: offer, foreign: true, by: by}))
		}
		for range n.slaves {
			m.listLater(m.newNode(c, g, order{role: RoleSlave, offer: offer, by: by}))
		}
	})
	return nil
}

// DeleteCluster deletes a cluster and every node of it.
func (m *Model) DeleteCluster(identifier, by string) error {
	m.mu.Lock()
	c := m.cluster(identifier)
	if c == nil {
		m.mu.Unlock()
		return errNoCluster
	}
	c.listed = false
	m.clusters = slices.DeleteFunc(m.clusters, func(other *cluster) bool { return other == c })
	d := deletion{how: DeletedWithCluster, by: by}
	fresh := m.beginDelete(d, slices.Clone(c.nodes)...)
	m.mu.Unlock()
	m.endDelete(d, fresh)
	return nil
}
