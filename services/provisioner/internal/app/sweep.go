package app

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// definitionName is the custom resource definition of VPSieNodes.
const definitionName = "vpsienodes.autoscaler.vpsie.com"

// isSwept reports whether the object is deleted because its namespace or its definition is. That is nobody's
// wish to retire the machine. A machine that was retired before goes, unless it works and nothing was done to it yet: its pods may
// wait for a replacement that goes with the namespace.
func (r *Nodes) isSwept(ctx context.Context, n *v1beta1.VPSieNode) (bool, error) {
	untouched := n.Status.DrainStartedAt == nil && (disruption.IsRetiredFor(n, v1beta1.RetireReplace) || disruption.IsRetiredFor(n, v1beta1.RetireScaleDown))
	if n.DeletionTimestamp == nil || n.Spec.Retirement != nil && !untouched || n.Status.DeleteRequestedAt != nil {
		return false, nil
	}
	stays, err := r.store.acceptsObjects(ctx, n.Namespace)
	if err != nil || !stays {
		return err == nil, err
	}
	definition := &unstructured.Unstructured{}
	definition.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	err = r.store.Live.Get(ctx, client.ObjectKey{Name: definitionName}, definition)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read definition of VPSieNodes: %w", err)
	}
	return definition.GetDeletionTimestamp() != nil, nil
}

// release takes the finalizer off a machine's object that is swept away, and leaves the machine as it was before
// anybody wanted to drain it. Its Node keeps the proof by which it is adopted once its NodeGroup is back.
func (r *Nodes) release(ctx context.Context, n *v1beta1.VPSieNode) error {
	if err := goOn(ctx, r.brake); err != nil && n.Status.DrainStartedAt != nil {
		return err
	}
	node, _, err := r.nodeOf(ctx, n)
	if err != nil {
		return err
	}
	const message = "the VPSieNode is deleted with its namespace or its CustomResourceDefinition, so its machine is kept; it is adopted when its NodeGroup exists again"
	if node != nil {
		if n.Status.DrainStartedAt != nil {
			if err := r.uncordon(ctx, node); err != nil {
				return err
			}
		}
		base := node.DeepCopy()
		if node.Annotations == nil {
			node.Annotations = map[string]string{}
		}
		node.Annotations[v1beta1.AnnotationReleased] = "true"
		unchanged := base.Annotations[v1beta1.AnnotationReleased] != "" && !hasTaint(node, v1beta1.TaintOpening)
		opened(node) // nobody else would
		if err := r.patchNode(ctx, base, node, unchanged); err != nil {
			return err
		}
	}
	written, err := r.store.RemoveFinalizer(ctx, n, machine.Released, message)
	if written {
		r.log.WarnContext(ctx, "machine released", telemetry.KeyVPSieNode, fleet.Key(n), telemetry.KeyMachine, n.Status.Identifier, telemetry.KeyNode, n.Status.NodeName, telemetry.KeyMessage, message)
		if node != nil {
			r.events.Eventf(node, n, corev1.EventTypeWarning, "MachineReleased", "Retire", "%s", message)
		}
	}
	return err
}
