package scaling

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/text"
)

// report writes what each group's status says.
func (p *planner) report() {
	pending := p.pendingPods()
	for _, g := range p.cluster.Groups {
		c := p.counts[g.Key()]
		r := Report{
			Nodes: c.Machines, ReadyNodes: c.Ready, LaunchingNodes: c.Launching, LeavingNodes: c.Leaving,
			MonthlyCost: c.Cost, CostKnown: c.Unpriced == 0, DesiredNodes: c.Staying(), PendingPods: pending[g.Key()],
		}
		for _, l := range p.plan.Launches {
			if l.Group == g.Key() && !l.Recommended {
				r.DesiredNodes += len(l.Machines)
			}
		}
		for _, retirement := range p.plan.Retirements {
			if retirement.Group == g.Key() && !retirement.Recommended {
				r.DesiredNodes--
			}
		}
		r.Conditions = []Condition{
			p.ready(g), apiHealthy(g), p.capacity(g), p.active(g, r), p.nodesHealthy(g),
			{v1beta1.ConditionAtMinimum, truth(r.DesiredNodes <= int(g.Spec.MinNodes)), "NodeCount", fmt.Sprintf("minNodes is %d", g.Spec.MinNodes)},
			{v1beta1.ConditionAtMaximum, truth(c.Machines >= int(g.Spec.MaxNodes)), "NodeCount", fmt.Sprintf("maxNodes is %d", g.Spec.MaxNodes)},
		}
		p.plan.Groups[g.Key()] = r
	}
}

func truth(is bool) Truth {
	if is {
		return True
	}
	return False
}

// pendingPods counts, by group, the waiting pods that are the group's concern: those that its nodes, its machines on their way or
// its launches will serve, and those left that it was considered for. Pods that only its labels and taints exclude are not.
func (p *planner) pendingPods() map[string]int {
	pods, groups := map[string]int{}, map[string]string{}
	for _, m := range p.snapshot.Machines {
		groups[m.Name] = fleet.GroupOf(m) // the name of a machine whose Node's is not known yet
	}
	maps.Copy(groups, p.plan.NodeGroups)
	for _, placed := range p.packing.Placements {
		if group, managed := groups[p.cluster.State.NodeName(placed.Node)]; managed {
			pods[group] += placed.Count
		}
	}
	for node, count := range p.cluster.ServedBy {
		if group, managed := groups[node]; managed {
			pods[group] += count
		}
	}
	for i := range p.plan.Launches {
		if l := &p.plan.Launches[i]; !l.Recommended {
			for _, n := range l.Pods {
				pods[l.Group] += n
			}
		}
	}
	for _, fate := range p.plan.Shapes {
		for group, refusal := range fate.ByGroup {
			if !isMismatch(refusal.Code) {
				pods[group] += fate.Left
			}
		}
	}
	return pods
}

// isMismatch reports whether a refusal says that the pods are not meant for the group.
func isMismatch(code reason.Code) bool {
	return code == reason.NoScaleUpSelector || code == reason.NoScaleUpTaint
}

// ready says whether the group's specification can be acted on. An outage of the API does not make
// a good specification bad; APIHealthy tells of it.
func (p *planner) ready(g *fleet.Group) Condition {
	refusal := p.closed[g.Key()]
	c := Condition{Type: v1beta1.ConditionReady, Status: False, Reason: refusal.Code.Condition(), Message: refusal.Message}
	switch {
	case isMisconfigured(refusal.Code):
		return c
	case isOutage(refusal.Code) && (!g.Catalogue.Known || !g.Catalogue.ClusterKnown):
		c.Status = Unknown
		return c
	}
	return p.valid(g)
}

// isMisconfigured reports whether a refusal says that a person has to correct the group or the credentials.
func isMisconfigured(code reason.Code) bool {
	switch code {
	case reason.NoScaleUpGroupInvalid, reason.NoScaleUpUnauthorized, reason.NoScaleUpClusterUnknown, reason.NoScaleUpOfferingUnknown, reason.NoScaleUpNoOffering:
		return true
	}
	return false
}

// isOutage reports whether a refusal says that VPSie or the provisioner does not answer.
func isOutage(code reason.Code) bool {
	return code == reason.NoScaleUpCatalogueUnknown || code == reason.NoScaleUpAPIUnavailable
}

