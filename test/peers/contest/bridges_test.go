package contest_test

import (
	"fmt"
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/vpsie/vpsie-autoscaler/test/peers/engine"
	"github.com/vpsie/vpsie-autoscaler/test/peers/karpenter"
	"github.com/vpsie/vpsie-autoscaler/test/peers/plan"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

// machine is a type that keeps a tenth of its processors back.
func machine(name string, cores, price float64, zones ...string) workload.Type {
	return workload.Type{
		Name: name, VCPU: cores, MemGiB: 64, Pods: 110, ReservedMilliCPU: int64(cores * 100), PriceHour: price, Zones: zones, Arch: "amd64",
	}
}

// pods are n pods that ask for as much, changed by edit.
func pods(n int, cpu string, edit func(*corev1.PodSpec)) []*corev1.Pod {
	var out []*corev1.Pod
	for i := range n {
		name := fmt.Sprintf("p-%s-%d", cpu, i)
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name), Labels: map[string]string{"app": "a"}}}
		pod.Spec.Containers = []corev1.Container{{Name: "c", Image: "i", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("1Gi")},
		}}}
		if edit != nil {
			edit(&pod.Spec)
		}
		out = append(out, pod)
	}
	return out
}

func spreadOver(key string) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) {
		s.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: key, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}},
		}}
	}
}

// TestPlannersReadTheSameInput has both planners plan where there is one best plan, which both find.
func TestPlannersReadTheSameInput(t *testing.T) {
	for name, c := range map[string]struct {
		pods  []*corev1.Pod
		types []workload.Type
		// want counts the machines by type and zone, leaving zones out for anyZone.
		want    map[string]int
		anyZone bool
		left    int
		cost    float64
		cpu     string
	}{
		"WhatIsReservedIsNotForPods": {
			pods: pods(4, "500m", nil), types: []workload.Type{machine("two", 2, 1, "z1", "z2")},
			want: map[string]int{"two": 2}, anyZone: true, cost: 2, cpu: "50",
		},
		"TheCheapestTypeThatIsLargeEnough": {
			pods: pods(3, "600m", nil), types: []workload.Type{machine("dear", 2, 5, "z1"), machine("two", 2, 1.5, "z1"), machine("one", 1, 1, "z1")},
			want: map[string]int{"two z1": 1}, cost: 1.5, cpu: "90",
		},
		"TheZoneThatAPodAsksFor": {
			pods:  pods(1, "1", func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{corev1.LabelTopologyZone: "z3"} }),
			types: []workload.Type{machine("cheap", 2, 1, "z1", "z2"), machine("two", 2, 4, "z1", "z2", "z3")},
			want:  map[string]int{"two z3": 1}, cost: 4, cpu: "50",
		},
		"OneInEachZone": {
			pods: pods(3, "100m", spreadOver(corev1.LabelTopologyZone)), types: []workload.Type{machine("one", 1, 1, "z1", "z2", "z3")},
			want: map[string]int{"one z1": 1, "one z2": 1, "one z3": 1}, cost: 3, cpu: "10",
		},
		"APodThatFitsNowhereIsLeft": {
			pods: append(pods(1, "1", nil), pods(2, "9", nil)...), types: []workload.Type{machine("two", 2, 1, "z1")},
			want: map[string]int{"two z1": 1}, left: 2, cost: 1, cpu: "50",
		},
		"NoLimitStopsThePool": {
			pods: pods(40, "60", nil), types: []workload.Type{machine("large", 80, 1, "z1")},
			want: map[string]int{"large z1": 40}, cost: 40, cpu: "75",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for planner, got := range both(t, c.pods, c.types) {
				if launched := launched(got, c.anyZone); !maps.Equal(launched, c.want) {
					t.Errorf("%s plan launches %v, want %v", planner, launched, c.want)
				}
				if cpu := fmt.Sprintf("%.6g", got.Fill(corev1.ResourceCPU)); got.Left != c.left || got.Cost() != c.cost || cpu != c.cpu {
					t.Errorf("%s plan leaves %d pods, costs %v and is full to %s %%; want %d, %v and %s", planner, got.Left, got.Cost(), cpu, c.left, c.cost, c.cpu)
				}
			}
		})
	}
}

// both are the planners' plans.
func both(t *testing.T, waiting []*corev1.Pod, neutral []workload.Type) map[string]plan.Plan {
	t.Helper()
	ours, err := engine.Plan(&workload.Workload{Pods: waiting, Types: neutral})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]plan.Plan{"our": ours.Plan, "Karpenter's": theirs(t, waiting, neutral, karpenter.Respected)}
}

func theirs(t *testing.T, waiting []*corev1.Pod, neutral []workload.Type, preferences karpenter.Preferences) plan.Plan {
	t.Helper()
	instanceTypes, err := karpenter.Types(neutral)
	if err != nil {
		t.Fatal(err)
	}
	out, err := karpenter.Plan(t.Context(), waiting, instanceTypes, preferences)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func launched(p plan.Plan, anyZone bool) map[string]int {
	out := map[string]int{}
	for _, m := range p.Machines {
		if anyZone {
			out[m.Type]++
		} else {
			out[m.Type+" "+m.Zone]++
		}
	}
	return out
}

func TestKarpenterIgnoresPreferencesWhenTold(t *testing.T) {
	spread := func(s *corev1.PodSpec) {
		spreadOver(corev1.LabelHostname)(s)
		s.TopologySpreadConstraints[0].WhenUnsatisfiable = corev1.ScheduleAnyway
	}
	waiting, types := pods(6, "100m", spread), []workload.Type{machine("one", 1, 1, "z1")}
	for preferences, want := range map[karpenter.Preferences]int{karpenter.Respected: 6, karpenter.Ignored: 1} {
		if got := theirs(t, waiting, types, preferences); len(got.Machines) != want {
			t.Errorf("with preferences %s, %d machines are launched, want %d", preferences, len(got.Machines), want)
		}
	}
}

func TestKarpenterRefusesPodsThatItCannotTellApart(t *testing.T) {
	for name, uid := range map[string]types.UID{"None": "", "Twice": "p-1-0"} {
		t.Run(name, func(t *testing.T) {
			waiting := pods(2, "1", nil)
			waiting[1].UID = uid
			if _, err := karpenter.Plan(t.Context(), waiting, nil, karpenter.Respected); err == nil {
				t.Errorf("UID %q of a second pod is accepted", uid)
			}
		})
	}
}

func TestTypesThatKarpenterWouldMistake(t *testing.T) {
	for name, edit := range map[string]func(*workload.Type){
		"Labels":   func(t *workload.Type) { t.Labels = map[string]string{"disk": "fast"} },
		"Extended": func(t *workload.Type) { t.Extended = corev1.ResourceList{"example.com/gpu": resource.MustParse("1")} },
	} {
		t.Run(name, func(t *testing.T) {
			odd := machine("odd", 1, 1, "z1")
			edit(&odd)
			if _, err := karpenter.Types([]workload.Type{odd}); err == nil {
				t.Error("the type is translated without them")
			}
		})
	}
}
