package scaling

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/evacuation"
)

// Defaults of a NodeGroup's scale-down policy, for objects that the API server did not default.
const (
	thresholdDefault    = 50
	unneededForDefault  = 10 * time.Minute
	leavingMaxDefault   = 5
	drainFailedCooldown = 5 * time.Minute
)

// removal is a managed node that is looked at for removal.
type removal struct {
	group       *Group
	machine     *v1beta1.VPSieNode
	node        *Node
	utilization int64
	pods        int
	since       time.Time
	// price is a month's, if priced.
	price  money.Micros
	priced bool
}

// scaleDown finds the nodes that can go: what they run fits elsewhere, nothing protects them, and
// that has been so for long enough. A node that can go is taken out of the simulation before the
// next is looked at, so nodes that could replace only each other do not both go.
func (p *planner) scaleDown(m Memory) {
	simulator := evacuation.New(p.state, p.movable)
	p.makeWay(simulator)
	budgets := maps.Clone(p.snapshot.Budgets)
	leaving := map[string]int{}
	for _, g := range p.groups {
		leaving[g.name()] = p.counts[g.name()].leaving
	}
	for _, r := range p.removals(m) {
		refusal := p.keep(r, simulator, budgets, leaving)
		if refusal.Code != "" {
			p.plan.Kept[r.node.Name] = refusal
			continue
		}
		since, known := m.Unneeded[r.node.Name]
		if !known || since.After(p.now) {
			since = p.now
		}
		p.plan.Memory.Unneeded[r.node.Name] = since
		if refusal := p.hold(r, since, leaving); refusal.Code != "" {
			p.plan.Kept[r.node.Name] = refusal
			continue
		}
		leaving[r.group.name()]++
		p.retire(r, since)
	}
}

// makeWay gives the pods of nodes that leave the room that they will need: it is not there for those of others. What finds
// none now finds none on nodes that stay either.
func (p *planner) makeWay(simulator *evacuation.Simulator) {
	var names []string
	for _, m := range p.snapshot.Machines {
		if name := nodeName(m); isLeaving(m) && p.snapshot.Nodes[name] != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		node := p.snapshot.Nodes[name]
		index := p.state.AddNode(p.nodeOf(node))
		if _, ok := simulator.Remove(index, p.moves); ok {
			continue
		}
		p.state.RemoveNode(index)
		for _, id := range slices.Sorted(maps.Keys(node.Pods)) {
			item, left := p.snapshot.Items[id], node.Pods[id]
			if item == nil || !p.moves(item) {
				continue
			}
			for _, target := range p.movable {
				left -= p.state.PlaceUpTo(item, target, left)
			}
		}
	}
}

// moves reports whether pods of an item look for another place when their node goes. Those that are being deleted do not:
// whoever makes another in their stead has made it, or makes it then.
func (p *planner) moves(item *scheduling.Item) bool {
	return !item.Shape.IsDaemon() && !item.Shape.Terminating && !p.isExpendable(item)
}

// removals are the managed nodes in the order in which they would go: those that run nothing, so that no pod moves to one that
// could have gone; then those that have been unneeded longest, then the emptiest, then the dearest.
func (p *planner) removals(m Memory) []removal {
	var out []removal
	for _, machine := range p.snapshot.Machines {
		node := p.snapshot.Nodes[machine.Status.NodeName]
		group := p.find(groupOf(machine))
		if machine.Status.Phase != v1beta1.PhaseReady || isLeaving(machine) || node == nil || !p.works(machine) {
			continue
		}
		if group == nil {
			p.plan.Kept[node.Name] = Refusal{reason.NoScaleDownDisabled, "the node's NodeGroup does not exist any more; delete the VPSieNode to retire the machine"}
			continue
		}
		r := removal{group: group, machine: machine, node: node, since: m.Unneeded[node.Name]}
		r.price, r.priced = group.priceOf(machine)
		used := scheduling.Resources{}
		for id, n := range node.Pods {
			if item := p.snapshot.Items[id]; item != nil && p.moves(item) {
				used.Add(item.Shape.Requests, int64(n))
				r.pods += n
			}
		}
		r.utilization = scheduling.Utilization(used, node.Allocatable)
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b removal) int {
		return cmp.Or(
			cmp.Compare(min(a.pods, 1), min(b.pods, 1)),
			bySince(a.since, b.since),
			cmp.Compare(a.utilization, b.utilization),
			cmp.Compare(b.price, a.price),
			cmp.Compare(a.node.Name, b.node.Name),
		)
	})
	return out
}

