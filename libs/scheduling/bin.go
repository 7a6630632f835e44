package scheduling

import (
	"fmt"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2" //nolint:depguard // ToleratesTaint asks for a logger, and gets one that writes nowhere

	"github.com/vpsie/vpsie-autoscaler/api/reason"
)

// Item is a shape made ready for judging. It is immutable once made.
type Item struct {
	ID    ShapeID
	Shape *Shape

	affinity nodeaffinity.RequiredNodeAffinity
}

// NewItem prepares a shape.
func NewItem(id ShapeID, shape *Shape) *Item {
	var affinity *corev1.Affinity
	if shape.Affinity != nil {
		affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: shape.Affinity}}
	}
	return &Item{ID: id, Shape: shape, affinity: nodeaffinity.NewRequiredNodeAffinity(shape.NodeSelector, affinity)}
}

// Verdict is a refusal: the code and a text that names what is missing. The zero value means
// that the shape fits.
type Verdict struct {
	Code    reason.Code
	Message string
}

// OK reports whether nothing was refused.
func (v Verdict) OK() bool { return v.Code == "" }

// Bin is one node of a simulation: a real one, one that is being launched, or one to buy.
type Bin struct {
	Name          string
	Labels        map[string]string
	Taints        []corev1.Taint
	Unschedulable bool
	// Free is what pods may still request.
	Free Resources
	// Placed counts the pods put here by the simulation.
	Placed map[ShapeID]int

	node *corev1.Node
}

// Clone returns a copy whose free resources and placements are its own.
func (b *Bin) Clone() *Bin {
	c := *b
	c.Free = b.Free.Clone()
	c.Placed = make(map[ShapeID]int, len(b.Placed))
	for id, n := range b.Placed {
		c.Placed[id] = n
	}
	return &c
}

// Admits judges everything about a shape but the room for it: unschedulable, taints, selector
// and affinity, with kube-scheduler's meaning.
func (b *Bin) Admits(item *Item) Verdict {
	if b.Unschedulable && !toleratesUnschedulable(item.Shape.Tolerations) {
		return Verdict{reason.NoScaleUpTaint, "node is unschedulable"}
	}
	if taint, found := untolerated(b.Taints, item.Shape.Tolerations); found {
		return Verdict{reason.NoScaleUpTaint, fmt.Sprintf("pod does not tolerate taint %s", taint.ToString())}
	}
	if b.node == nil || b.node.Name != b.Name {
		b.node = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: b.Name, Labels: b.Labels}}
	}
	if match, err := item.affinity.Match(b.node); err != nil || !match {
		return Verdict{reason.NoScaleUpSelector, "node labels do not match the pod's node selector or required node affinity"}
	}
	return Verdict{}
}

// Room is how many more pods of a shape the bin's free resources hold.
func (b *Bin) Room(shape *Shape) int {
	room := int64(-1)
	for name, need := range shape.Requests {
		if need <= 0 {
			continue
		}
		n := max(b.Free[name], 0) / need
		if room < 0 || n < room {
			room = n
		}
	}
	return int(max(room, 0))
}

// Missing names what the bin lacks for one pod of a shape, in a stable order.
func (b *Bin) Missing(shape *Shape) Verdict {
	var lacks []string
	for name, need := range shape.Requests {
		if need > b.Free[name] {
			lacks = append(lacks, fmt.Sprintf("%s %s of %s", name, FormatAmount(name, b.Free[name]), FormatAmount(name, need)))
		}
	}
	if len(lacks) == 0 {
		return Verdict{}
	}
	sort.Strings(lacks)
	return Verdict{reason.NoScaleUpResources, "too small for the pod: free " + strings.Join(lacks, ", ") + " requested"}
}

// Place puts up to n pods of a shape into the bin and returns how many it took. The shape must
// be admitted already.
func (b *Bin) Place(item *Item, n int) int {
	n = min(n, b.Room(item.Shape))
	if n <= 0 {
		return 0
	}
	b.Free.Add(item.Shape.Requests, int64(-n))
	if b.Placed == nil {
		b.Placed = map[ShapeID]int{}
	}
	b.Placed[item.ID] += n
	return n
}

func untolerated(taints []corev1.Taint, tolerations []corev1.Toleration) (*corev1.Taint, bool) {
	for i := range taints {
		taint := &taints[i]
		if taint.Effect != corev1.TaintEffectNoSchedule && taint.Effect != corev1.TaintEffectNoExecute {
			continue
		}
		if !tolerated(tolerations, taint) {
			return taint, true
		}
	}
	return nil, false
}

func tolerated(tolerations []corev1.Toleration, taint *corev1.Taint) bool {
	for i := range tolerations {
		if tolerations[i].ToleratesTaint(klog.Logger{}, taint, true) {
			return true
		}
	}
	return false
}

func toleratesUnschedulable(tolerations []corev1.Toleration) bool {
	return tolerated(tolerations, &corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
}

// FormatAmount renders an amount of a resource for people.
func FormatAmount(name corev1.ResourceName, amount int64) string {
	switch name {
	case corev1.ResourceCPU:
		return fmt.Sprintf("%dm", amount)
	case corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return fmt.Sprintf("%dMi", amount>>20)
	default:
		return fmt.Sprint(amount)
	}
}
