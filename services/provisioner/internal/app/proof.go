package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// proof is what a Node says of the machine that it runs on: both are written by us alone, when it registers.
type proof struct {
	node string
	// name is that of the VPSieNode, group the value of the Node's group label.
	name, group string
	ready       bool
}

// owner is the VPSieNode whose machine it is.
func (p proof) owner() string { return machine.OwnerOf(p.group, p.name) }

// proofOf reads the proof that a Node's machine is ours; false when there is none.
func proofOf(node *corev1.Node) (string, proof, bool) {
	id, ours := strings.CutPrefix(node.Spec.ProviderID, v1beta1.ProviderIDPrefix)
	p := proof{node: node.Name, name: node.Labels[v1beta1.LabelVPSieNode], group: node.Labels[v1beta1.LabelNodeGroup], ready: isNodeReady(node)}
	return id, p, ours && id != "" && p.name != ""
}

// proofs reads from the cache which machines are proven ours, by identifier.
func (c *Clusters) proofs(ctx context.Context) (map[string]proof, error) {
	var nodes corev1.NodeList
	if err := c.store.List(ctx, &nodes, client.HasLabels{v1beta1.LabelVPSieNode}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list registered Nodes: %w", err)
	}
	proofs := make(map[string]proof, len(nodes.Items))
	for i := range nodes.Items {
		if id, p, ok := proofOf(&nodes.Items[i]); ok {
			proofs[id] = p
		}
	}
	return proofs, nil
}

// provenUnclaimed are the machines of a cluster that a Node proves ours and that no object claims. Which cluster a Node's
// machine is in its NodeGroup tells; without one nobody knows.
func (c *Clusters) provenUnclaimed(ctx context.Context, cluster string, claimed map[string]bool, proofs map[string]proof) []string {
	var found []string
	for id := range proofs {
		if !claimed[id] {
			found = append(found, id)
		}
	}
	if len(found) == 0 {
		return nil
	}
	var groups v1beta1.NodeGroupList
	if err := c.store.List(ctx, &groups, client.UnsafeDisableDeepCopy); err != nil {
		return nil // the next listing is compared again
	}
	here := map[string]bool{}
	for i := range groups.Items {
		if g := &groups.Items[i]; g.Spec.Cluster.Identifier == cluster {
			here[scheduling.GroupLabel(g.Namespace, g.Name)] = true
		}
	}
	return slices.DeleteFunc(found, func(id string) bool { return !here[proofs[id].group] })
}

// mark writes on the listed machines whose they are, where a Node proves it: such a machine answers nobody
// else's request.
func mark(listed []launch.Listed, proofs map[string]proof) {
	for i := range listed {
		p, ok := proofs[listed[i].Identifier]
		if ok && p.node == strings.ToLower(listed[i].Hostname) {
			listed[i].Owner = p.owner()
		}
	}
}

// marked are the identifiers of the machines whose Nodes bear our providerID, which cannot be taken off again.
func (c *Clusters) marked(ctx context.Context) (map[string]bool, error) {
	var nodes corev1.NodeList
	if err := c.store.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list Nodes: %w", err)
	}
	marked := map[string]bool{}
	for i := range nodes.Items {
		if id, ours := strings.CutPrefix(nodes.Items[i].Spec.ProviderID, v1beta1.ProviderIDPrefix); ours {
			marked[id] = true
		}
	}
	return marked, nil
}
