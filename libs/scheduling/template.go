package scheduling

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

// Offering is a size that can be bought.
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

// NewNode is the node that buying the offering for the group would bring, with the room that the pods of
// the DaemonSets which run on it will take held back.
func NewNode(name string, group *v1beta1.NodeGroup, offering *Offering, daemons []*Item) *Node {
	labels := NodeLabels(group, offering.ID, offering.Name)
	labels[labelHostname], labels[labelOS], labels[labelArch] = name, valueLinux, valueAMD64
	labels[labelBetaOS], labels[labelBetaArch] = valueLinux, valueAMD64
	n := &Node{Name: name, Labels: labels, Taints: group.Spec.Template.Taints, Allocatable: offering.Expected(), AttachLimits: offering.AttachLimits}
	n.Reserve(daemons, nil)
	return n
}

// Reserve holds back room for those of the DaemonSets' pods that belong on the node and are not there yet. A pod on the
// node is taken for a DaemonSet's by its namespace and requests, else by its namespace alone: priority classes, limit
// ranges and admission make pods differ from their template.
func (n *Node) Reserve(daemons []*Item, items map[ShapeID]*Item) {
	n.Reserved = Resources{}
	same, others := map[string]int{}, map[string]int{}
	for id, count := range n.Pods {
		if item := items[id]; item != nil && item.Shape.OwnerKind == ownerDaemonSet {
			same[item.daemonKey] += count
			others[item.Shape.Namespace] += count
		}
	}
	var missing []*Item
	for _, daemon := range daemons {
		switch key := daemon.daemonKey; {
		case !n.wants(daemon):
		case same[key] > 0:
			same[key]--
			others[daemon.Shape.Namespace]--
		default:
			missing = append(missing, daemon)
		}
	}
	for _, daemon := range missing {
		if others[daemon.Shape.Namespace] > 0 {
			others[daemon.Shape.Namespace]--
			continue
		}
		n.Reserved.Add(daemon.Shape.Requests, 1)
	}
}

// daemonKey is what a DaemonSet's pod and its template share.
func daemonKey(shape *Shape) string {
	var b strings.Builder
	b.WriteString(shape.Namespace)
	for _, name := range slices.Sorted(maps.Keys(shape.Requests)) {
		b.WriteString("|" + string(name) + "=" + itoa(shape.Requests[name]))
	}
	return b.String()
}

// wants reports whether a DaemonSet's pod runs on the node. Such pods tolerate that it is unschedulable or
// not ready, and the DaemonSet controller asks for no more than labels and taints.
func (n *Node) wants(daemon *Item) bool {
	if _, found := untolerated(n.Taints, daemon.Shape.Tolerations); found {
		return false
	}
	match, err := daemon.affinity.Match(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: n.Labels}})
	return err == nil && match
}
