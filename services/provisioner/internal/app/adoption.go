package app

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/id"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/libs/text"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/inventory"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

const (
	// adoptDeadline is how long an object that was made for a machine waits for it to be listed again.
	adoptDeadline = 15 * time.Minute
	nameCharsMax  = 63
)

// adopt makes objects for machines that are proven ours and that no object claims, and reports the others that came
// after us. A machine whose NodeGroup is gone is an orphan: what becomes of it is the operator's choice.
func (c *Clusters) adopt(ctx context.Context, r *roster, f inventory.Findings, proofs map[string]proof) error {
	if err := c.orphans.load(ctx, r.cluster); err != nil {
		return err
	}
	marked, err := c.marked(ctx)
	if err != nil {
		return err
	}
	var reports []Unclaimed
	var foreign []string
	for _, s := range f.Unclaimed {
		unclaimed := Unclaimed{Identifier: s.Identifier, Hostname: s.Hostname, Since: s.First}
		before, told := c.orphans.find(r.cluster, s.Identifier)
		_, proven := proofs[s.Identifier]
		proven = proven && s.Owner != ""
		if sabotage.OwnershipProof() {
			proven = true
		}
		switch {
		case !proven && !marked[s.Identifier] && !told && c.wasBeforeUs(r, s):
			foreign = append(foreign, s.Identifier)
			continue
		case !s.Lasted(inventory.UnclaimedFor):
			if told {
				reports = append(reports, before) // a restart does not make it news
			}
			continue
		case !proven && marked[s.Identifier]:
			unclaimed.Why = "its Node has our providerID but lacks the label " + v1beta1.LabelVPSieNode + ", so its VPSieNode is unknown and the machine is not touched; restore the label, or delete the machine in the console"
		case !proven:
			unclaimed.Why = "no Node proves that the machine is ours, so it is not touched; delete it in the console if nobody needs it"
		default:
			why, err := c.adoptOne(ctx, r, s, nil)
			if err != nil {
				return err
			}
			if why == "" {
				continue
			}
			unclaimed.Proven, unclaimed.Why = true, why
		}
		reports = append(reports, unclaimed)
	}
	reports = append(reports, c.orphans.unlisted(r.cluster, reports, r.claimed(), c.clock.Now(), c.config.LaunchSettle)...)
	return c.orphans.report(ctx, r.cluster, reports, foreign, f.Settled)
}

// wasBeforeUs reports whether a machine that nobody claims was there before us. Until the first looks have settled it, the requests that
// are open tell what came after them.
func (c *Clusters) wasBeforeUs(r *roster, s inventory.Unclaimed) bool {
	if was, known := c.orphans.wasBeforeUs(r.cluster, s.Identifier); known {
		return was
	}
	return s.WasThere && !r.cameAfterRequest(s.Identifier)
}

// adoptOne makes an object for a machine whose Node proves that it is ours, or says why it makes none. With a
// retirement the machine is to go at once.
func (c *Clusters) adoptOne(ctx context.Context, r *roster, s inventory.Unclaimed, retirement *v1beta1.Retirement) (string, error) {
	node := &corev1.Node{}
	if err := c.store.Live.Get(ctx, client.ObjectKey{Name: strings.ToLower(s.Hostname)}, node); err != nil {
		if apierrors.IsNotFound(err) {
			return "", nil // the proof is gone; the next look reports it
		}
		return "", err
	}
	id, p, proven := proofOf(node)
	if (!proven || id != s.Identifier) && !sabotage.OwnershipProof() || retirement != nil && p.ready {
		return "", nil
	}
	all, err := c.store.allNodes(ctx)
	if err != nil {
		return "", err
	}
	taken := map[client.ObjectKey]bool{}
	for _, n := range all {
		if machine.ClaimOf(n) == s.Identifier {
			return "", nil // somebody claims it after all
		}
		taken[client.ObjectKeyFromObject(n)] = true
	}
	// A list tells a group that is gone from a definition that is gone, which a single read does not.
	var groups v1beta1.NodeGroupList
	if err := c.store.Live.List(ctx, &groups); err != nil {
		return "", fmt.Errorf("list NodeGroups: %w", err)
	}
	adoption := c.adoption(r.cluster, s.Identifier, node)
	adoption.Name = p.name
	elsewhere := false
	for i := range groups.Items {
		group := &groups.Items[i]
		ours := scheduling.GroupLabel(group.Namespace, group.Name) == p.group || sabotage.OwnershipProof()
		elsewhere = elsewhere || ours && group.Spec.Cluster.Identifier != r.cluster
		if !ours || group.Spec.Cluster.Identifier != r.cluster || group.DeletionTimestamp != nil {
			continue
		}
		adoption.Namespace, adoption.Spec.NodeGroup, adoption.Spec.Cluster = group.Namespace, group.Name, group.Spec.Cluster
		if retirement != nil {
			retirement.DecisionID = adoption.Spec.DecisionID
			adoption.Spec.Retirement = retirement
		}
		return "", c.createAdoption(ctx, adoption, taken, found{p.node, "its Node proves that it is ours, and no VPSieNode claims it"})
	}
	if retirement != nil {
		return "", nil // without a group nobody knows in which cluster it was
	}
	if p.group == "" || elsewhere {
		return "its Node does not name a NodeGroup of this cluster, so the machine is not touched; restore the label " + v1beta1.LabelNodeGroup + ", or delete the machine in the console", nil
	}
	why := "its NodeGroup (" + p.group + ") does not exist"
	if node.Annotations[v1beta1.AnnotationReleased] != "" {
		return why + ", and its VPSieNode was deleted with its namespace or its CustomResourceDefinition; the machine is not touched; create the NodeGroup again to have it adopted, or delete the machine in the console", nil
	}
	if c.config.OrphanPolicy != OrphansDelete {
		return why + "; the machine is not touched (--orphan-policy=" + OrphansReport + "); create the NodeGroup again to have it adopted, or delete the machine in the console", nil
	}
	adoption.Namespace, adoption.Spec.NodeGroup, _ = strings.Cut(p.group, ".")
	if ok, err := c.store.acceptsObjects(ctx, adoption.Namespace); err != nil || !ok {
		if err != nil {
			return "", err
		}
		adoption.Namespace = c.orphans.namespace
	}
	adoption.Spec.Retirement = &v1beta1.Retirement{
		Kind: v1beta1.RetireOrphan, Reason: string(reason.OrphanNoGroup),
		Message: why + ", so the machine is drained and terminated (--orphan-policy=" + OrphansDelete + ")",
	}
	return "", c.createAdoption(ctx, adoption, taken, found{p.node, why})
}

