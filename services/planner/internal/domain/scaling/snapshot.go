// Package scaling decides which machines to buy and which to retire, and says why.
package scaling

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// Snapshot is everything that a plan depends on, but its time and the memory of earlier ones.
type Snapshot struct {
	// Revision of the feed, and the Epoch in which it counts.
	Revision uint64
	Epoch    string
	Items    map[scheduling.ShapeID]*scheduling.Item
	Nodes    map[string]*scheduling.Node
	Pending  map[scheduling.ShapeID]*scheduling.Pending
	// Daemons are the shapes of DaemonSets' pods, by name of the DaemonSet.
	Daemons map[string]scheduling.ShapeID
	// Budgets are the disruptions that each PodDisruptionBudget allows, by namespace/name.
	Budgets map[string]int
	// Namespaces are the labels of each namespace.
	Namespaces map[string]map[string]string
	// Groups are the NodeGroups with what can be bought for each.
	Groups []Group
	// Machines are the VPSieNodes, those included that were made a moment ago.
	Machines []*v1beta1.VPSieNode
	// Paused says who stopped everything and why, empty while nobody did.
	Paused string
	// Buy is how much may be bought at once: less while more pods are on their way.
	Buy Buy
}

// Buy is how much of what waiting pods need is bought.
type Buy int

const (
	// BuyAll buys for every pod.
	BuyAll Buy = iota
	// BuySettled buys for every pod unless machines opened a moment ago and pods that were planned for them still wait: kube-scheduler
	// is about to place those, and which pods it leaves over shows then.
	BuySettled
	// BuySure buys the machines that a plan for more pods of the same kinds would contain as well.
	BuySure
	// BuyNothing leaves purchases for pods to a later plan.
	BuyNothing
)

// Group is a NodeGroup and what can be bought for it.
type Group struct {
	*v1beta1.NodeGroup
	Catalogue Catalogue
}

// Name is namespace/name.
func (g *Group) name() string { return g.Namespace + "/" + g.Name }

// Health is how VPSie's API is doing.
type Health int

const (
	// HealthUnknown means that nobody could tell.
	HealthUnknown Health = iota
	// Healthy means that calls are answered.
	Healthy
	// Unauthorized means that VPSie refuses the credentials.
	Unauthorized
	// Unavailable means that calls fail and are kept back.
	Unavailable
)

// Catalogue is what VPSie sells for one cluster.
type Catalogue struct {
	Health        Health
	HealthMessage string
	// ClusterKnown says that VPSie was asked for the cluster; ClusterFound what it answered.
	ClusterKnown, ClusterFound bool
	ClusterMessage             string
	// Known says that the offerings were read at least once; without it they are unknown, not none.
	Known     bool
	Offerings []Offering
}

// Offering is a size, and whether purchases of it pause.
type Offering struct {
	scheduling.Offering
	BackoffUntil   time.Time
	BackoffReason  reason.Code
	BackoffMessage string
}

func groupOf(m *v1beta1.VPSieNode) string { return m.Namespace + "/" + m.Spec.NodeGroup }

// isLeaving reports whether a machine was asked to go.
func isLeaving(m *v1beta1.VPSieNode) bool {
	return m.DeletionTimestamp != nil || m.Spec.Retirement != nil ||
		m.Status.Phase == v1beta1.PhaseDraining || m.Status.Phase == v1beta1.PhaseDeleting
}

// isFailed reports whether no machine came of an intent, so that it is no capacity and costs nothing.
func isFailed(m *v1beta1.VPSieNode) bool {
	return m.Status.Phase == v1beta1.PhaseFailed && m.Status.Identifier == ""
}

// nodeName is the name of the machine's Node, empty while it is unknown.
func nodeName(m *v1beta1.VPSieNode) string {
	if m.Status.NodeName != "" {
		return m.Status.NodeName
	}
	return strings.ToLower(m.Status.Hostname)
}

// counts are the machines of a group.
type counts struct {
	// machines exist or may come to exist, those that leave included.
	machines, launching, leaving, ready int
	// cost is the price of the machines that VPSie has, unpriced counts those without a known price.
	cost     money.Micros
	unpriced int
}

// staying are the machines that nobody asked to leave.
func (c counts) staying() int { return c.machines - c.leaving }

func (s *Snapshot) count(g *Group) counts {
	var c counts
	for _, m := range s.Machines {
		if groupOf(m) != g.name() || isFailed(m) || sabotage.InFlightCounting() && m.Status.Phase != v1beta1.PhaseReady && !isLeaving(m) {
			continue
		}
		c.machines++
		if m.Status.Identifier != "" {
			price, known := g.priceOf(m)
			if c.cost += price; !known {
				c.unpriced++
			}
		}
		node := s.Nodes[nodeName(m)]
		switch {
		case isLeaving(m):
			c.leaving++
		case m.Status.Phase == v1beta1.PhaseReady:
			if node != nil && node.Ready {
				c.ready++
			}
		default:
			c.launching++
		}
	}
	return c
}

// groups returns the groups in the order of their names.
func (s *Snapshot) groups() []*Group {
	out := make([]*Group, len(s.Groups))
	for i := range s.Groups {
		out[i] = &s.Groups[i]
	}
	slices.SortFunc(out, func(a, b *Group) int { return cmp.Compare(a.name(), b.name()) })
	return out
}

// daemons returns the shapes of all DaemonSets' pods, in the order of the DaemonSets' names.
func (s *Snapshot) daemons() []*scheduling.Item {
	names := make([]string, 0, len(s.Daemons))
	for name := range s.Daemons {
		names = append(names, name)
	}
	slices.Sort(names)
	var items []*scheduling.Item
	for _, name := range names {
		if item := s.Items[s.Daemons[name]]; item != nil {
			items = append(items, item)
		}
	}
	return items
}
