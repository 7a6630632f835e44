package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// recognise finds the machines that requests brought, and gives up requests that brought none.
// A suspect listing gives nothing up.
func (c *Clusters) recognise(ctx context.Context, v *view, listed []launch.Listed, suspect bool) (bool, error) {
	if len(v.waiting)+len(v.late) == 0 {
		return false, nil
	}
	if !c.knowsSizes(v) {
		return false, nil
	}
	nodes, now := v.byKey(), c.clock.Now()
	if err := c.date(ctx, v, listed); err != nil {
		return false, err
	}
	if sabotage.OwnershipProof() {
		forgetProofs(v.waiting, listed)
	}
	asked := c.requests(v)
	gone := c.gone(v.cluster)
	listed = slices.DeleteFunc(slices.Clone(listed), func(worker launch.Listed) bool { return gone[worker.Identifier] })
	possible := launch.Possible(listed, asked)
	answers := launch.Assign(v.waiting, possible, v.claimed())
	progress, err := c.adoptLate(ctx, v, possible, asked, answers)
	if err != nil {
		return progress, err
	}
	spare := unassigned(listed, v.claimed(), answers)
	for _, w := range v.waiting {
		n := nodes[w.Intent]
		worker, found := answers[w.Intent]
		if !found && suspect {
			continue
		}
		if !found {
			if err := c.giveUp(ctx, n, spare, now); err != nil {
				return progress, err
			}
			continue
		}
		from := n.Status.Phase
		written, err := c.store.UpdateStatus(ctx, n, func(n *v1beta1.VPSieNode) bool {
			answered := machine.Answerable(n)
			if answered == nil {
				return false
			}
			c.joined(n, answered, worker, launch.Earliest(worker, asked), now)
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
			c.log.InfoContext(ctx, "machine is listed", telemetry.KeyVPSieNode, w.Intent, telemetry.KeyMachine, worker.Identifier)
			c.facts.PhaseChanged(ctx, n, from, n.Status.Phase, "VPSie lists the machine as "+worker.Hostname)
		}
	}
	return progress, nil
}

// knowsSizes reports whether the sizes are known by which machines are told apart. After a start they are read within seconds; until then
// machines that were asked for would seem not to come.
func (c *Clusters) knowsSizes(v *view) bool {
	for _, n := range v.nodes {
		if (machine.Answerable(n) != nil || len(machine.LateAttempts(n, v.at)) > 0) && !c.catalogue.KnowsSizes(n.Spec.Cluster.Datacenter) {
			return false
		}
	}
	return true
}

// forgetProofs lets any machine answer any request.
func forgetProofs(waiting []launch.Waiting, listed []launch.Listed) {
	for i := range waiting {
		waiting[i].Foreign = nil
	}
	for i := range listed {
		listed[i].Owner, listed[i].JoinedAt = "", time.Time{}
	}
}

// requests are those on record whose machines may turn up, or have turned up with a second one not long ago, by the time of their
// intents, which the API server has set: another clock may have set that of a request.
func (c *Clusters) requests(v *view) []launch.Waiting {
	var asked []launch.Waiting
	for _, n := range v.nodes {
		for i := range n.Status.Launches {
			a := &n.Status.Launches[i]
			if !machine.MayHaveBrought(a) || machine.WasAnswered(n, v.at.Add(-machine.AnswerWindow)) {
				continue
			}
			asked = append(asked, launch.Waiting{
				Intent: machine.Key(n), Offering: n.Spec.Offering, Size: c.sizeOf(n, a), RequestedAt: n.CreationTimestamp.Time, Foreign: a.Foreign,
			})
		}
	}
	return asked
}

// date writes on the listed machines that nobody claims since when a Node of their name is there. It reads the cache: an old Node is in it.
func (c *Clusters) date(ctx context.Context, v *view, listed []launch.Listed) error {
	claimed := v.claimed()
	for i := range listed {
		worker := &listed[i]
		if worker.Hostname == "" || worker.Owner != "" || claimed[worker.Identifier] {
			continue
		}
		node := &corev1.Node{}
		if err := c.store.Get(ctx, client.ObjectKey{Name: strings.ToLower(worker.Hostname)}, node); err != nil {
			if ignoreGone(err) != nil {
				return fmt.Errorf("read Node of machine %s: %w", worker.Identifier, err)
			}
			continue
		}
		if node.Labels[v1beta1.LabelVPSieNode] == "" {
			worker.JoinedAt = node.CreationTimestamp.Time
		}
	}
	return nil
}

// adoptLate makes objects for machines that answer requests which were given up while the intent got, or waits
// for, another: both were bought.
func (c *Clusters) adoptLate(ctx context.Context, v *view, listed []launch.Listed, asked []launch.Waiting, answers map[string]launch.Listed) (bool, error) {
	claimed, nodes, progress := v.claimed(), v.byKey(), false
	for _, worker := range answers {
		claimed[worker.Identifier] = true
	}
	taken := map[client.ObjectKey]bool{}
	for _, n := range v.all {
		taken[client.ObjectKeyFromObject(n)] = true
	}
	for request, worker := range launch.Assign(v.late, listed, claimed) {
		key, text, _ := strings.Cut(request, "#")
		n := nodes[key]
		intendedAt := launch.Earliest(worker, asked)
		if intendedAt.IsZero() {
			intendedAt = n.CreationTimestamp.Time
		}
		adoption := &v1beta1.VPSieNode{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: n.Namespace, Name: n.Name + "-" + text, Finalizers: []string{v1beta1.FinalizerMachine},
				Annotations: map[string]string{
					v1beta1.AnnotationAdopts: worker.Identifier, v1beta1.AnnotationIntendedAt: intendedAt.UTC().Format(time.RFC3339),
				},
			},
			Spec: v1beta1.VPSieNodeSpec{
				NodeGroup: n.Spec.NodeGroup, Offering: n.Spec.Offering, OfferingName: n.Spec.OfferingName, Cluster: n.Spec.Cluster,
				Reason: string(reason.AdoptLateAnswer), DecisionID: n.Spec.DecisionID, LaunchDeadline: n.Spec.LaunchDeadline,
			},
		}
		if err := c.createAdoption(ctx, adoption, taken, "it answers a request of "+key+" that was given up"); err != nil {
			return progress, err
		}
		if _, err := c.store.UpdateStatus(ctx, n, func(n *v1beta1.VPSieNode) bool {
			for i := range n.Status.Launches {
				if a := &n.Status.Launches[i]; strconv.Itoa(int(a.Number)) == text && a.Outcome == v1beta1.LaunchUnconfirmed {
					a.Outcome, a.Machine, a.Reason, a.Message = v1beta1.LaunchAnswered, worker.Identifier, "", "answered late; the machine has an object of its own"
					return true
				}
			}
			return false
		}); ignoreGone(err) != nil {
			return progress, err
		}
		progress = true
	}
	return progress, nil
}