// adoption is the object for a machine, without its group; what the machine is its Node says.
func (c *Clusters) adoption(cluster, identifier string, node *corev1.Node) *v1beta1.VPSieNode {
	offering, _ := strconv.ParseInt(node.Labels[v1beta1.LabelOffering], 10, 64) // 0 is a size that nobody knows
	return &v1beta1.VPSieNode{
		ObjectMeta: metav1.ObjectMeta{
			Annotations: map[string]string{v1beta1.AnnotationAdopts: identifier},
			Finalizers:  []string{v1beta1.FinalizerMachine},
		},
		Spec: v1beta1.VPSieNodeSpec{
			Offering: offering, OfferingName: node.Labels[corev1.LabelInstanceTypeStable],
			Cluster: v1beta1.ClusterReference{Identifier: cluster, Datacenter: node.Labels[corev1.LabelTopologyZone]},
			Origin:  v1beta1.OriginAdoption, Reason: string(reason.AdoptNodeProof),
			LaunchDeadline: metav1.Duration{Duration: adoptDeadline},
		},
	}
}

// found is the name that the Node of an unclaimed machine has, or will have, and why the machine is adopted.
type found struct{ node, why string }

// createAdoption writes the object; its status follows in the next pass, so a crash in between loses nothing.
func (c *Clusters) createAdoption(ctx context.Context, n *v1beta1.VPSieNode, taken map[client.ObjectKey]bool, f found) error {
	why, ofNode := f.why, reason.Values{reason.ParamNode: f.node}
	n.Labels = map[string]string{v1beta1.LabelNodeGroup: n.Spec.NodeGroup, v1beta1.LabelCluster: n.Spec.Cluster.Identifier}
	code, decisionID := reason.Code(n.Spec.Reason), id.New(c.clock.Now())
	if disruption.IsRetiredFor(n, v1beta1.RetireOrphan) {
		code = reason.OrphanNoGroup
	}
	if n.Spec.Origin == v1beta1.OriginAdoption { // a late answer follows from the decision by which it was launched
		n.Spec.DecisionID = decisionID
		if n.Spec.Retirement != nil {
			n.Spec.Retirement.DecisionID = decisionID
		}
	}
	if n.Name == "" || taken[client.ObjectKeyFromObject(n)] {
		// Another object has the name; the identifier tells them apart.
		n.Name = strings.Trim((strings.ToLower(n.Spec.DecisionID) + "-" + n.Name)[:min(nameCharsMax, len(n.Spec.DecisionID)+1+len(n.Name))], "-.")
	}
	if n.Spec.Cluster.Datacenter == "" {
		n.Spec.Cluster.Datacenter = "unknown"
	}
	// The object carries the record until it is published.
	err := facts.Attach(n, c.store.factOf(ctx, decisionID, n, decision{reason.Adoption, code, why, ofNode}))
	if err == nil && disruption.IsRetiredFor(n, v1beta1.RetireRepair) { // a decision of its own, which follows from the adoption
		repair := c.store.factOf(ctx, id.New(c.clock.Now()), n, decision{reason.Repair, reason.Code(n.Spec.Retirement.Reason), n.Spec.Retirement.Message, ofNode})
		n.Spec.Retirement.DecisionID = repair.ID
		err = facts.Attach(n, repair)
	}
	if err == nil {
		err = c.store.Create(ctx, n)
	}
	if apierrors.IsAlreadyExists(err) {
		return nil // the next look finds out whose it is
	}
	if err != nil {
		return fmt.Errorf("adopt machine %s: %w", n.Annotations[v1beta1.AnnotationAdopts], err)
	}
	c.store.Decisions.Count(reason.Adoption, code)
	if disruption.IsRetiredFor(n, v1beta1.RetireRepair) {
		c.store.Decisions.Count(reason.Repair, reason.Code(n.Spec.Retirement.Reason))
	}
	c.log.WarnContext(ctx, "machine adopted", telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyMachine, n.Annotations[v1beta1.AnnotationAdopts], telemetry.KeyMessage, why)
	c.events.Eventf(n, nil, corev1.EventTypeNormal, "Adopted", "Survey", "%s", text.Truncate("machine adopted: "+why))
	return nil
}

