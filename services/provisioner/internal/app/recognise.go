package app

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

// recognise finds the machines that requests brought, and gives up requests that brought none.
func (c *Clusters) recognise(ctx context.Context, v *view, listed []launch.Listed) (bool, error) {
	if len(v.waiting) == 0 {
		return false, nil
	}
	nodes, now, progress := v.byKey(), c.clock.Now(), false
	answers := launch.Assign(v.waiting, listed, v.claimed())
	spare := unassigned(listed, v.claimed(), answers)
	for _, w := range v.waiting {
		n := nodes[w.Intent]
		machine, found := answers[w.Intent]
		if !found {
			if err := c.giveUp(ctx, n, spare, now); err != nil {
				return progress, err
			}
			continue
		}
		from := n.Status.Phase
		written, err := c.store.UpdateStatus(ctx, n, func(n *v1beta1.VPSieNode) bool {
			answered := answerable(n)
			if answered == nil {
				return false
			}
			c.joined(n, answered, machine, now)
			return true
		})
		if err != nil {
			if ignoreGone(err) == nil {
				continue // it is listed as nobody's next time
			}
			return progress, err
		}
		if written {
			progress = true
			c.log.InfoContext(ctx, "machine is listed", telemetry.KeyVPSieNode, w.Intent, telemetry.KeyMachine, machine.Identifier)
			c.facts.PhaseChanged(ctx, n, from, n.Status.Phase, "VPSie lists the machine as "+machine.Hostname)
		}
	}
	return progress, nil
}

// joined records the machine that answers a request.
func (c *Clusters) joined(n *v1beta1.VPSieNode, answered *v1beta1.LaunchAttempt, machine launch.Listed, now time.Time) {
	n.Status.Identifier, n.Status.Hostname = machine.Identifier, machine.Hostname
	n.Status.LaunchedAt = timestamp(now)
	answered.Outcome, answered.Reason, answered.Message = v1beta1.LaunchAccepted, "", ""
	if n.Status.MonthlyPrice == nil {
		if o, ok := c.catalogue.Offering(n.Spec.Cluster.Datacenter, n.Spec.Offering); ok {
			n.Status.MonthlyPrice = o.MonthlyPrice.Quantity()
		}
	}
	if n.Status.Phase != v1beta1.PhaseDeleting && n.Status.Phase != v1beta1.PhaseDraining {
		setPhase(n, v1beta1.PhaseJoining)
	}
	setCondition(n, v1beta1.ConditionLaunched, true, "Listed", "VPSie lists the machine as "+machine.Hostname)
	setCondition(n, v1beta1.ConditionReady, false, "AwaitingNode", "the machine boots; its Node "+strings.ToLower(machine.Hostname)+" is awaited until the launch deadline")
}

// unassigned are the listed machines that nobody claims and that answer no request.
func unassigned(listed []launch.Listed, claimed map[string]bool, answers map[string]launch.Listed) []string {
	taken := maps.Clone(claimed)
	for _, machine := range answers {
		taken[machine.Identifier] = true
	}
	return launch.Foreign(listed, taken)
}

// giveUp decides on a request that no listing answers: an unclear one is taken for not made after
// the settle time, one that VPSie accepted fails at the launch deadline. While a machine is listed
// that came after the request and is nobody's, it may be the answer all the same, so nothing is asked
// for again.
func (c *Clusters) giveUp(ctx context.Context, n *v1beta1.VPSieNode, spare []string, now time.Time) error {
	if !isOpen(n) {
		return nil
	}
	_, err := c.store.UpdateStatus(ctx, n, func(n *v1beta1.VPSieNode) bool {
		a := lastAttempt(n)
		if a == nil || !isOpen(n) {
			return false
		}
		stray := slices.ContainsFunc(spare, func(id string) bool { return !slices.Contains(a.Foreign, id) })
		switch {
		case (a.Outcome == v1beta1.LaunchAccepted || stray) && now.After(deadline(n)):
			a.Reason = string(reason.LaunchNoMachine)
			a.Message = "VPSie listed no machine that answers the request until the launch deadline"
			a.Outcome = v1beta1.LaunchRefused
			setPhase(n, v1beta1.PhaseFailed)
		case stray:
			return setCondition(n, v1beta1.ConditionLaunched, false, "MachineUnassigned", "VPSie lists machines that nobody claims ("+strings.Join(spare[:min(len(spare), 5)], ", ")+
				"), and none of them is known to answer the request, so nothing is asked for again until the launch deadline; delete them in the console if they are nobody's")
		case a.Outcome != v1beta1.LaunchAccepted && now.Sub(a.RequestedAt.Time) >= c.config.LaunchSettle:
			a.Reason = string(reason.LaunchUnconfirmed)
			a.Message = "the answer was unclear and no listing since shows a machine; it is asked for again"
			a.Outcome = v1beta1.LaunchNotMade
			setPhase(n, v1beta1.PhasePending)
			if len(n.Status.Launches) >= attemptsMax {
				setPhase(n, v1beta1.PhaseFailed)
			}
		default:
			return false
		}
		setCondition(n, v1beta1.ConditionLaunched, false, conditionReason(reason.Code(a.Reason)), a.Message)
		return true
	})
	return ignoreGone(err)
}
