package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// disowned says why a Node that has the machine's name is not the machine's: matched by name alone, a Node that belongs to
// another is left alone, and so is one that was there before any machine was requested that may be this one.
func disowned(n *v1beta1.VPSieNode, node *corev1.Node) string {
	own := v1beta1.ProviderIDPrefix + n.Status.Identifier
	switch {
	case node.Spec.ProviderID == own:
		return ""
	case strings.HasPrefix(node.Spec.ProviderID, v1beta1.ProviderIDPrefix):
		return fmt.Sprintf("Node %s belongs to another machine (providerID %s), so it is not touched", node.Name, node.Spec.ProviderID)
	case node.Labels[v1beta1.LabelVPSieNode] != "" && node.Labels[v1beta1.LabelVPSieNode] != n.Name:
		return fmt.Sprintf("Node %s belongs to VPSieNode %s, so it is not touched", node.Name, node.Labels[v1beta1.LabelVPSieNode])
	case node.Labels[v1beta1.LabelVPSieNode] == n.Name:
		return ""
	case node.CreationTimestamp.Time.Before(machine.IntendedAt(n)):
		return fmt.Sprintf("Node %s is older than the launch request, so it cannot be the new machine's and is not touched; delete it if it is a remnant", node.Name)
	}
	return ""
}

// register gives the Node its labels, annotations, taints and providerID, in one write on the
// condition that nobody else changed it. The group's template is applied once to a Node, also to one
// that registers again; what proves the Node ours is put back whenever it is missing.
func (r *Nodes) register(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node) error {
	base := node.DeepCopy()
	if node.Labels[v1beta1.LabelVPSieNode] != n.Name {
		if err := r.applyTemplate(ctx, n, node); err != nil {
			return err
		}
		if staysClosed(n, node, r.clock.Now()) > 0 {
			closed(node)
		}
	}
	own(n, node)
	if !same(base, node) {
		patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
		if err := r.store.Patch(ctx, node, patch); err != nil {
			return fmt.Errorf("register Node %q: %w", node.Name, err)
		}
	}
	_, err := r.store.Change(ctx, n, machine.Registered(node.Name))
	return err
}

func (r *Nodes) applyTemplate(ctx context.Context, n *v1beta1.VPSieNode, node *corev1.Node) error {
	var group v1beta1.NodeGroup
	err := r.store.Get(ctx, client.ObjectKey{Namespace: n.Namespace, Name: n.Spec.NodeGroup}, &group)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("read NodeGroup of %s: %w", fleet.Key(n), err)
	}
	if err != nil {
		// The group is gone; the machine stays under our care with what its launch tells.
		group.Namespace, group.Name, group.Spec.Cluster = n.Namespace, n.Spec.NodeGroup, n.Spec.Cluster
	}
	if node.Labels == nil {
		node.Labels = map[string]string{}
	}
	if node.Annotations == nil {
		node.Annotations = map[string]string{}
	}
	maps.Copy(node.Labels, scheduling.NodeLabels(&group, n.Spec.Offering, n.Spec.OfferingName))
	maps.Copy(node.Annotations, group.Spec.Template.Annotations)
	for _, taint := range slices.Concat(group.Spec.Template.Taints, group.Spec.Template.StartupTaints) {
		if !slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(&taint) }) {
			node.Spec.Taints = append(node.Spec.Taints, taint)
		}
	}
	return nil
}

// own puts what proves the Node ours.
func own(n *v1beta1.VPSieNode, node *corev1.Node) {
	if node.Labels == nil {
		node.Labels = map[string]string{}
	}
	node.Labels[v1beta1.LabelManaged] = "true"
	node.Labels[v1beta1.LabelVPSieNode] = n.Name
	delete(node.Annotations, v1beta1.AnnotationReleased)
	node.Labels[v1beta1.LabelNodeGroup] = scheduling.GroupLabel(n.Namespace, n.Spec.NodeGroup)
	// Kubernetes lets a providerID be written once; another's is caught by disowned.
	if node.Spec.ProviderID == "" {
		node.Spec.ProviderID = v1beta1.ProviderIDPrefix + n.Status.Identifier
	}
}

func same(a, b *corev1.Node) bool {
	return a.Spec.ProviderID == b.Spec.ProviderID && maps.Equal(a.Labels, b.Labels) &&
		maps.Equal(a.Annotations, b.Annotations) && len(a.Spec.Taints) == len(b.Spec.Taints)
}

func isNodeReady(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
