package generate

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Labels of nodes besides the well-known ones.
const (
	labelRack       = "example.com/rack"
	labelDisk       = "example.com/disk"
	labelGeneration = "example.com/generation"
)

var (
	zoneNames   = []string{"z0", "z1", "z2"}
	rackNames   = []string{"r0", "r1", "r2"}
	diskNames   = []string{"", "hdd", "ssd"}
	generations = []string{"1", "2", "3", "next"}
	regions     = []string{"east", "west"}
)

const (
	resourceGPU  = corev1.ResourceName("example.com/gpu")
	resourceHuge = corev1.ResourceName("hugepages-2Mi")
)

// node draws a machine. Its CSINode is put among the objects.
func (b *builder) node() *corev1.Node {
	name := b.name("node")
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: b.nodeLabels(name)}}
	n.Spec.Unschedulable = b.chance(b.often(Taints, 15, 3))
	n.Spec.Taints = b.taints()
	n.Status.Allocatable = b.allocatable()
	n.Status.Capacity = n.Status.Allocatable
	if b.chance(85) {
		b.objects.CSINodes = append(b.objects.CSINodes, b.csiNode(name))
	}
	return n
}

// often is percent where the scenario is about a kind of constraint, and otherwise where it is not.
func (b *builder) often(kind Kind, percent, otherwise int) int {
	for _, k := range b.theme {
		if k == kind {
			return percent
		}
	}
	return otherwise
}

func (b *builder) nodeLabels(name string) map[string]string {
	labels := map[string]string{}
	set := func(percent int, key, value string) {
		if b.chance(percent) {
			labels[key] = value
		}
	}
	// A host name is not always the node's, and may be another one's as well.
	set(96, corev1.LabelHostname, pick(b.source, name, name, name, name, name, name, name, name, "host"))
	zone := pick(b.source, b.zones...)
	set(90, corev1.LabelTopologyZone, zone)
	set(8, corev1.LabelFailureDomainBetaZone, zone)
	set(50, corev1.LabelTopologyRegion, pick(b.source, regions...))
	set(75, labelRack, pick(b.source, rackNames...))
	set(60, labelDisk, pick(b.source, diskNames...))
	set(60, labelGeneration, pick(b.source, generations...))
	return labels
}

func (b *builder) taints() []corev1.Taint {
	if !b.chance(b.often(Taints, 60, 5)) {
		return nil
	}
	all := []corev1.Taint{
		{Key: "dedicated", Value: "a", Effect: corev1.TaintEffectNoSchedule},
		{Key: "dedicated", Value: "b", Effect: corev1.TaintEffectNoExecute},
		{Key: "dedicated", Value: "c", Effect: corev1.TaintEffectPreferNoSchedule},
		{Key: "gpu", Effect: corev1.TaintEffectNoSchedule},
		{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule},
	}
	return some(b.source, 2, all...)
}

func (b *builder) allocatable() corev1.ResourceList {
	list := corev1.ResourceList{
		corev1.ResourceCPU:    quantity(pick(b.source, "940m", "1930m", "2", "3920m", "4")),
		corev1.ResourceMemory: quantity(pick(b.source, "1843212Ki", "2Gi", "3900000001", "4Gi")),
		corev1.ResourcePods:   quantity(pick(b.source, "4", "5", "6", "8", "12")),
	}
	if b.chance(60) {
		list[corev1.ResourceEphemeralStorage] = quantity(pick(b.source, "5Gi", "9999999999"))
	}
	if b.chance(50) {
		list[resourceGPU] = quantity(pick(b.source, "0", "1", "2", "4"))
	}
	if b.chance(25) {
		list[resourceHuge] = quantity(pick(b.source, "4Mi", "8Mi"))
	}
	return list
}

// csiNode says how many volumes each driver can attach to a node; no number means any number.
func (b *builder) csiNode(name string) *storagev1.CSINode {
	n := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, driver := range some(b.source, 2, driverNames...) {
		d := storagev1.CSINodeDriver{Name: driver, NodeID: name}
		if b.chance(80) {
			count := int32(b.between(1, 4))
			d.Allocatable = &storagev1.VolumeNodeResources{Count: &count}
		}
		n.Spec.Drivers = append(n.Spec.Drivers, d)
	}
	return n
}
