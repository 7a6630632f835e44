package scaling

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/text"
)

// explain says of a shape which group launches for it, and why the others do not.
func (p *planner) explain(id scheduling.ShapeID) {
	fate := p.plan.Shapes[id]
	for _, l := range p.plan.Launches {
		if l.Pods[id] > 0 && !l.Recommended {
			fate.Launch = l.Group
		}
	}
	if fate.Left > 0 && fate.Refusal.Code == "" {
		item := p.snapshot.Items[id]
		fate.ByGroup = map[string]Refusal{}
		for _, g := range p.cluster.Groups {
			refusal, weighed := p.refuse(g, item)
			fate.Candidates = append(fate.Candidates, weighed...)
			fate.ByGroup[g.Key()] = refusal
		}
		fate.Refusal, fate.Nearest = p.summarise(fate.ByGroup)
	}
	if fate.Held > 0 && fate.Left == 0 {
		fate.Refusal = Refusal{Code: reason.HoldMachinesFilling, Message: "Nodes that opened a moment ago may still take the pod; if kube-scheduler fills them without it, a machine is launched for it"}
	}
	slices.SortStableFunc(fate.Candidates, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(scheduling.Remoteness(a.Rejection), scheduling.Remoteness(b.Rejection)), cmp.Compare(a.MonthlyPrice, b.MonthlyPrice))
	})
	fate.Candidates = shownOf(fate.Candidates)
	p.plan.Shapes[id] = fate
}

// groupsShown bounds the groups that the message to a pod names.
const groupsShown = 3

// summarise makes one refusal of all groups' for a pod: it names the groups that could serve it, or else those that are nearest to
// doing so, and counts the others. It returns the nearest as well.
func (p *planner) summarise(byGroup map[string]Refusal) (Refusal, string) {
	if len(p.cluster.Groups) == 0 {
		return Refusal{Code: reason.NoScaleUpNoGroup, Message: "there is no NodeGroup, so nothing can be launched; create one"}, ""
	}
	groups := slices.Clone(p.cluster.Groups)
	remoteness := func(g *fleet.Group) int { return scheduling.Remoteness(byGroup[g.Key()].Code) }
	slices.SortStableFunc(groups, func(a, b *fleet.Group) int {
		return cmp.Or(cmp.Compare(remoteness(a), remoteness(b)), cmp.Compare(b.Spec.Weight, a.Spec.Weight))
	})
	could := 0
	for _, g := range groups {
		if remoteness(g) < 0 { // the machine would do, and something else forbids it
			could++
		}
	}
	shown := min(cmp.Or(could, len(groups)), groupsShown)
	var texts []string
	for _, g := range groups[:shown] {
		texts = append(texts, g.Key()+": "+byGroup[g.Key()].Message)
	}
	if more := could - shown; more > 0 {
		texts = append(texts, text.Count(more, "other group could serve the pod but may not launch a machine either", "other groups could serve the pod but may not launch a machine either"))
	}
	if misfits := len(groups) - max(could, shown); misfits > 0 {
		texts = append(texts, text.Count(misfits, "other group does not fit the pod", "other groups do not fit the pod"))
	}
	nearest := groups[0].Key()
	return Refusal{byGroup[nearest].Code, strings.Join(texts, "; "), byGroup[nearest].Parameters}, nearest
}

// candidatesMax bounds the sizes that a record names: with a hundred groups and four hundred sizes no object could carry all of them.
const candidatesMax = 20

// shownOf are the first candidate of each group, since each group's condition shows its refusal, and others up to candidatesMax.
func shownOf(candidates []Candidate) []Candidate {
	groups := map[string]bool{}
	var shown, others []Candidate
	for _, c := range candidates {
		if groups[c.Group] {
			others = append(others, c)
			continue
		}
		groups[c.Group] = true
		shown = append(shown, c)
	}
	return append(shown, others[:min(len(others), max(candidatesMax-len(shown), 0))]...)
}

// refuse says why a group does not serve a shape that nothing serves.
func (p *planner) refuse(g *fleet.Group, item *scheduling.Item) (Refusal, []Candidate) {
	if refusal, shut := p.closed[g.Key()]; shut {
		return refusal, []Candidate{{Group: g.Key(), Rejection: refusal.Code, Message: refusal.Message}}
	}
	var verdicts []scheduling.Verdict
	var weighed []Candidate
	for _, o := range p.offerings[g.Key()] {
		verdict := p.cluster.State.CheckNew(item, p.cluster.Option(g, o).Empty)
		if verdict.OK() {
			refusal := p.refuseFitting(g)
			return refusal, append(weighed, Candidate{Group: g.Key(), Offering: o.Name, MonthlyPrice: o.MonthlyPrice, Rejection: refusal.Code, Message: refusal.Message})
		}
		weighed = append(weighed, Candidate{Group: g.Key(), Offering: o.Name, MonthlyPrice: o.MonthlyPrice, Rejection: verdict.Code, Message: verdict.Message})
		verdict.Message = "a new " + o.Name + ": " + verdict.Message
		verdicts = append(verdicts, verdict)
	}
	nearest := scheduling.Nearest(verdicts)
	advice := map[reason.Code]string{
		reason.NoScaleUpResources:      "lower the pod's requests or allow larger sizes in the group",
		reason.NoScaleUpSelector:       "add the labels to spec.template.labels or change the pod's selector",
		reason.NoScaleUpTaint:          "add the toleration to the pod or take the taint off the group",
		reason.NoScaleUpTopologySpread: "allow a group in another topology domain, or relax the pod's topology spread",
		reason.NoScaleUpPodAffinity:    "relax the pod's affinity, or start the pods that it wants to be near",
		reason.NoScaleUpVolume:         "add a group where the pod's volumes are, or make volumes where a group is",
		reason.NoScaleUpAttachLimit:    "use fewer volumes in the pod",
	}[nearest.Code]
	message := nearest.Message + "; nothing is launched because the pod would not fit on a new node"
	if advice != "" {
		message += "; " + advice
	}
	return Refusal{Code: nearest.Code, Message: message}, weighed
}

