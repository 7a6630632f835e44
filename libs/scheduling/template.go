package scheduling

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
)

// What a Kubernetes node of a managed cluster keeps for itself: the kubelet's and the system's
// reservation, the kubelet's default eviction threshold on its file system, and its default
// limit of pods. The planner corrects these by what nodes of an offering turned out to have.
const (
	reservedMilliCPU       = 100
	reservedMemory         = 256 << 20
	reservedDiskPercent    = 10
	podsPerNode            = 110
	labelInstanceType      = corev1.LabelInstanceTypeStable
	labelZone              = corev1.LabelTopologyZone
	labelRegion            = corev1.LabelTopologyRegion
	labelHostname          = corev1.LabelHostname
	labelOS                = corev1.LabelOSStable
	labelArch              = corev1.LabelArchStable
	labelBetaOS            = "beta.kubernetes.io/os"
	labelBetaArch          = "beta.kubernetes.io/arch"
	valueLinux, valueAMD64 = "linux", "amd64"
)

// Offering is a size that can be launched.
type Offering struct {
	ID           int64
	Name         string
	MilliCPU     int64
	MemoryBytes  int64
	DiskBytes    int64
	MonthlyPrice money.Micros
	// Allocatable is what a node of this size was seen to have; nil means that none was seen.
	Allocatable Resources
	// AttachLimits are the volumes of each CSI driver that nodes of this size were seen to attach.
	AttachLimits map[string]int64
	// Labels and Taints are what nodes get besides those of their template, from agents and drivers; nil Labels mean
	// that no node was seen.
	Labels map[string]string
	Taints []corev1.Taint
	// Static are the pods that kubelet runs by itself on each node.
	Static []*Item
}

// Expected is the allocatable of a node of this size: as seen, otherwise by rule.
func (o *Offering) Expected() Resources {
	if o.Allocatable != nil {
		return o.Allocatable.Clone()
	}
	return Resources{
		corev1.ResourceCPU:              o.MilliCPU - reservedMilliCPU,
		corev1.ResourceMemory:           o.MemoryBytes - reservedMemory,
		corev1.ResourceEphemeralStorage: o.DiskBytes / 100 * (100 - reservedDiskPercent),
		corev1.ResourcePods:             podsPerNode,
	}
}

const (
	labelCharsMax  = 63
	labelCharsKept = 46
)

// GroupLabel is the value of a Node's label that names its NodeGroup: namespace.name, or as much of
// it as fits into a label value with a hash of the whole.
func GroupLabel(namespace, name string) string {
	whole := namespace + "." + name
	if len(whole) <= labelCharsMax {
		return whole
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(whole)) // a hash never fails
	return fmt.Sprintf("%s-%016x", strings.TrimRight(whole[:labelCharsKept], "-."), hash.Sum64())
}

// NodeLabels are the labels that a Node of the group and offering carries once it is registered.
func NodeLabels(group *v1beta1.NodeGroup, offering int64, offeringName string) map[string]string {
	labels := make(map[string]string, len(group.Spec.Template.Labels)+8)
	for key, value := range group.Spec.Template.Labels {
		labels[key] = value
	}
	labels[labelZone] = group.Spec.Cluster.Datacenter
	labels[labelRegion] = group.Spec.Cluster.Datacenter
	if offeringName != "" {
		labels[labelInstanceType] = offeringName
	}
	labels[v1beta1.LabelManaged] = valueTrue
	labels[v1beta1.LabelNodeGroup] = GroupLabel(group.Namespace, group.Name)
	labels[v1beta1.LabelOffering] = strconv.FormatInt(offering, 10)
	return labels
}

// What VPSie's CSI driver says of a node: its datacenter, by a label of the driver's own, and how many volumes it attaches.
const (
	vpsieDriver        = "vpsie.csi.vpsie.com"
	labelVPSieRegion   = "region"
	vpsieAttachmentMax = 7
)

// NewNode is the node that launching the offering for the group would bring: as nodes of the size turned out, as far as some were
// seen, and as the group's template declares. The room that the pods of the DaemonSets which run on it will take, and that of
// static pods, is held back.
func NewNode(name string, group *v1beta1.NodeGroup, offering *Offering, daemons []*Item) *Node {
	n := &Node{Name: name, Labels: FutureLabels(group, offering), Taints: FutureTaints(group, offering), Allocatable: offering.Expected(), AttachLimits: maps.Clone(offering.AttachLimits)}
	n.Labels[labelHostname], n.Labels[labelOS], n.Labels[labelArch] = name, valueLinux, valueAMD64
	n.Labels[labelBetaOS], n.Labels[labelBetaArch] = valueLinux, valueAMD64
	for resource, quantity := range group.Spec.Template.Resources {
		if _, seen := n.Allocatable[resource]; !seen {
			n.Allocatable[resource] = quantity.Value()
		}
	}
	if _, seen := n.AttachLimits[vpsieDriver]; !seen {
		if n.AttachLimits == nil {
			n.AttachLimits = map[string]int64{}
		}
		n.AttachLimits[vpsieDriver] = vpsieAttachmentMax
	}
	n.Reserve(daemons, offering.Static, nil)
	return n
}

// FutureLabels are the labels that a Node of the group and offering has once agents and drivers have added theirs.
func FutureLabels(group *v1beta1.NodeGroup, offering *Offering) map[string]string {
	labels := maps.Clone(AgentLabels(group, offering))
	maps.Copy(labels, NodeLabels(group, offering.ID, offering.Name))
	return labels
}

// AgentLabels are the labels that agents and drivers are expected to put on a Node of the group and offering: what nodes have been
// seen with, and before there was one what VPSie's own driver puts there. It must not be changed.
func AgentLabels(group *v1beta1.NodeGroup, offering *Offering) map[string]string {
	if offering.Labels == nil {
		return map[string]string{labelVPSieRegion: group.Spec.Cluster.Datacenter}
	}
	return offering.Labels
}

// FutureTaints are the taints that a Node of the group and offering has once agents have taken off those that they look after.
func FutureTaints(group *v1beta1.NodeGroup, offering *Offering) []corev1.Taint {
	taints := slices.Clone(group.Spec.Template.Taints)
	for _, taint := range offering.Taints {
		if !slices.ContainsFunc(taints, func(t corev1.Taint) bool { return t.MatchTaint(&taint) }) {
			taints = append(taints, taint)
		}
	}
	return taints
}
