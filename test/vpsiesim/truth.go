package vpsiesim

import (
	"strings"
	"time"
)

// Role is what a machine is for.
type Role string

// The roles of machines.
const (
	RoleMaster Role = "master"
	RoleSlave  Role = "slave"
	RoleVM     Role = "vm"
)

// HowDeleted names the way a machine was deleted.
type HowDeleted string

// The ways a machine can be deleted.
const (
	DeletedByIdentifier HowDeleted = "delete/slave"
	DeletedByReduce     HowDeleted = "reduce"
	DeletedWithGroup    HowDeleted = "group"
	DeletedWithCluster  HowDeleted = "cluster"
	DeletedAsVM         HowDeleted = "vm"
	DeletedInConsole    HowDeleted = "console"
	DeletedByVanishing  HowDeleted = "vanish"
)

// PodsUnknown is the number of pods when nobody could count them.
const PodsUnknown = -1

// Machine is one row of the ledger; a zero time means that it has not happened.
type Machine struct {
	Identifier string `json:"identifier"`
	Hostname   string `json:"hostname"`
	Role       Role   `json:"role"`
	// State is requested, lost (accepted and never built), listed, registered, deleting or gone.
	State   string `json:"state"`
	Cluster string `json:"cluster,omitempty"`
	GroupID int    `json:"groupId,omitempty"`
	SizeID  int    `json:"sizeId"`
	VCPU    int    `json:"vcpu"`
	RAMMiB  int    `json:"ramMiB"`
	DiskGiB int    `json:"diskGiB"`
	Foreign bool   `json:"foreign"` // seeded, not launched

	RequestedAt       time.Time `json:"requestedAt"`
	ListedAt          time.Time `json:"listedAt,omitzero"`
	RegisteredAt      time.Time `json:"registeredAt,omitzero"`
	DeleteRequestedAt time.Time `json:"deleteRequestedAt,omitzero"`
	GoneAt            time.Time `json:"goneAt,omitzero"`

	PricePerHour Money `json:"pricePerHour"`
	// Cost runs from ListedAt to GoneAt.
	Cost Money `json:"cost"`

	RequestedBy    string     `json:"requestedBy,omitempty"`
	DeletedBy      string     `json:"deletedBy,omitempty"`
	HowDeleted     HowDeleted `json:"howDeleted,omitempty"`
	PodsAtDeletion int        `json:"podsAtDeletion"`
	BootError      string     `json:"bootError,omitempty"`
	NeverRegisters bool       `json:"neverRegisters,omitempty"`
	PrivateIP      string     `json:"privateIP"`

	KubeVersion      string `json:"-"`
	AllocatableShare int    `json:"-"` // percent
	DeleteNodeObject bool   `json:"-"`
}

// Alive reports whether VPSie lists the machine.
func (m Machine) Alive() bool { return !m.ListedAt.IsZero() && m.GoneAt.IsZero() }

// NodeName is the name under which the machine registers.
func (m Machine) NodeName() string { return strings.ToLower(m.Hostname) }

// Counts sums the ledger up; masters are left out.
type Counts struct {
	Alive           int `json:"alive"`
	Launched        int `json:"launched"`
	Foreign         int `json:"foreign"`
	Deleted         int `json:"deleted"`
	Pending         int `json:"pending"`
	Lost            int `json:"lost"`
	Registered      int `json:"registered"`
	NeverRegistered int `json:"neverRegistered"` // gone without a Node
	// DeletedWithPods counts deletions that hit running pods.
	DeletedWithPods int `json:"deletedWithPods"`
	AddsRequested   int `json:"addsRequested"`
	AddsAccepted    int `json:"addsAccepted"`
}

// MoneySpent is what all workers and plain machines cost; masters are free.
type MoneySpent struct {
	CostPerHour Money `json:"costPerHour"`
	CostTotal   Money `json:"costTotal"`
}

// GroupTruth is a node group as it is.
type GroupTruth struct {
	ID         int    `json:"id"`
	Identifier string `json:"identifier"`
	Name       string `json:"name"`
	SizeID     int    `json:"sizeId"`
	Deleted    bool   `json:"deleted"`
	Alive      int    `json:"alive"`
}

