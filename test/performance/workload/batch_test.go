package workload_test

import (
	"fmt"
	"math"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

func batch(t *testing.T, w workload.Workload) *workload.Batch {
	t.Helper()
	b, err := w.Batch()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOptionsSayWhatATypeIs(t *testing.T) {
	w := workload.Workload{Types: []workload.Type{{
		Name: "g-2", VCPU: 1.5, MemGiB: 3.75, Pods: 20, ReservedMilliCPU: 100, ReservedMiB: 256, PriceHour: 0.0123456789, Zones: []string{"a", "b"}, Arch: "arm64",
		Extended: corev1.ResourceList{"x.example/gpu": resource.MustParse("2")}, Labels: map[string]string{"disk": "nvme"},
	}}}
	b := batch(t, w)
	if len(b.Options) != 2 {
		t.Fatalf("%d options, want one in each zone", len(b.Options))
	}
	o := b.Options[1]
	for name, want := range map[corev1.ResourceName]int64{"cpu": 1400, "memory": 3584 << 20, "pods": 20, "x.example/gpu": 2} {
		if o.Empty.Allocatable[name] != want {
			t.Errorf("%s: %d, want %d", name, o.Empty.Allocatable[name], want)
		}
	}
	for key, want := range map[string]string{
		"topology.kubernetes.io/zone": "b", "kubernetes.io/hostname": "g-2-b", "kubernetes.io/arch": "arm64", "kubernetes.io/os": "linux",
		"node.kubernetes.io/instance-type": "g-2", "disk": "nvme",
	} {
		if o.Empty.Labels[key] != want {
			t.Errorf("label %s: %q, want %q", key, o.Empty.Labels[key], want)
		}
	}
	if dollars := workload.DollarsPerHour(o.MonthlyPrice); dollars != 0.0123456789 {
		t.Errorf("costs %v dollars an hour, want 0.0123456789", dollars)
	}
	if o.MilliCPU != 1500 || o.MemoryBytes != 3840<<20 || b.Types[o].Name != "g-2" {
		t.Errorf("option %+v of type %v, want the whole machine", o, b.Types[o])
	}
}

// Prices come out as they went in for every catalogue.
func TestPricesLoseNothing(t *testing.T) {
	for _, types := range [][]workload.Type{workload.Catalogue(), workload.Catalogue400(), workload.KarpenterTypes(400)} {
		for _, ty := range types {
			if got := workload.DollarsPerHour(ty.Price()); math.Abs(got-ty.PriceHour) > 1e-12*ty.PriceHour {
				t.Errorf("%s: %v, want %v", ty.Name, got, ty.PriceHour)
			}
		}
	}
}

// Labels that no selector refers to do not tell pods apart; those that one does refer to do.
func TestShapesIgnoreLabelsOfTheirOwn(t *testing.T) {
	plain, diverse := workload.Plain(100, 1), workload.Diverse(100, 1)
	for i, pod := range plain.Pods {
		pod.Labels["statefulset.kubernetes.io/pod-name"] = fmt.Sprint(i)
	}
	if n := len(batch(t, plain).Items); n > 5 {
		t.Errorf("plain: %d shapes of 5 deployments", n)
	}
	for i, pod := range diverse.Pods {
		pod.Labels["statefulset.kubernetes.io/pod-name"] = fmt.Sprint(i)
	}
	if n := len(batch(t, diverse).Items); n != 5 {
		t.Errorf("diverse: %d shapes, want one for each of 5 deployments", n)
	}
}

func TestDaemonsAreHeldBack(t *testing.T) {
	o := batch(t, workload.DaemonHeavy(100, 1)).Options[0]
	if cpu, pods := o.Empty.Reserved[corev1.ResourceCPU], o.Empty.Reserved[corev1.ResourcePods]; cpu != 1000 || pods != 10 {
		t.Errorf("%d millicores and %d pods are held back, want 1000 and 10", cpu, pods)
	}
}

// A claim, and another scheduler, are what the engine does not judge.
func TestWhatCannotBeJudgedIsRefused(t *testing.T) {
	w := workload.Plain(20, 1)
	w.Pods[3].Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}}}
	w.Pods[4].Spec.SchedulerName = "another"
	b := batch(t, w)
	refused, planned := b.Refused(), 0
	for _, d := range b.Demands() {
		planned += d.Count
	}
	if len(refused) != 2 || refused[0].Count+refused[1].Count != 2 || planned != 18 {
		t.Errorf("%v are refused and %d pods planned for, want two and 18", refused, planned)
	}
}

func TestCataloguesAreWhatTheyClaim(t *testing.T) {
	for name, tc := range map[string]struct {
		types []workload.Type
		want  int
	}{"neutral": {workload.Catalogue(), 21}, "400": {workload.Catalogue400(), 400}, "Karpenter": {workload.KarpenterTypes(400), 400}} {
		seen := map[string]bool{}
		for _, ty := range tc.types {
			if len(ty.Zones) != 3 {
				t.Errorf("%s: type %s is in %d zones, want 3", name, ty.Name, len(ty.Zones))
			}
			seen[fmt.Sprint(ty.VCPU, ty.MemGiB, ty.PriceHour)] = true
		}
		if len(seen) != tc.want {
			t.Errorf("%s: %d types that differ, want %d", name, len(seen), tc.want)
		}
	}
}

// A fifth is of each kind, and what is left over is plain.
func TestKarpenterMixIsKarpenters(t *testing.T) {
	w := workload.KarpenterMix(1003)
	if len(w.Pods) != 1003 {
		t.Fatalf("%d pods, want 1003", len(w.Pods))
	}
	counts := map[string]int{}
	for _, pod := range w.Pods {
		switch {
		case len(pod.Spec.TopologySpreadConstraints) > 0:
			counts[pod.Spec.TopologySpreadConstraints[0].TopologyKey]++
		case pod.Spec.Affinity == nil:
			counts["plain"]++
		case pod.Spec.Affinity.PodAffinity != nil:
			counts["together"]++
		default:
			counts["apart"]++
		}
	}
	for kind, want := range map[string]int{"plain": 203, corev1.LabelTopologyZone: 200, corev1.LabelHostname: 200, "together": 200, "apart": 200} {
		if counts[kind] != want {
			t.Errorf("%s: %d pods, want %d", kind, counts[kind], want)
		}
	}
	if price := w.Types[399].PriceHour; math.Abs(price-125.8993459) > 1e-6 {
		t.Errorf("the largest type costs %v, want 125.8993459 as Karpenter prices it", price)
	}
}
