package scheduling

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
)

// Storage looks up what a pod's claims refer to; each method returns nil for what does not exist.
type Storage interface {
	Claim(namespace, name string) *corev1.PersistentVolumeClaim
	Volume(name string) *corev1.PersistentVolume
	Class(name string) *storagev1.StorageClass
	// IsShared reports whether more than one unfinished pod uses the claim.
	IsShared(namespace, name string) bool
}

const noProvisioner = "kubernetes.io/no-provisioner"

// VolumesOf returns what the pod's claims say about the node, one entry a claim. A refusal says why that cannot be
// told in full: a claim is missing or lost, or waits for a volume that nobody is going to make on the pod's account.
func VolumesOf(pod *corev1.Pod, storage Storage) ([]Volume, Verdict) {
	var volumes []Volume
	var problem Verdict
	seen := map[string]bool{}
	for i := range pod.Spec.Volumes {
		name := ClaimOf(pod, &pod.Spec.Volumes[i])
		if name == "" || seen[name] {
			continue
		}
		seen[name] = true
		ephemeral := pod.Spec.Volumes[i].Ephemeral != nil
		claim, why := storage.Claim(pod.Namespace, name), ""
		switch {
		case claim == nil:
			why = "does not exist; create it"
		case claim.DeletionTimestamp != nil:
			why = "is being deleted"
		case claim.Status.Phase == corev1.ClaimLost:
			why = "has lost its volume"
		case ephemeral && !metav1.IsControlledBy(claim, pod):
			why = "belongs to another pod; delete it"
		}
		if claim != nil {
			volume, unknown := volumeOf(claim, storage, ephemeral)
			if why == "" {
				why = unknown
			}
			volumes = append(volumes, shared(volume, claim, storage.IsShared(claim.Namespace, claim.Name)))
		}
		if why != "" && problem.OK() {
			problem = Verdict{reason.NoScaleUpVolume, describeClaim(pod, &pod.Spec.Volumes[i], name) + " " + why}
		}
	}
	return volumes, problem
}

// describeClaim names a claim that pods share. One that is named after its pod is called by the volume, so that the pods of
// a set say the same and have one shape.
func describeClaim(pod *corev1.Pod, v *corev1.Volume, claim string) string {
	if strings.HasSuffix(claim, "-"+pod.Name) || strings.HasPrefix(claim, pod.Name+"-") {
		return "the PersistentVolumeClaim of the pod's volume " + v.Name
	}
	return "PersistentVolumeClaim " + claim
}

// shared completes a volume by what matters only when several pods use it.
func shared(v Volume, claim *corev1.PersistentVolumeClaim, isShared bool) Volume {
	if !isShared {
		v.Handle, v.Waits = "", false
		return v
	}
	if v.Handle == "" {
		v.Handle = claim.Namespace + "/" + claim.Name
	}
	v.Exclusive = slices.Contains(claim.Spec.AccessModes, corev1.ReadWriteOncePod)
	return v
}

// ClaimOf is the name of the claim behind a pod's volume, empty where there is none.
func ClaimOf(pod *corev1.Pod, v *corev1.Volume) string {
	switch {
	case v.PersistentVolumeClaim != nil:
		return v.PersistentVolumeClaim.ClaimName
	case v.Ephemeral != nil:
		return pod.Name + "-" + v.Name
	}
	return ""
}

// Annotations by which the volume binder and the scheduler say how far a claim is.
const (
	annotationBindCompleted = "pv.kubernetes.io/bind-completed"
	annotationSelectedNode  = "volume.kubernetes.io/selected-node"
)

// volumeOf reads a claim, and says what about it is not known, empty when all is; even then it tells what a pod that runs
// already attaches.
func volumeOf(claim *corev1.PersistentVolumeClaim, storage Storage, ephemeral bool) (Volume, string) {
	class := storage.Class(className(claim))
	if claim.Spec.VolumeName != "" {
		pv := storage.Volume(claim.Spec.VolumeName)
		switch _, bound := claim.Annotations[annotationBindCompleted]; {
		case pv != nil && bound:
			return boundVolume(pv, ephemeral), ""
		case pv != nil:
			return boundVolume(pv, ephemeral), "is not bound to its volume yet"
		case class != nil:
			return Volume{Driver: class.Provisioner}, "names a PersistentVolume that does not exist"
		}
		return Volume{}, "names a PersistentVolume that does not exist"
	}
	if class == nil {
		if name := className(claim); name != "" {
			return Volume{}, "has no volume, and its StorageClass " + name + " does not exist; create the class or a volume"
		}
		return Volume{}, "has neither a volume nor a StorageClass; create a volume for it"
	}
	v := Volume{Driver: class.Provisioner}
	if class.VolumeBindingMode == nil || *class.VolumeBindingMode != storagev1.VolumeBindingWaitForFirstConsumer || class.Provisioner == noProvisioner {
		// An unbound claim that nobody provisions for a node keeps the pod waiting wherever it is put.
		return v, "waits for a volume that StorageClass " + class.Name + " does not create for the pod's node"
	}
	v.Waits = true
	v.Topology = allowed(class.AllowedTopologies, claim.Annotations[annotationSelectedNode])
	return v, ""
}

