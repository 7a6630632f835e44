package generate

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"
)

// Storage classes by what they do.
const (
	classFast      = "fast"
	classZoned     = "zoned"
	classShare     = "share"
	classImmediate = "immediate"
	classLocal     = "local"
)

const (
	driverDisk  = "disk.example.com"
	driverShare = "share.example.com"
)

var driverNames = []string{driverDisk, driverShare}

func (b *builder) classes() {
	wait, now := storagev1.VolumeBindingWaitForFirstConsumer, storagev1.VolumeBindingImmediate
	class := func(name, provisioner string, mode *storagev1.VolumeBindingMode, topologies ...corev1.TopologySelectorTerm) {
		b.objects.Classes = append(b.objects.Classes, &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: provisioner, VolumeBindingMode: mode, AllowedTopologies: topologies,
		})
	}
	in := func(key string, values ...string) corev1.TopologySelectorLabelRequirement {
		return corev1.TopologySelectorLabelRequirement{Key: key, Values: values}
	}
	class(classFast, driverDisk, &wait)
	class(classZoned, driverDisk, &wait,
		corev1.TopologySelectorTerm{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{in(corev1.LabelTopologyZone, some(b.source, 2, zoneNames...)...)}},
		corev1.TopologySelectorTerm{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{in(labelRack, "r0"), in(labelDisk, diskNames...)}},
	)
	class(classShare, driverShare, &wait)
	class(classImmediate, driverDisk, &now)
	class(classLocal, volume.NotSupportedProvisioner, &wait)
}

// volumes gives a pod claims, some of which other pods use as well.
func (b *builder) volumes(p *corev1.Pod, node string) {
	for range b.between(1, 2) {
		name := b.name("data")
		if b.chance(12) {
			b.ephemeral(p, name, node)
			continue
		}
		b.mount(p, name, b.claim(p.Namespace, node))
	}
	if first := p.Spec.Volumes[0].PersistentVolumeClaim; first != nil && b.chance(8) {
		b.mount(p, b.name("again"), first.ClaimName)
	}
}

func (b *builder) mount(p *corev1.Pod, name, claim string) {
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
	}})
}

// ephemeral gives a pod a volume of its own, whose claim a controller makes in the pod's name.
func (b *builder) ephemeral(p *corev1.Pod, name, node string) {
	wanted := b.newClaim(p.Namespace, p.Name+"-"+name, node)
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: wanted.Spec}},
	}})
	yes := true
	wanted.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: p.Name, UID: p.UID, Controller: &yes}}
	if node == "" && b.chance(10) {
		// Somebody else's claim has the name that this one should get.
		wanted.OwnerReferences = nil
	}
	if node == "" && b.chance(15) {
		return
	}
	b.objects.Claims = append(b.objects.Claims, wanted)
}

// claim names a claim for a pod to use: one that is there, a new one, or now and then one that is not there.
func (b *builder) claim(namespace, node string) string {
	if b.chance(4) {
		return "absent"
	}
	if b.chance(35) {
		var known []string
		for _, c := range b.objects.Claims {
			if c.Namespace == namespace && len(c.OwnerReferences) == 0 && (node == "" || isBound(c)) {
				known = append(known, c.Name)
			}
		}
		if len(known) > 0 {
			return pick(b.source, known...)
		}
	}
	c := b.newClaim(namespace, b.name("claim"), node)
	b.objects.Claims = append(b.objects.Claims, c)
	return c.Name
}

// newClaim draws a claim in one of the states that claims go through. A pod that runs has bound ones.
func (b *builder) newClaim(namespace, name, node string) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{}}}
	c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{pick(b.source, corev1.ReadWriteOnce, corev1.ReadWriteOnce, corev1.ReadWriteMany, corev1.ReadWriteMany, corev1.ReadWriteOncePod)}
	c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: quantity("1Gi")}
	c.Status.Phase = corev1.ClaimPending
	class := pick(b.source, classFast, classFast, classZoned, classShare)
	c.Spec.StorageClassName = &class
	switch n := b.between(1, 100); {
	case node != "" || n <= 60:
		b.bind(c)
	case n <= 85:
	case n <= 90:
		// Its volume is being made for a node that was chosen before.
		c.Annotations[volume.AnnSelectedNode] = pick(b.source, b.objects.Nodes...).Name
	case n <= 94:
		b.neverBound(c)
	case n <= 97:
		// Somebody reserved a volume for it that is not bound yet.
		b.bind(c)
		delete(c.Annotations, volume.AnnBindCompleted)
		c.Status.Phase = corev1.ClaimPending
	default:
		// The volume is gone.
		c.Spec.VolumeName, c.Status.Phase = "gone", corev1.ClaimLost
		c.Annotations[volume.AnnBindCompleted] = "yes"
	}
	if b.chance(5) {
		// A claim that is deleted stays while a pod uses it.
		deleted := metav1.Unix(1_700_000_000, 0)
		c.DeletionTimestamp, c.Finalizers = &deleted, []string{"kubernetes.io/pvc-protection"}
	}
	return c
}

// neverBound makes a claim one that no pod's placement gets a volume for.
func (b *builder) neverBound(c *corev1.PersistentVolumeClaim) {
	class := pick(b.source, classImmediate, classLocal, "unknown", "")
	c.Spec.StorageClassName = &class
	if b.chance(20) {
		c.Spec.StorageClassName = nil
	}
}

func isBound(c *corev1.PersistentVolumeClaim) bool { return c.Status.Phase == corev1.ClaimBound }
