package scheduling

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
)

// Node is a node as a simulation starts from it: a real one, one that is being launched, or one that may be launched.
type Node struct {
	Name          string
	Labels        map[string]string
	Taints        []corev1.Taint
	Unschedulable bool
	// Ready is the Node's condition. The engine does not look at it: whoever makes a Cluster leaves out Nodes that take no pods.
	Ready       bool
	Allocatable Resources
	// AttachLimits are the volumes of each CSI driver that the node can attach; absent means any number.
	AttachLimits map[string]int64
	// Pods counts the pods that take room on the node, by shape: those that are bound to it and not finished, and those that wait
	// for a preemption there.
	Pods map[ShapeID]int
	// Protection forbids to drain the node, empty where nothing does.
	Protection reason.Code
	// Planned are waiting pods for which the node was launched, by Item.Placement: they get its room first.
	Planned map[string]int
	// Reserved is held back for pods that are not there yet, such as those of DaemonSets.
	Reserved Resources
	// Expected are those pods, without the room that they take: what the rules of others see of them.
	Expected []*Item
}

// Cluster is what a simulation starts from.
type Cluster struct {
	Items map[ShapeID]*Item
	Nodes []*Node
	// Namespaces are the labels of each namespace.
	Namespaces map[string]map[string]string
}