// allowed is where a volume may be made: in the topologies of its class, and on the node that the scheduler chose
// for it, where it did.
func allowed(topologies []corev1.TopologySelectorTerm, node string) *corev1.NodeSelector {
	var terms []corev1.NodeSelectorTerm
	for _, t := range topologies {
		var term corev1.NodeSelectorTerm
		for _, e := range t.MatchLabelExpressions {
			term.MatchExpressions = append(term.MatchExpressions, corev1.NodeSelectorRequirement{Key: e.Key, Operator: corev1.NodeSelectorOpIn, Values: e.Values})
		}
		terms = append(terms, term)
	}
	if node != "" {
		if len(terms) == 0 {
			terms = []corev1.NodeSelectorTerm{{}}
		}
		for i := range terms {
			terms[i].MatchFields = []corev1.NodeSelectorRequirement{{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}}
		}
	}
	if len(terms) == 0 {
		return nil
	}
	return &corev1.NodeSelector{NodeSelectorTerms: terms}
}

func className(claim *corev1.PersistentVolumeClaim) string {
	if claim.Spec.StorageClassName != nil {
		return *claim.Spec.StorageClassName
	}
	return claim.Annotations[corev1.BetaStorageClassAnnotation]
}

// boundVolume is where a volume that exists can be used: where its node affinity says and, unless it is a pod's own
// ephemeral one, which VolumeZone does not look at, in the zone and region that its labels name.
func boundVolume(pv *corev1.PersistentVolume, ephemeral bool) Volume {
	var v Volume
	if pv.Spec.CSI != nil {
		v.Driver, v.Handle = pv.Spec.CSI.Driver, pv.Spec.CSI.VolumeHandle
	}
	if pv.Spec.NodeAffinity != nil && pv.Spec.NodeAffinity.Required != nil {
		v.Topology = withoutNames(pv.Spec.NodeAffinity.Required)
	}
	if zones := zonesOf(pv); zones != nil && !ephemeral {
		v.Topology = both(v.Topology, zones)
	}
	return v
}

// anywhere is a requirement that every node meets.
var anywhere = corev1.NodeSelectorRequirement{Key: "autoscaler.vpsie.com/nowhere", Operator: corev1.NodeSelectorOpDoesNotExist}

// withoutNames is a volume's node affinity as VolumeBinding judges it: against a node that has labels and no name,
// so that what a term says of names does not restrict.
func withoutNames(s *corev1.NodeSelector) *corev1.NodeSelector {
	out := &corev1.NodeSelector{}
	for _, term := range s.NodeSelectorTerms {
		kept := corev1.NodeSelectorTerm{MatchExpressions: slices.Clone(term.MatchExpressions)}
		if len(kept.MatchExpressions) == 0 && len(term.MatchFields) > 0 {
			kept.MatchExpressions = []corev1.NodeSelectorRequirement{anywhere}
		}
		if len(kept.MatchExpressions) > 0 {
			out.NodeSelectorTerms = append(out.NodeSelectorTerms, kept)
		}
	}
	return out
}

// zoneLabels are those by which VolumeZone ties a volume to nodes, and the newer label that stands in for an older.
var zoneLabels = []struct{ key, newer string }{
	{corev1.LabelTopologyZone, ""}, {corev1.LabelTopologyRegion, ""},
	{corev1.LabelFailureDomainBetaZone, corev1.LabelTopologyZone}, {corev1.LabelFailureDomainBetaRegion, corev1.LabelTopologyRegion},
}

// zonesOf are the nodes in the zones and regions that a volume's labels name, and those that have no such label at
// all; nil when the volume names none.
func zonesOf(pv *corev1.PersistentVolume) *corev1.NodeSelector {
	var zones *corev1.NodeSelector
	var unlabelled corev1.NodeSelectorTerm
	for _, l := range zoneLabels {
		unlabelled.MatchExpressions = append(unlabelled.MatchExpressions, corev1.NodeSelectorRequirement{Key: l.key, Operator: corev1.NodeSelectorOpDoesNotExist})
		value, found := pv.Labels[l.key]
		if !found {
			continue
		}
		values := strings.Split(value, "__") // a volume in several zones names them as one value
		in := &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: l.key, Operator: corev1.NodeSelectorOpIn, Values: values}}}}}
		if l.newer != "" {
			in.NodeSelectorTerms = append(in.NodeSelectorTerms, corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
				{Key: l.key, Operator: corev1.NodeSelectorOpDoesNotExist}, {Key: l.newer, Operator: corev1.NodeSelectorOpIn, Values: values},
			}})
		}
		zones = both(zones, in)
	}
	if zones != nil {
		zones.NodeSelectorTerms = append(zones.NodeSelectorTerms, unlabelled)
	}
	return zones
}

// both selects the nodes that two selectors select, of which the first may be nil.
func both(a, b *corev1.NodeSelector) *corev1.NodeSelector {
	if a == nil {
		return b
	}
	out := &corev1.NodeSelector{}
	for _, x := range a.NodeSelectorTerms {
		for _, y := range b.NodeSelectorTerms {
			out.NodeSelectorTerms = append(out.NodeSelectorTerms, corev1.NodeSelectorTerm{MatchExpressions: slices.Concat(x.MatchExpressions, y.MatchExpressions)})
		}
	}
	return out
}
