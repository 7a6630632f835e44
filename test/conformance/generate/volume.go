package generate

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
)

// bind gives a claim a volume.
func (b *builder) bind(c *corev1.PersistentVolumeClaim) {
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: b.name("volume"), Labels: map[string]string{}}}
	v.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: quantity("1Gi")}
	v.Spec.AccessModes = c.Spec.AccessModes
	v.Spec.StorageClassName = *c.Spec.StorageClassName
	v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
	v.Spec.ClaimRef = &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: c.Namespace, Name: c.Name}
	v.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: driverDisk, VolumeHandle: "handle-" + v.Name}
	switch {
	case v.Spec.StorageClassName == classShare:
		v.Spec.CSI.Driver = driverShare
	case b.chance(10):
		v.Spec.CSI = nil
		v.Spec.NFS = &corev1.NFSVolumeSource{Server: "files.example.com", Path: "/" + v.Name}
	}
	b.locate(v)
	b.objects.Volumes = append(b.objects.Volumes, v)
	c.Spec.VolumeName, c.Status.Phase = v.Name, corev1.ClaimBound
	c.Annotations[volume.AnnBindCompleted] = "yes"
}

// locate says where a volume can be used: by node affinity, by labels, or not at all.
func (b *builder) locate(v *corev1.PersistentVolume) {
	in := func(key string, values ...string) corev1.NodeSelectorRequirement {
		return corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpIn, Values: values}
	}
	only := func(requirements ...corev1.NodeSelectorRequirement) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{MatchExpressions: requirements}
	}
	affine := func(terms ...corev1.NodeSelectorTerm) {
		v.Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: terms}}
	}
	zone := pick(b.source, b.zones...)
	switch n := b.between(1, 100); {
	case n <= 25:
	case n <= 45:
		affine(only(in(corev1.LabelTopologyZone, zone)))
	case n <= 55:
		affine(only(in(corev1.LabelHostname, pick(b.source, b.objects.Nodes...).Name)))
	case n <= 65:
		affine(only(in(labelRack, some(b.source, 2, rackNames...)...)), only(b.nodeRequirement()))
	case n <= 70:
		affine(only(in(corev1.LabelTopologyZone, zone), in(labelDisk, pick(b.source, diskNames...))))
	case n <= 71:
		// Names of nodes are not something that a volume can refer to, though its affinity can spell it.
		affine(corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{b.nodeField()}})
	case n <= 85:
		v.Labels[corev1.LabelTopologyZone] = pick(b.source, zone, "z0__z1")
		if b.chance(30) {
			v.Labels[corev1.LabelTopologyRegion] = pick(b.source, regions...)
		}
	case n <= 93:
		v.Labels[corev1.LabelFailureDomainBetaZone] = zone
	default:
		v.Labels[corev1.LabelTopologyZone] = zone
		affine(only(in(corev1.LabelTopologyZone, some(b.source, 2, zoneNames...)...)))
	}
}