// bySince puts earlier times first and unknown ones last.
func bySince(a, b time.Time) int {
	if a.IsZero() != b.IsZero() {
		if a.IsZero() {
			return 1
		}
		return -1
	}
	return a.Compare(b)
}

// keep says why a node cannot go. When it can, its pods are placed on other nodes and it leaves the
// simulation.
func (p *planner) keep(r removal, simulator *evacuation.Simulator, budgets, leaving map[string]int) Refusal {
	threshold := thresholdDefault
	if t := r.group.Spec.ScaleDown.UtilizationThreshold; t != nil {
		threshold = int(*t)
	}
	index, simulated := p.nodeIndex[r.node.Name]
	switch {
	case p.closedForGood(r.group):
		return p.closed[r.group.name()]
	case r.group.Spec.Mode == v1beta1.ModePaused:
		return Refusal{reason.NoScaleDownGroupPaused, "the group is paused"}
	case r.group.Spec.ScaleDown.Enabled != nil && !*r.group.Spec.ScaleDown.Enabled:
		return Refusal{reason.NoScaleDownDisabled, "scale-down is switched off for the group (scaleDown.enabled)"}
	case r.node.Protection != "":
		return Refusal{r.node.Protection, "an annotation or label of the node forbids its removal"}
	case !r.node.Ready || !simulated:
		return Refusal{reason.NoScaleDownNodeNotReady, "the node is not Ready, so what runs on it is not known for certain"}
	case r.pods > 0 && int(r.utilization) >= threshold:
		return Refusal{reason.NoScaleDownUtilization, fmt.Sprintf("pods request %d%% of the node, and the threshold is %d%%", r.utilization, threshold)}
	case p.awaited[index]:
		return Refusal{reason.NoScaleDownPendingPods, "pods are waiting that this node will take"}
	case p.becoming[index]:
		return Refusal{reason.NoScaleDownNodeNotReady, "the node still gets what nodes of its kind have: a device, a label, or an agent that takes its taint off"}
	}
	if failed, at := drainFailed(r.machine); failed && p.now.Sub(at) < drainFailedCooldown {
		p.due(at.Add(drainFailedCooldown))
		return Refusal{reason.NoScaleDownDrainFailed, "its last drain was given up a short while ago"}
	}
	if refusal := p.protected(r.node, budgets); refusal.Code != "" {
		return refusal
	}
	if name, c := r.group.name(), p.counts[r.group.name()]; c.ready-(leaving[name]-c.leaving) <= int(r.group.Spec.MinNodes) {
		// Machines on their way may never come, so they do not count. The node stays in the simulation: pods may move to it.
		return Refusal{reason.NoScaleDownMinSize, "the group would fall below its minimum of " + number(int(r.group.Spec.MinNodes), "node", "nodes")}
	}
	return p.move(r.node, index, simulator, budgets)
}

// closedForGood reports whether the group is in a state in which nothing may be removed either.
func (p *planner) closedForGood(g *Group) bool {
	switch p.closed[g.name()].Code {
	case reason.NoScaleUpGroupInvalid, reason.NoScaleUpUnauthorized, reason.NoScaleUpAPIUnavailable, reason.NoScaleUpClusterUnknown:
		return true
	}
	return false
}

// drainFailed tells whether and when the machine's last drain was given up.
func drainFailed(m *v1beta1.VPSieNode) (bool, time.Time) {
	for _, c := range m.Status.Conditions {
		if c.Type == v1beta1.ConditionDrained && c.Status == metav1.ConditionFalse && c.Reason != "Withdrawn" {
			return true, c.LastTransitionTime.Time
		}
	}
	return false, time.Time{}
}

// lastingRefusals are the refusals by which pods keep a node, those first that do not end by themselves.
var lastingRefusals = []reason.Code{
	reason.NoScaleDownPodProtected, reason.NoScaleDownPodBare, reason.NoScaleDownPodLocalStorage, reason.NoScaleDownPodKubeSystem,
	reason.NoScaleDownPodUnjudged, reason.NoScaleDownPodBudget,
}

// protected says which pod keeps the node: of several the one that does so for longest.
func (p *planner) protected(node *Node, budgets map[string]int) Refusal {
	var worst Refusal
	for id := range node.Pods {
		refusal := p.protectedPod(p.snapshot.Items[id], budgets)
		if refusal.Code == "" {
			continue
		}
		if order := cmp.Or(cmp.Compare(lasts(refusal), lasts(worst)), cmp.Compare(refusal.Message, worst.Message)); worst.Code == "" || order < 0 {
			worst = refusal
		}
	}
	return worst
}

