package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// recognise finds the machines that requests brought, and gives up requests that brought none.
// A suspect listing gives nothing up.
func (c *Clusters) recognise(ctx context.Context, r *roster, listed []launch.Listed, suspect bool) (bool, error) {
	if len(r.waiting)+len(r.late) == 0 {
		return false, nil
	}
	nodes, now := r.byKey(), c.clock.Now()
	if !c.knowsSizes(r) {
		const message = "VPSie has not said yet what its sizes are, by which machines are told apart, so the machine of the launch request is not recognised; the sizes are read again automatically"
		for _, w := range r.waiting {
			c.decide(ctx, nodes[w.Intent], decided(reason.Hold, reason.HoldSizesUnknown, message), machine.SizesUnknown(message))
		}
		return false, nil
	}
	for _, w := range r.waiting {
		c.update(ctx, nodes[w.Intent], machine.SizesKnown())
	}
	if err := c.date(ctx, r, listed); err != nil {
		return false, err
	}
	if sabotage.OwnershipProof() {
		forgetProofs(r.waiting, listed)
	}
	asked := c.requests(r)
	gone := c.gone(r.cluster)
	listed = slices.DeleteFunc(slices.Clone(listed), func(worker launch.Listed) bool { return gone[worker.Identifier] })
	possible := launch.Possible(listed, asked)
	answers := launch.Assign(r.waiting, possible, r.claimed())
	progress, err := c.adoptLate(ctx, r, possible, asked, answers)
	if err != nil {
		return progress, err
	}
	spare := unassigned(listed, r.claimed(), answers)
	for _, w := range r.waiting {
		n := nodes[w.Intent]
		worker, found := answers[w.Intent]
		if !found && suspect {
			continue
		}
		if !found {
			decided := func(n *v1beta1.VPSieNode) decision { return unanswered(n, spare) }
			if _, err := c.store.decide(ctx, n, decided, machine.Unanswered(spare, c.config.LaunchSettle, now)); ignoreGone(err) != nil {
				return progress, err
			}
			continue
		}
		written, err := c.store.Change(ctx, n, machine.Answered(worker, launch.Earliest(worker, asked), c.catalogue.Price(n), now))
		if err != nil {
			if ignoreGone(err) == nil {
				continue // it is listed as unclaimed next time
			}
			return progress, err
		}
		if written {
			progress = true
			c.log.InfoContext(ctx, "machine listed", telemetry.KeyVPSieNode, w.Intent, telemetry.KeyMachine, worker.Identifier)
		}
	}
	return progress, nil
}

// knowsSizes reports whether the sizes are known by which machines are told apart. After a start they are read within seconds; until then
// machines that were requested would seem not to come.
func (c *Clusters) knowsSizes(r *roster) bool {
	for _, n := range r.nodes {
		if (machine.Answerable(n) != nil || len(machine.LateAttempts(n, r.at)) > 0) && !c.catalogue.KnowsSizes(n.Spec.Cluster.Datacenter) {
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
func (c *Clusters) requests(r *roster) []launch.Waiting {
	var asked []launch.Waiting
	for _, n := range r.nodes {
		for _, a := range n.Status.Launches {
			if !machine.MayHaveBrought(&a) || machine.WasAnswered(n, r.at.Add(-machine.AnswerWindow)) {
				continue
			}
			asked = append(asked, launch.Waiting{
				Intent: fleet.Key(n), Offering: n.Spec.Offering, Size: c.sizeOf(n, &a), RequestedAt: n.CreationTimestamp.Time, Foreign: a.Foreign,
			})
		}
	}
	return asked
}

// date writes on the listed machines that nobody claims since when a Node of their name is there. It reads the cache: an old Node is in it.
func (c *Clusters) date(ctx context.Context, r *roster, listed []launch.Listed) error {
	claimed := r.claimed()
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
// for, another: both were launched.
func (c *Clusters) adoptLate(ctx context.Context, r *roster, listed []launch.Listed, asked []launch.Waiting, answers map[string]launch.Listed) (bool, error) {
	claimed, nodes, progress := r.claimed(), r.byKey(), false
	for _, worker := range answers {
		claimed[worker.Identifier] = true
	}
	taken := map[client.ObjectKey]bool{}
	for _, n := range r.all {
		taken[client.ObjectKeyFromObject(n)] = true
	}
	for request, worker := range launch.Assign(r.late, listed, claimed) {
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
				Origin: v1beta1.OriginLateAnswer, Reason: string(reason.AdoptLateAnswer), DecisionID: n.Spec.DecisionID, LaunchDeadline: n.Spec.LaunchDeadline,
			},
		}
		if err := c.createAdoption(ctx, adoption, taken, found{strings.ToLower(worker.Hostname), "it is the late answer to a launch request of " + key}); err != nil {
			return progress, err
		}
		if _, err := c.store.Change(ctx, n, machine.AnsweredElsewhere(text, worker.Identifier)); ignoreGone(err) != nil {
			return progress, err
		}
		progress = true
	}
	return progress, nil
}

// unanswered is what is decided of a request that no listing answers: it ended, or waits because of spare machines.
func unanswered(n *v1beta1.VPSieNode, spare []string) decision {
	if a := machine.LastAttempt(n); !machine.IsOpen(n) {
		return decided(reason.Launch, reason.Code(a.Reason), a.Message)
	}
	return decision{reason.Hold, reason.HoldLaunchUnclear, machine.WhyNotRepeated(spare), reason.Values{reason.ParamMachines: reason.NamesOf(spare)}}
}

// unassigned are the listed machines that nobody claims and that answer no request.
func unassigned(listed []launch.Listed, claimed map[string]bool, answers map[string]launch.Listed) []string {
	taken := maps.Clone(claimed)
	for _, worker := range answers {
		taken[worker.Identifier] = true
	}
	return launch.Foreign(listed, taken)
}
