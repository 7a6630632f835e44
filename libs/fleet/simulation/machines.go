package simulation

import (
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
)

const (
	// freshFor is how long after its first Ready a Node may still be on its way into the feed, or wear
	// the taints that Kubernetes takes off a new Node a moment later.
	freshFor = time.Minute
	// becomingFor is how long after its first Ready a machine's Node is expected to get the devices and labels of its kind,
	// and to lose the taints that agents take off. From then on it is what it is.
	becomingFor = 10 * time.Minute
	// SettleMax is how long after a machine's first Ready its Node may still be filled with the pods that it was launched for.
	SettleMax = time.Minute
)

// isFresh reports whether the machine's Node is not yet what it will be.
func (c *Cluster) isFresh(m *v1beta1.VPSieNode) bool {
	return m.Status.Phase != v1beta1.PhaseReady || m.Status.ReadyAt != nil && c.now.Sub(m.Status.ReadyAt.Time) < freshFor
}

// isBecoming reports whether the machine's Node may still get what its kind has.
func (c *Cluster) isBecoming(m *v1beta1.VPSieNode) bool {
	return m.Status.ReadyAt != nil && c.now.Sub(m.Status.ReadyAt.Time) < becomingFor
}

// IsLaunching reports whether the machine is on its way and may still come in time.
func (c *Cluster) IsLaunching(m *v1beta1.VPSieNode) bool {
	return m.Status.Phase != v1beta1.PhaseReady && !fleet.IsLeaving(m) && !fleet.HasFailed(m) && !outage.IsHeld(m)
}

// IsFilling reports whether pods are nominated to a machine that is on its way, or that opened a moment ago.
func (c *Cluster) IsFilling(m *v1beta1.VPSieNode) bool {
	return m.Status.ReadyAt == nil || m.Status.ReadyAt.Add(SettleMax).After(c.now)
}

// Survey finds the machines that should have a Ready Node, and counts those without by group.
func (c *Cluster) Survey() (all []outage.Machine, failing map[string]int) {
	failing = map[string]int{}
	judged := map[string]bool{}
	for _, machine := range c.Snapshot.Machines {
		if !outage.Counts(machine, outage.IsHeld(machine)) {
			judged[fleet.NodeName(machine)] = c.IsLaunching(machine)
			continue
		}
		judged[fleet.NodeName(machine)] = true
		fails := !c.Works(machine)
		all = append(all, outage.Machine{Group: fleet.GroupOf(machine), Failing: fails})
		if fails {
			failing[fleet.GroupOf(machine)]++
		}
	}
	for name, node := range c.Snapshot.Nodes {
		if !judged[name] {
			all = append(all, outage.Machine{Failing: !node.Ready})
		}
	}
	return all, failing
}

// Works reports whether the machine has a Ready Node, or has one that the feed may not show yet.
func (c *Cluster) Works(m *v1beta1.VPSieNode) bool {
	if node := c.Snapshot.Nodes[fleet.NodeName(m)]; node != nil && node.Ready || c.isUnseen(m) {
		return true
	}
	if m.Status.ReadyAt == nil {
		return false
	}
	// The provisioner rounds the time up to a whole second, and its clock may be ahead.
	return c.now.Sub(m.Status.ReadyAt.Time).Abs() < freshFor
}

// isUnseen reports whether the provisioner sees a Ready Node where the feed shows none: the feed is behind.
func (c *Cluster) isUnseen(m *v1beta1.VPSieNode) bool {
	return c.Snapshot.Nodes[fleet.NodeName(m)] == nil && m.Status.Phase == v1beta1.PhaseReady && m.Status.ReadySince != nil
}
