package app

import (
	"maps"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// nodeEntry is what is kept of a node.
type nodeEntry struct {
	// node is what the Node object says; nil while only pods name the node.
	node *scheduling.Node
	// pods counts the pods that take room on the node. It is not changed while handed has it.
	pods map[scheduling.ShapeID]int
	// handed is the node as it was handed out, nil after a change.
	handed *scheduling.Node
}

// change parts from what was handed out, which stays as it is.
func (e *nodeEntry) change() {
	if e.handed != nil {
		e.pods, e.handed = maps.Clone(e.pods), nil
	}
}

// count adds pods of a shape, or takes them off with a negative number.
func (e *nodeEntry) count(id scheduling.ShapeID, by int) {
	e.change()
	if e.pods == nil {
		e.pods = map[scheduling.ShapeID]int{}
	}
	if e.pods[id] += by; e.pods[id] == 0 {
		delete(e.pods, id)
	}
}

// contents is the node for the feed, the same pointer as long as nothing changes.
func (e *nodeEntry) contents(attachLimits map[string]int64) *scheduling.Node {
	if e.handed == nil {
		node := *e.node
		node.Pods, node.AttachLimits = e.pods, attachLimits
		e.handed = &node
	}
	return e.handed
}

// nodeNamed returns the entry of a node, a new one where there is none.
func (l *Ledger) nodeNamed(name string) *nodeEntry {
	entry := l.nodes[name]
	if entry == nil {
		entry = &nodeEntry{}
		l.nodes[name] = entry
	}
	return entry
}

func (l *Ledger) isNode(name string) bool {
	entry := l.nodes[name]
	return entry != nil && entry.node != nil
}

// countOn counts a pod on a node, or off it with a negative number.
func (l *Ledger) countOn(name string, id scheduling.ShapeID, by int) {
	entry := l.nodeNamed(name)
	entry.count(id, by)
	if entry.node == nil && len(entry.pods) == 0 {
		delete(l.nodes, name)
	}
}

// SetNode takes the newest version of a node.
func (l *Ledger) SetNode(node *corev1.Node) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry := l.nodeNamed(node.Name)
	old := entry.node
	entry.node = &scheduling.Node{
		Name: node.Name, Labels: node.Labels, Taints: node.Spec.Taints,
		Allocatable:   scheduling.ResourcesOf(node.Status.Allocatable),
		Unschedulable: node.Spec.Unschedulable, Ready: isReady(node),
		Protection: scheduling.NodeProtection(node),
	}
	if reflect.DeepEqual(old, entry.node) {
		return nil // a heartbeat
	}
	entry.change()
	l.touch()
	if old == nil {
		l.outdate(l.nominated[node.Name])
	}
	return l.settle()
}

// DeleteNode forgets a node.
func (l *Ledger) DeleteNode(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isNode(name) {
		return nil
	}
	entry := l.nodes[name]
	entry.change()
	if entry.node = nil; len(entry.pods) == 0 {
		delete(l.nodes, name)
	}
	l.touch()
	l.outdate(l.nominated[name])
	return l.settle()
}

// SetCSINode takes the newest version of what the CSI drivers of a node can attach.
func (l *Ledger) SetCSINode(node *storagev1.CSINode) {
	limits := map[string]int64{}
	for _, driver := range node.Spec.Drivers {
		if driver.Allocatable != nil && driver.Allocatable.Count != nil {
			limits[driver.Name] = int64(*driver.Allocatable.Count)
		}
	}
	l.setAttachLimits(node.Name, limits)
}

// DeleteCSINode forgets what the CSI drivers of a node can attach.
func (l *Ledger) DeleteCSINode(name string) { l.setAttachLimits(name, nil) }

func (l *Ledger) setAttachLimits(name string, limits map[string]int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if maps.Equal(l.attachLimits[name], limits) {
		return
	}
	if l.attachLimits[name] = limits; len(limits) == 0 {
		delete(l.attachLimits, name)
	}
	if entry := l.nodes[name]; entry != nil {
		entry.change()
	}
	l.touch()
}

// SetNamespace takes the newest version of a namespace.
func (l *Ledger) SetNamespace(namespace *corev1.Namespace) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old, known := l.namespaces[namespace.Name]; known && maps.Equal(old, namespace.Labels) {
		return
	}
	l.namespaces[namespace.Name] = namespace.Labels
	l.touch()
}

// DeleteNamespace forgets a namespace.
func (l *Ledger) DeleteNamespace(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.namespaces, name)
	l.touch()
}