// joined records the machine that answers a request.
func (c *Clusters) joined(n *v1beta1.VPSieNode, answered *v1beta1.LaunchAttempt, worker launch.Listed, earliest, now time.Time) {
	n.Status.Identifier, n.Status.Hostname = worker.Identifier, worker.Hostname
	n.Status.LaunchedAt = timestamp(now)
	if !earliest.IsZero() {
		n.Status.EarliestRequestAt = new(metav1.NewTime(earliest))
	}
	answered.Outcome, answered.Machine, answered.Reason, answered.Message = v1beta1.LaunchAnswered, worker.Identifier, "", ""
	if n.Status.MonthlyPrice == nil {
		if o, ok := c.catalogue.Offering(n.Spec.Cluster.Datacenter, n.Spec.Offering); ok {
			n.Status.MonthlyPrice = o.MonthlyPrice.Quantity()
		}
	}
	if n.Status.Phase != v1beta1.PhaseDeleting && n.Status.Phase != v1beta1.PhaseDraining {
		setPhase(n, v1beta1.PhaseJoining)
	}
	setCondition(n, v1beta1.ConditionLaunched, true, "Listed", "VPSie lists the machine as "+worker.Hostname)
	setCondition(n, v1beta1.ConditionReady, false, "AwaitingNode", "the machine boots; its Node "+strings.ToLower(worker.Hostname)+" is awaited until the launch deadline")
}

// unassigned are the listed machines that nobody claims and that answer no request.
func unassigned(listed []launch.Listed, claimed map[string]bool, answers map[string]launch.Listed) []string {
	taken := maps.Clone(claimed)
	for _, worker := range answers {
		taken[worker.Identifier] = true
	}
	return launch.Foreign(listed, taken)
}

// giveUp decides on a request that no listing answers: an unclear one is taken for not made after
// the settle time, one that VPSie accepted fails at the launch deadline. While a machine is listed
// that came after the request and is nobody's, it may be the answer all the same, so nothing is asked
// for again.
func (c *Clusters) giveUp(ctx context.Context, n *v1beta1.VPSieNode, spare []string, now time.Time) error {
	if !machine.IsOpen(n) {
		return nil
	}
	_, err := c.store.UpdateStatus(ctx, n, func(n *v1beta1.VPSieNode) bool {
		a := machine.LastAttempt(n)
		if a == nil || !machine.IsOpen(n) {
			return false
		}
		stray := slices.ContainsFunc(spare, func(id string) bool { return !slices.Contains(a.Foreign, id) })
		switch {
		case (a.Outcome == v1beta1.LaunchAccepted || stray) && now.After(outage.JoinDeadline(n)):
			a.Reason = string(reason.LaunchNoMachine)
			a.Message = "VPSie listed no machine that answers the request until the launch deadline"
			a.Outcome = v1beta1.LaunchExpired
			setPhase(n, v1beta1.PhaseFailed)
		case stray:
			return setCondition(n, v1beta1.ConditionLaunched, false, "MachineUnassigned", "VPSie lists machines that nobody claims ("+strings.Join(spare[:min(len(spare), 5)], ", ")+
				"), and none of them is known to answer the request, so nothing is asked for again until the launch deadline; delete them in the console if they are nobody's")
		case a.Outcome != v1beta1.LaunchAccepted && now.Sub(a.RequestedAt.Time) >= c.config.LaunchSettle:
			a.Reason = string(reason.LaunchUnconfirmed)
			a.Message = "the answer was unclear and no listing since shows a machine; it is asked for again"
			a.Outcome = v1beta1.LaunchUnconfirmed
			setPhase(n, v1beta1.PhasePending)
			if len(n.Status.Launches) >= machine.AttemptsMax {
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