// refuseFitting says why a group that could serve a shape does not.
func (p *planner) refuseFitting(g *fleet.Group) Refusal {
	if g.Policy().Recommends() {
		return Refusal{Code: reason.NoScaleUpGroupRecommend, Message: "the group's mode is Recommend, so the recommended machines are not launched; set spec.mode to Enforce to launch them"}
	}
	return p.refuseMore(g)
}

// refuseMore says why a group may launch no more machines, whatever its mode is.
func (p *planner) refuseMore(g *fleet.Group) Refusal {
	c := p.counts[g.Key()]
	switch {
	case int(g.Spec.MaxNodes)-c.Machines-p.launched(g.Key()) <= 0:
		return Refusal{reason.NoScaleUpGroupMaxSize, fmt.Sprintf("the group's existing and launching nodes have reached maxNodes (%d), so no further machine is launched; raise maxNodes to allow more", g.Spec.MaxNodes),
			reason.Values{reason.ParamMaxNodes: reason.CountOf(g.Spec.MaxNodes)}}
	case p.failsToJoin(g) != "":
		return Refusal{Code: reason.NoScaleUpFailingTogether, Message: p.failsToJoin(g) + "; the group launches one machine at a time until one joins; check what the machines have in common"}
	case p.isAtStep(g):
		return refuseByStep(g, "one decision may launch no more machines for the group (scaleUp.maxNodesPerStep); the next decision continues")
	}
	return p.refuseByLimit(g)
}

func refuseByStep(g *fleet.Group, message string) Refusal {
	return Refusal{reason.NoScaleUpStepLimit, message, reason.Values{reason.ParamMaxNodesPerStep: reason.CountOf(g.Policy().ScaleUp.NodesPerStepMax)}}
}

func (p *planner) launched(group string) int {
	for _, l := range p.plan.Launches {
		if l.Group == group && !l.Recommended {
			return len(l.Machines)
		}
	}
	return 0
}

// describe writes down what is launched, for what, at what price, and what else was weighed.
func (p *planner) describe(l *Launch) {
	bySize := map[string]int{}
	for _, m := range l.Machines {
		bySize[m.OfferingName]++
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(bySize)) {
		parts = append(parts, fmt.Sprintf("%d × %s", bySize[name], name))
	}
	pods := 0
	for _, n := range l.Pods {
		pods += n
	}
	why := text.Count(pods, "pod that fits", "pods that fit") + " nowhere"
	if l.Reason == reason.ScaleUpMinNodes {
		least := p.cluster.Find(l.Group).Spec.MinNodes
		why = "the minimum of " + text.Count(int(least), "node", "nodes")
		if !l.Recommended {
			l.Parameters = reason.Values{reason.ParamMinNodes: reason.CountOf(least)}
		}
	}
	verb := "launch"
	if l.Recommended {
		verb = "would launch"
	}
	l.Message = fmt.Sprintf("%s %s for %s: %s a month (%s an hour)", verb, strings.Join(parts, " and "), why, l.MonthlyPrice, l.MonthlyPrice.PerHour())
	for _, g := range p.cluster.Groups {
		for _, o := range g.Wanted() {
			c := Candidate{Group: g.Key(), Offering: o.Name, MonthlyPrice: o.MonthlyPrice}
			if g.Key() == l.Group {
				c.Nodes = bySize[o.Name]
			}
			if c.Nodes == 0 {
				c.Rejection, c.Message = reason.NoScaleUpCostlier, "another offering serves the same pods for less"
				if refusal, shut := p.closed[g.Key()]; shut {
					c.Rejection, c.Message = refusal.Code, refusal.Message
				} else if o.BackoffUntil.After(p.now) {
					c.Rejection, c.Message = reason.NoScaleUpOfferingBackoff, o.BackoffMessage+"; it is requested again at "+minute(o.BackoffUntil)
				}
			}
			l.Candidates = append(l.Candidates, c)
		}
	}
	slices.SortStableFunc(l.Candidates, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(b.Nodes, a.Nodes), cmp.Compare(a.MonthlyPrice, b.MonthlyPrice))
	})
	l.Candidates = l.Candidates[:min(len(l.Candidates), candidatesMax)]
}