// complete gives objects that were made for a machine their status, once the machine is listed. The same
// goes for an object that lost its status while its Node kept the proof: launched for again, it would have two.
func (c *Clusters) complete(ctx context.Context, r *roster, listed []launch.Listed, proofs map[string]proof) (bool, error) {
	claimed, progress := r.claimed(), false
	for _, n := range r.adopting {
		id := adoptedBy(n, proofs)
		i := slices.IndexFunc(listed, func(m launch.Listed) bool { return m.Identifier == id && id != "" })
		p, proven := proofs[id]
		missing := i < 0 && proven && disruption.IsRetiredFor(n, v1beta1.RetireRepair)
		if missing {
			listed, i = append(slices.Clip(listed), launch.Listed{Identifier: id, Hostname: p.node}), len(listed)
		}
		if i < 0 || claimed[id] && machine.ClaimOf(n) != id {
			if err := c.giveUpAdopting(ctx, n); ignoreGone(err) != nil {
				return progress, err
			}
			continue
		}
		written, err := c.completeOne(ctx, n, listed[i], presence(!missing))
		if ignoreGone(err) != nil {
			return progress, err
		}
		progress = progress || written
	}
	return progress, nil
}

const awaitedAdoption = "the VPSieNode is of a machine that exists, and nothing is launched for it; until the launch deadline VPSie must list the machine, and its Node prove it ours"

const abandonedAdoption = "the machine was not listed, or its Node did not prove it ours, before the VPSieNode was deleted, so it is not adopted"

// giveUpAdopting ends an object whose machine has not been listed, or proven, for too long. A machine that is listed is reported then
// as one that nobody claims.
func (c *Clusters) giveUpAdopting(ctx context.Context, n *v1beta1.VPSieNode) error {
	if c.clock.Now().Sub(n.CreationTimestamp.Time) <= n.Spec.LaunchDeadline.Duration {
		c.decide(ctx, n, decided(reason.Hold, reason.HoldLaunchOutcome, awaitedAdoption), machine.Note(v1beta1.ConditionLaunched, metav1.ConditionUnknown, reason.HoldLaunchOutcome.Condition(), awaitedAdoption))
		return nil
	}
	if machine.IsAdoption(n) {
		return c.store.Delete(ctx, n, preconditions(n)) // its end is recorded with its finalizer
	}
	c.fail(ctx, n, launch.Refusal{Code: reason.LaunchExpired, Message: "a Node claims to belong to this VPSieNode, but VPSie does not list its machine; nothing is launched; delete the Node if it is a remnant"})
	return nil
}

// adoptedBy is the machine that an object without a status stands for, empty when nothing tells.
func adoptedBy(n *v1beta1.VPSieNode, proofs map[string]proof) string {
	if id := n.Annotations[v1beta1.AnnotationAdopts]; id != "" && machine.IsAdoption(n) {
		return id
	}
	for id, p := range proofs {
		if p.owner() == machine.Owner(n) {
			return id
		}
	}
	return ""
}

func (c *Clusters) completeOne(ctx context.Context, n *v1beta1.VPSieNode, worker launch.Listed, shown presence) (bool, error) {
	node := &corev1.Node{}
	if err := c.store.Live.Get(ctx, client.ObjectKey{Name: strings.ToLower(worker.Hostname)}, node); err != nil {
		if !apierrors.IsNotFound(err) {
			return false, err
		}
		node = nil
	}
	var joined *machine.Joined
	if node != nil {
		id, _, proven := proofOf(node)
		if proven && id == worker.Identifier {
			joined = &machine.Joined{Name: node.Name, CreatedAt: node.CreationTimestamp.Time, IsReady: isNodeReady(node), IsMissing: shown == notListed}
		}
	}
	switch {
	case joined != nil, machine.CameLate(n), sabotage.OwnershipProof():
		return c.store.Change(ctx, n, machine.Adopted(worker, joined, c.catalogue.Price(n), c.clock.Now()))
	case machine.IsAdoption(n):
		return false, c.giveUpAdopting(ctx, n) // the Node went, or lost the proof, after the object was made
	}
	return false, nil
}
