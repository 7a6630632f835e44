package plan_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
	"github.com/vpsie/vpsie-autoscaler/test/performance/plan"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

func pod(namespace, name, cpu, memory string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
		}}}}},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

var types = []workload.Type{
	{Name: "small", VCPU: 2, MemGiB: 4, Pods: 10, PriceHour: 0.05, Zones: []string{"a", "b"}, Arch: "amd64"},
	{Name: "large", VCPU: 4, MemGiB: 8, Pods: 10, PriceHour: 0.09, Zones: []string{"a", "b"}, Arch: "amd64"},
}

func planOf(t *testing.T, w workload.Workload) *plan.Plan {
	t.Helper()
	b, err := w.Batch()
	if err != nil {
		t.Fatal(err)
	}
	problem := b.Problem()
	return plan.Of(b, &problem, packing.Pack(problem))
}

func TestPlanNamesMachinesAndPods(t *testing.T) {
	p := planOf(t, workload.Workload{Types: types, Pods: []*corev1.Pod{
		pod("x", "three", "1", "1Gi"), pod("x", "one", "1", "1Gi"), pod("x", "two", "1", "1Gi"), pod("x", "four", "1", "1Gi"),
	}})
	if len(p.Nodes) != 1 || p.Nodes[0].Type != "large" || p.Nodes[0].Zone != "a" || p.CostPerHour != 0.09 {
		t.Fatalf("%v for %v dollars, want one large machine in zone a for 0.09", p.Nodes, p.CostPerHour)
	}
	if want := []string{"four", "one", "three", "two"}; !slices.Equal(p.Nodes[0].Pods, want) {
		t.Errorf("pods %v, want %v", p.Nodes[0].Pods, want)
	}
	if cpu, memory := p.Fill(corev1.ResourceCPU), p.Fill(corev1.ResourceMemory); cpu != 1 || memory != 0.5 {
		t.Errorf("filled by %v and %v, want all processors and half of the memory", cpu, memory)
	}
	if share := p.LargestShare(); share != 1 {
		t.Errorf("the largest share is %v, want 1", share)
	}
	if bound := p.LowerBoundPerHour(); bound > 0.09 || bound < 0.0899 {
		t.Errorf("the bound is %v, want 0.09", bound)
	}
}

func TestNamesThatRepeatHaveTheirNamespace(t *testing.T) {
	p := planOf(t, workload.Workload{Types: types, Pods: []*corev1.Pod{pod("x", "web", "1", "1Gi"), pod("y", "web", "1", "1Gi"), pod("y", "db", "1", "1Gi")}})
	var names []string
	for _, n := range p.Nodes {
		names = append(names, n.Pods...)
	}
	slices.Sort(names)
	if want := []string{"db", "x/web", "y/web"}; !slices.Equal(names, want) {
		t.Errorf("pods %v, want %v", names, want)
	}
}

func TestUnplacedPodsHaveTheNearestReason(t *testing.T) {
	selecting := func(key, value string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{key: value} }
	}
	claiming := func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}}}
	}
	lonely := func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
			{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "nobody"}}},
		}}}
	}
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		want []string
	}{
		"TooLarge":         {pod("x", "p", "5", "1Gi"), []string{"cpu 4000m of 5000m", "[noscaleup.pod.too_large]"}},
		"SelectsNone":      {pod("x", "p", "1", "1Gi", selecting("disk", "nvme")), []string{"node selector", "[noscaleup.pod.node_affinity]"}},
		"NearestOfSeveral": {pod("x", "p", "3", "9Gi", selecting(corev1.LabelTopologyZone, "b")), []string{"[noscaleup.pod.too_large]"}},
		"Claim":            {pod("x", "p", "1", "1Gi", claiming), []string{"[noscaleup.pod.volume]"}},
		"NobodyToJoin":     {pod("x", "p", "1", "1Gi", lonely), []string{"affinity", "[noscaleup.pod.pod_affinity]"}},
		"UnknownResource": {pod("x", "p", "1", "1Gi", func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Requests["x.example/gpu"] = resource.MustParse("1")
		}), []string{"x.example/gpu 0 of 1", "[noscaleup.pod.too_large]"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := planOf(t, workload.Workload{Types: types, Pods: []*corev1.Pod{tc.pod, pod("x", "fits", "2", "4Gi")}})
			if len(p.Unplaced) != 1 || p.Unplaced[0].Pod != "p" {
				t.Fatalf("unplaced %v, want p alone", p.Unplaced)
			}
			for _, want := range tc.want {
				if !strings.Contains(p.Unplaced[0].Reason, want) {
					t.Errorf("reason %q, want one with %q", p.Unplaced[0].Reason, want)
				}
			}
			// The bound is one for the pods that are placed, so that the plan is not below it.
			if bound := p.LowerBoundPerHour(); bound > p.CostPerHour || bound < 0.99*p.CostPerHour {
				t.Errorf("the bound is %v for a cost of %v", bound, p.CostPerHour)
			}
		})
	}
}

func TestALimitIsAReason(t *testing.T) {
	w := workload.Workload{Types: types, NodesMax: 1, Pods: []*corev1.Pod{pod("x", "a", "4", "1Gi"), pod("x", "b", "4", "1Gi")}}
	p := planOf(t, w)
	if len(p.Nodes) != 1 || len(p.Unplaced) != 1 || !strings.Contains(p.Unplaced[0].Reason, "[noscaleup.group.limit]") {
		t.Errorf("%v with %v left, want one machine, and one pod for which the limit leaves no room", p.Nodes, p.Unplaced)
	}
}

func TestEmptyPlan(t *testing.T) {
	p := planOf(t, workload.Workload{Types: types})
	if p.Nodes == nil || p.Unplaced == nil || p.CostPerHour != 0 || p.LowerBoundPerHour() != 0 || p.LargestShare() != 0 {
		t.Errorf("plan %+v, want empty lists and zeros", p)
	}
	if fill := p.Fill(corev1.ResourceCPU); fill != 0 || math.IsNaN(fill) {
		t.Errorf("fill %v, want 0", fill)
	}
}