// ClusterTruth is a managed cluster as it is.
type ClusterTruth struct {
	Identifier string       `json:"identifier"`
	Name       string       `json:"name"`
	Workers    int          `json:"workers"` // listed
	Groups     []GroupTruth `json:"groups"`
}

// Truth is what really happened, whatever the product believes.
type Truth struct {
	At       time.Time      `json:"at"`
	Counts   Counts         `json:"counts"`
	Money    MoneySpent     `json:"money"`
	Clusters []ClusterTruth `json:"clusters"`
	Machines []Machine      `json:"machines"`
	Masters  []Machine      `json:"masters"`
	Calls    Calls          `json:"calls"`
}

// Find returns the machine with this identifier or hostname, which may be lower-cased.
func (t Truth) Find(name string) (Machine, bool) {
	for _, m := range t.Machines {
		if m.Identifier == name || strings.EqualFold(m.Hostname, name) {
			return m, true
		}
	}
	return Machine{}, false
}

// Truth returns a copy of the ledger.
func (m *Model) Truth() Truth {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := Truth{
		At: time.Now().UTC(), Calls: m.calls.snapshot(time.Now()),
		Machines: []Machine{}, Masters: []Machine{}, Clusters: []ClusterTruth{},
	}
	t.Counts.AddsRequested, t.Counts.AddsAccepted = m.adds.requested, m.adds.accepted
	for _, mc := range m.machines {
		row := mc.row(t.At)
		if row.Role == RoleMaster {
			t.Masters = append(t.Masters, row)
			continue
		}
		t.Machines = append(t.Machines, row)
		t.Counts.count(row)
		t.Money.CostTotal += row.Cost
		if row.Alive() {
			t.Money.CostPerHour += row.PricePerHour
		}
	}
	for _, c := range m.clusters {
		if c.listed {
			t.Clusters = append(t.Clusters, c.truth())
		}
	}
	return t
}

func (c *Counts) count(m Machine) {
	add := func(n *int, when bool) {
		if when {
			*n++
		}
	}
	add(&c.Alive, m.Alive())
	add(&c.Foreign, m.Foreign)
	add(&c.Launched, !m.Foreign && m.State != "requested" && m.State != "lost")
	add(&c.Deleted, !m.GoneAt.IsZero() && !m.ListedAt.IsZero())
	add(&c.Pending, m.State == "requested")
	add(&c.Lost, m.State == "lost")
	add(&c.Registered, !m.RegisteredAt.IsZero())
	add(&c.NeverRegistered, !m.GoneAt.IsZero() && m.RegisteredAt.IsZero())
	add(&c.DeletedWithPods, m.PodsAtDeletion > 0)
}

// row is the ledger row at a moment.
func (mc *machine) row(at time.Time) Machine {
	r := mc.Machine
	r.State = mc.state()
	if !r.ListedAt.IsZero() && r.Role != RoleMaster {
		end := at
		if !r.GoneAt.IsZero() {
			end = r.GoneAt
		}
		r.Cost = r.PricePerHour.Cost(end.Sub(r.ListedAt))
	}
	return r
}

func (mc *machine) state() string {
	switch {
	case mc.lost:
		return "lost"
	case !mc.GoneAt.IsZero():
		return "gone"
	case !mc.DeleteRequestedAt.IsZero():
		return "deleting"
	case !mc.RegisteredAt.IsZero():
		return "registered"
	case !mc.ListedAt.IsZero():
		return "listed"
	}
	return "requested"
}

func (c *cluster) truth() ClusterTruth {
	t := ClusterTruth{Identifier: c.identifier, Name: c.name, Groups: []GroupTruth{}}
	alive := map[int]int{}
	for _, mc := range c.nodes {
		if mc.Role == RoleSlave && !mc.ListedAt.IsZero() {
			t.Workers++
			alive[mc.GroupID]++
		}
	}
	for _, g := range c.groups {
		t.Groups = append(t.Groups, GroupTruth{
			ID: g.id, Identifier: g.identifier, Name: g.name, SizeID: g.offer.ID, Deleted: !g.droppedAt.IsZero(), Alive: alive[g.id],
		})
	}
	return t
}