func lasts(r Refusal) int { return slices.Index(lastingRefusals, r.Code) }

// protectedPod says why a pod keeps its node.
func (p *planner) protectedPod(item *scheduling.Item, budgets map[string]int) Refusal {
	if item == nil {
		return Refusal{reason.NoScaleDownPodUnjudged, "a pod on the node is not known in full yet"}
	}
	shape := item.Shape
	switch {
	case !p.moves(item):
		return Refusal{}
	case shape.Protection != "":
		return Refusal{shape.Protection, "a pod on the node must not be moved (" + string(shape.Protection) + ")"}
	case shape.Unjudged != "":
		return Refusal{reason.NoScaleDownPodUnjudged, "where a pod on the node could go is not known: " + whyUnjudged(shape)}
	case len(shape.Budgets) > 1:
		return Refusal{reason.NoScaleDownPodBudget, fmt.Sprintf("several PodDisruptionBudgets (%s) cover a pod on the node, and the Eviction API evicts no such pod; leave one of them",
			strings.Join(shape.Budgets, ", "))}
	}
	for _, budget := range shape.Budgets {
		if budgets[budget] <= 0 {
			return Refusal{reason.NoScaleDownPodBudget, "PodDisruptionBudget " + budget + " allows no disruption now"}
		}
	}
	return Refusal{}
}

// move takes the node out of the simulation and places its pods on others, or says which do not fit.
func (p *planner) move(node *Node, index int, simulator *evacuation.Simulator, budgets map[string]int) Refusal {
	stuck, ok := simulator.Remove(index, p.moves)
	if !ok {
		message := fmt.Sprintf("%d of its pods (%s) can go to no other node: %s", stuck.Count, describeShape(stuck.Item.Shape), stuck.Verdict.Message)
		if p.gone > 0 {
			message += "; " + number(p.gone, "other node that can go was", "other nodes that can go were") + " taken to be gone"
		}
		return Refusal{reason.NoScaleDownPodNoPlace, message}
	}
	p.gone++
	for id, n := range node.Pods {
		if item := p.snapshot.Items[id]; p.moves(item) {
			for _, budget := range item.Shape.Budgets {
				budgets[budget] -= n
			}
		}
	}
	return Refusal{}
}

func describeShape(s *scheduling.Shape) string {
	var parts []string
	for name, amount := range s.Requests {
		if name != "pods" {
			parts = append(parts, scheduling.FormatAmount(name, amount)+" "+string(name))
		}
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		return "no requests"
	}
	return strings.Join(parts, ", ")
}

// hold says why a node that can go does not go yet.
func (p *planner) hold(r removal, since time.Time, leaving map[string]int) Refusal {
	wait, most := unneededForDefault, leavingMaxDefault
	if d := r.group.Spec.ScaleDown.UnneededFor; d != nil {
		wait = d.Duration
	}
	if n := r.group.Spec.ScaleDown.MaxNodesPerStep; n != nil {
		most = int(*n)
	}
	name := r.group.name()
	switch {
	case p.now.Sub(since) < wait:
		p.due(since.Add(wait))
		return Refusal{reason.NoScaleDownUnneededFor, fmt.Sprintf("the node can go, and does once that has been so for %s", wait)}
	case leaving[name] >= most:
		return Refusal{reason.NoScaleDownStepLimit, number(leaving[name], "node of the group is", "nodes of the group are") + " leaving already (scaleDown.maxNodesPerStep)"}
	}
	return Refusal{}
}

func (p *planner) retire(r removal, since time.Time) {
	out := Retirement{
		Group: r.group.name(), Machine: r.machine.Name, Node: r.node.Name, Pods: r.pods, Reason: reason.ScaleDownUnneeded,
		Recommended: r.group.Spec.Mode == v1beta1.ModeRecommend, MonthlyPrice: r.price,
	}
	verb := "retire"
	if out.Recommended {
		verb = "would retire"
	}
	saves := "what it saves is not known"
	if r.priced {
		saves = "saves " + r.price.String() + " a month"
	}
	idle := p.now.Sub(since).Round(time.Second)
	if r.pods == 0 {
		out.Reason = reason.ScaleDownEmpty
		out.Message = fmt.Sprintf("%s %s: no pod has needed it for %s; %s", verb, r.node.Name, idle, saves)
	} else {
		out.Message = fmt.Sprintf("%s %s: its %s %d%% of it and would have fitted elsewhere for %s; %s",
			verb, r.node.Name, number(r.pods, "pod requests", "pods request"), r.utilization, idle, saves)
	}
	p.plan.Retirements = append(p.plan.Retirements, out)
}
