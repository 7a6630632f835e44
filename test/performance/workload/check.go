package workload

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const archDefault = "amd64"

// Bounds that keep sums of any plan within 64 bits, far above any machine there is.
const (
	vcpuMax      = 1e5
	memGiBMax    = 1e6
	podsMax      = 1e5
	priceHourMax = 1e4
	zonesMax     = 1000
)

// typeWire tells what a type in a file leaves out from what it says.
type typeWire struct {
	Type

	VCPU      *float64 `json:"vcpu"`
	MemGiB    *float64 `json:"memGiB"`
	Pods      *int64   `json:"pods"`
	PriceHour *float64 `json:"priceHour"`
}

// report notes what is wrong with an entry.
type report func(format string, args ...any)

func (w *typeWire) check(report report) {
	if w.Name == "" {
		report("no name: each type needs one")
	}
	checkAmount(report, "vcpu", w.VCPU, vcpuMax)
	checkAmount(report, "memGiB", w.MemGiB, memGiBMax)
	checkAmount(report, "priceHour", w.PriceHour, priceHourMax)
	switch {
	case w.Pods == nil:
		report("no pods: how many pods a node runs is expected")
	case *w.Pods < 1 || *w.Pods > podsMax:
		report("pods is %d: a number from 1 to %d is expected", *w.Pods, int64(podsMax))
	}
	w.checkReserved(report)
	w.checkZones(report)
	w.checkExtras(report)
}

// checkAmount checks a number that must be there and above zero.
func checkAmount(report report, name string, amount *float64, most float64) {
	switch {
	case amount == nil:
		report("no %s: a number above 0 is expected", name)
	case *amount <= 0 || *amount > most:
		report("%s is %v: a number above 0 and at most %.0f is expected", name, *amount, most)
	}
}

func (w *typeWire) checkReserved(report report) {
	t := w.complete()
	switch {
	case t.ReservedMilliCPU < 0:
		report("reservedMilliCPU is %d: it cannot be negative", t.ReservedMilliCPU)
	case w.VCPU != nil && t.VCPU > 0 && t.ReservedMilliCPU >= t.MilliCPU():
		report("reservedMilliCPU is %d of %d millicores: less than the machine has is expected", t.ReservedMilliCPU, t.MilliCPU())
	}
	switch {
	case t.ReservedMiB < 0:
		report("reservedMiB is %d: it cannot be negative", t.ReservedMiB)
	case w.MemGiB != nil && t.MemGiB > 0 && t.ReservedMiB >= t.MemoryBytes()>>20:
		report("reservedMiB is %d of %d MiB: less than the machine has is expected", t.ReservedMiB, t.MemoryBytes()>>20)
	}
}

func (w *typeWire) checkZones(report report) {
	if len(w.Zones) == 0 {
		report("no zones: at least one is expected")
	}
	if len(w.Zones) > zonesMax {
		report("%d zones: at most %d are expected", len(w.Zones), zonesMax)
	}
	for i, zone := range w.Zones {
		if zone == "" || slices.Contains(w.Zones[:i], zone) {
			report("zones[%d] is %q: names that differ are expected", i, zone)
		}
	}
}

func (w *typeWire) checkExtras(report report) {
	if w.Arch == "" {
		report("arch is empty: a value of the label %s is expected, such as %s", corev1.LabelArchStable, archDefault)
	}
	for _, name := range slices.Sorted(maps.Keys(w.Extended)) {
		amount := w.Extended[name]
		if amount.Sign() < 0 {
			report("extended[%q] is %s: it cannot be negative", name, amount.String())
		}
		if slices.Contains([]corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourcePods}, name) {
			report("extended[%q] is told by vcpu, memGiB or pods already", name)
		}
	}
	for _, key := range []string{corev1.LabelTopologyZone, corev1.LabelHostname, corev1.LabelInstanceTypeStable, corev1.LabelArchStable, corev1.LabelOSStable} {
		if value, set := w.Labels[key]; set {
			report("labels[%q] is %q: this label follows from the type and its zones and cannot be set", key, value)
		}
	}
}

// complete is the type without the difference between what is missing and what is zero.
func (w *typeWire) complete() Type {
	t := w.Type
	t.VCPU, t.MemGiB, t.PriceHour, t.Pods = value(w.VCPU), value(w.MemGiB), value(w.PriceHour), value(w.Pods)
	return t
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func checkPod(pod *corev1.Pod, report report) {
	if pod.Kind != "" && pod.Kind != "Pod" || pod.APIVersion != "" && pod.APIVersion != "v1" {
		report("%s of %s: a Pod of v1 is expected", pod.Kind, pod.APIVersion)
	}
	if pod.Name == "" {
		report("no metadata.name: each pod needs one")
	}
	if pod.Spec.NodeName != "" {
		report("spec.nodeName is %q: only pods that wait for a node are expected", pod.Spec.NodeName)
	}
	if pod.Status.Phase != "" && pod.Status.Phase != corev1.PodPending {
		report("status.phase is %q: only pods that wait for a node are expected", pod.Status.Phase)
	}
	if owner := metav1.GetControllerOf(pod); owner != nil && owner.Kind == "DaemonSet" {
		report("DaemonSet %s controls the pod: such pods go where nodes are and need none", owner.Name)
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			checkQuantities(list[i].Resources.Requests, "requests of container "+list[i].Name, report)
			checkQuantities(list[i].Resources.Limits, "limits of container "+list[i].Name, report)
		}
	}
	checkQuantities(pod.Spec.Overhead, "overhead", report)
	for i := range pod.Spec.TopologySpreadConstraints {
		checkSpread(&pod.Spec.TopologySpreadConstraints[i], i, report)
	}
}

func checkQuantities(list corev1.ResourceList, of string, report report) {
	for _, name := range slices.Sorted(maps.Keys(list)) {
		if amount := list[name]; amount.Sign() < 0 {
			report("%s: %s is %s: it cannot be negative", of, name, amount.String())
		}
	}
}

func checkSpread(c *corev1.TopologySpreadConstraint, i int, report report) {
	if c.MaxSkew < 1 {
		report("topologySpreadConstraints[%d]: maxSkew is %d: a number above 0 is expected", i, c.MaxSkew)
	}
	if c.TopologyKey == "" {
		report("topologySpreadConstraints[%d]: no topologyKey: the key of a node label is expected", i)
	}
	if c.WhenUnsatisfiable != corev1.DoNotSchedule && c.WhenUnsatisfiable != corev1.ScheduleAnyway {
		report("topologySpreadConstraints[%d]: whenUnsatisfiable is %q: DoNotSchedule or ScheduleAnyway is expected", i, c.WhenUnsatisfiable)
	}
}

// complete fills in what the API server would.
func complete(pod *corev1.Pod) {
	if pod.Namespace == "" {
		pod.Namespace = corev1.NamespaceDefault
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			requestLimits(&list[i].Resources)
		}
	}
}

// requestLimits makes a limit the request where there is none.
func requestLimits(r *corev1.ResourceRequirements) {
	for name, limit := range r.Limits {
		if _, requested := r.Requests[name]; requested {
			continue
		}
		if r.Requests == nil {
			r.Requests = corev1.ResourceList{}
		}
		r.Requests[name] = limit
	}
}