func (p *planner) valid(g *fleet.Group) Condition {
	message := text.Count(len(g.Wanted()), "size", "sizes") + " can be launched"
	if unknown := p.unknownOfferings(g); len(unknown) > 0 {
		message += fmt.Sprintf("; not sold in datacenter %s: %v", g.Spec.Cluster.Datacenter, unknown)
	}
	return Condition{v1beta1.ConditionReady, True, "Valid", message}
}

func (p *planner) unknownOfferings(g *fleet.Group) []int64 {
	var unknown []int64
	for _, id := range g.Spec.Offerings {
		if !slices.ContainsFunc(g.Catalogue.Offerings, func(o fleet.Offering) bool { return o.ID == id }) {
			unknown = append(unknown, id)
		}
	}
	return unknown
}

func apiHealthy(g *fleet.Group) Condition {
	c := Condition{Type: v1beta1.ConditionAPIHealthy, Status: True, Reason: "Healthy", Message: "VPSie answers"}
	switch g.Catalogue.Health {
	case fleet.HealthUnknown:
		c.Status, c.Reason, c.Message = Unknown, "NotAskedYet", "VPSie has not been called yet, or the provisioner does not answer"
	case fleet.Unauthorized:
		c.Status, c.Reason = False, "Unauthorized"
		c.Message = "VPSie refuses the credentials (" + g.Catalogue.HealthMessage + "), so no machine can be launched or terminated; they are read and tried again every few seconds; put a valid token where the provisioner reads it"
	case fleet.Unavailable:
		c.Status, c.Reason = False, "BreakerOpen"
		c.Message = "VPSie's API fails (" + g.Catalogue.HealthMessage + "), so the circuit breaker is open and no machine is launched or terminated; a call is tried every few seconds and work resumes automatically; nothing needs to be done unless this lasts"
	}
	return c
}

// told is a refusal as people are told it.
type told struct {
	code    reason.Code
	message string
}

// capacity says whether the group leaves pods waiting that it was considered for, or else whether it stays below its minimum.
func (p *planner) capacity(g *fleet.Group) Condition {
	waiting, pods := 0, map[told]int{}
	for _, fate := range p.plan.Shapes {
		if fate.Left == 0 || fate.Arriving || fate.Launch != "" {
			continue
		}
		refusal, judged := fate.ByGroup[g.Key()]
		// Pods that another group was nearer to serve are not this one's concern.
		if !judged || isMismatch(refusal.Code) && refusal.Code != fate.Refusal.Code {
			continue
		}
		waiting += fate.Left
		pods[told{refusal.Code, refusal.Message}] += fate.Left
	}
	if short := p.plan.Refused[g.Key()]; waiting == 0 && short.Missing > 0 {
		c := Condition{v1beta1.ConditionCapacityAvailable, False, short.Code.Condition(), short.Message}
		if short.Code == reason.NoScaleUpCatalogueUnknown {
			c.Status = Unknown // of a new group it is for a moment
		}
		return c
	}
	if waiting == 0 {
		return Condition{v1beta1.ConditionCapacityAvailable, True, "NothingWaits", "the group leaves no pods pending"}
	}
	// Of several refusals that one is told which is nearest to success, or of which most pods are told.
	nearest := slices.MinFunc(slices.Collect(maps.Keys(pods)), func(a, b told) int {
		return cmp.Or(cmp.Compare(scheduling.Remoteness(a.code), scheduling.Remoteness(b.code)), cmp.Compare(pods[b], pods[a]),
			cmp.Compare(a.code, b.code), cmp.Compare(a.message, b.message))
	})
	return Condition{v1beta1.ConditionCapacityAvailable, False, nearest.code.Condition(), "the group does not serve pending pods: " + nearest.message}
}

func (p *planner) active(g *fleet.Group, r Report) Condition {
	launched, retired := p.launched(g.Key()), 0
	for _, retirement := range p.plan.Retirements {
		if retirement.Group == g.Key() && !retirement.Recommended {
			retired++
		}
	}
	switch {
	case p.snapshot.Paused != "":
		return Condition{v1beta1.ConditionScalingActive, False, reason.HoldPaused.Condition(), p.snapshot.Paused}
	case r.LaunchingNodes+launched > 0:
		return Condition{v1beta1.ConditionScalingActive, True, "ScalingUp", "machines are being launched"}
	case r.LeavingNodes+retired > 0:
		return Condition{v1beta1.ConditionScalingActive, True, "ScalingDown", "machines are being retired"}
	}
	return Condition{v1beta1.ConditionScalingActive, False, "Idle", "no machines are being launched or retired"}
}
