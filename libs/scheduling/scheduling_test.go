package scheduling_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

func pod(change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Controller: new(true)}}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("250m"), corev1.ResourceMemory: resource.MustParse("64Mi"),
		}}}}},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func annotated(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Annotations = map[string]string{key: value} }
}

func TestShapeOf(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	container := func(cpu string) corev1.Container {
		return corev1.Container{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}}}
	}
	tests := map[string]struct {
		why string
		pod *corev1.Pod
		cpu int64
	}{
		"SumOfContainers": {pod: pod(func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, container("1")) }), cpu: 1250},
		"LargestInitContainer": {
			why: "they run one after the other, before the others",
			pod: pod(func(p *corev1.Pod) { p.Spec.InitContainers = []corev1.Container{container("2"), container("1")} }), cpu: 2000,
		},
		"SidecarsAddUp": {
			why: "they run beside the others",
			pod: pod(func(p *corev1.Pod) {
				sidecar := container("1")
				sidecar.RestartPolicy = &always
				p.Spec.InitContainers = []corev1.Container{sidecar}
			}), cpu: 1250,
		},
		"PodOverhead": {pod: pod(func(p *corev1.Pod) {
			p.Spec.Overhead = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}
		}), cpu: 350},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			shape := scheduling.ShapeOf(tc.pod, nil)
			if got := shape.Requests[corev1.ResourceCPU]; got != tc.cpu {
				t.Errorf("cpu %dm, want %dm (%s)", got, tc.cpu, tc.why)
			}
			if got := shape.Requests[corev1.ResourcePods]; got != 1 {
				t.Errorf("pods %d, want 1", got)
			}
		})
	}
}

func TestProtection(t *testing.T) {
	local := func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	}
	tests := map[string]struct {
		pod  *corev1.Pod
		want reason.Code
	}{
		"OwnedPodMayMove":            {pod(), ""},
		"ClusterAutoscalersNo":       {pod(annotated("cluster-autoscaler.kubernetes.io/safe-to-evict", "false")), reason.NoScaleDownPodProtected},
		"KarpentersNo":               {pod(annotated("karpenter.sh/do-not-disrupt", "true")), reason.NoScaleDownPodProtected},
		"KarpentersNoForATime":       {pod(annotated("karpenter.sh/do-not-disrupt", "4h")), reason.NoScaleDownPodProtected},
		"OurNo":                      {pod(annotated("autoscaler.vpsie.com/protected", "true")), reason.NoScaleDownPodProtected},
		"BarePod":                    {pod(func(p *corev1.Pod) { p.OwnerReferences = nil }), reason.NoScaleDownPodBare},
		"LocalStorage":               {pod(local), reason.NoScaleDownPodLocalStorage},
		"LocalStorageThatIsSafe":     {pod(local, annotated("cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes", "w,v")), ""},
		"OtherVolumeIsSafe":          {pod(local, annotated("cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes", "w")), reason.NoScaleDownPodLocalStorage},
		"MemoryIsNotStorage":         {pod(local, func(p *corev1.Pod) { p.Spec.Volumes[0].EmptyDir.Medium = corev1.StorageMediumMemory }), ""},
		"SaidToBeSafe":               {pod(local, annotated("cluster-autoscaler.kubernetes.io/safe-to-evict", "true")), ""},
		"SystemPodWithoutBudget":     {pod(func(p *corev1.Pod) { p.Namespace = "kube-system" }), reason.NoScaleDownPodKubeSystem},
		"DaemonPodLeavesWithItsNode": {pod(local, func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "DaemonSet" }), ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := scheduling.ShapeOf(tc.pod, nil).Protection; got != tc.want {
				t.Errorf("protection %q, want %q", got, tc.want)
			}
		})
	}
}

func TestBudgetOpensSystemPodsToEviction(t *testing.T) {
	system := pod(func(p *corev1.Pod) { p.Namespace = "kube-system" })
	if got := scheduling.ShapeOf(system, []string{"kube-system/dns"}).Protection; got != "" {
		t.Errorf("protection %q of a system pod with a budget, want none", got)
	}
}

func TestWhatCannotBeJudgedIsSaid(t *testing.T) {
	required := []corev1.PodAffinityTerm{{TopologyKey: corev1.LabelHostname}}
	tests := map[string]struct {
		change func(*corev1.Pod)
		want   reason.Code
	}{
		"ForeignScheduler": {func(p *corev1.Pod) { p.Spec.SchedulerName = "other" }, reason.NoScaleUpForeignScheduler},
		"ResourceClaim":    {func(p *corev1.Pod) { p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu"}} }, reason.NoScaleUpResourceClaim},
		"HardSpread": {func(p *corev1.Pod) {
			p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{WhenUnsatisfiable: corev1.DoNotSchedule}}
		}, reason.NoScaleUpTopologySpread},
		"SoftSpread": {func(p *corev1.Pod) {
			p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{WhenUnsatisfiable: corev1.ScheduleAnyway}}
		}, ""},
		"AntiAffinity": {func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: required}}
		}, reason.NoScaleUpPodAffinity},
		"Claim": {func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{}}}}
		}, reason.NoScaleUpVolume},
		"HostPort": {func(p *corev1.Pod) { p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 80}} }, reason.NoScaleUpHostPort},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := scheduling.ShapeOf(pod(tc.change), nil).Unjudged; got != tc.want {
				t.Errorf("unjudged %q, want %q", got, tc.want)
			}
		})
	}
}

func TestAdmits(t *testing.T) {
	bin := func(change ...func(*scheduling.Bin)) *scheduling.Bin {
		b := &scheduling.Bin{Name: "n", Labels: map[string]string{"zone": "a", "cores": "8"}, Free: scheduling.Resources{}}
		for _, c := range change {
			c(b)
		}
		return b
	}
	tainted := func(effect corev1.TaintEffect) func(*scheduling.Bin) {
		return func(b *scheduling.Bin) { b.Taints = []corev1.Taint{{Key: "team", Value: "x", Effect: effect}} }
	}
	affinity := func(key string, op corev1.NodeSelectorOperator, values ...string) scheduling.Shape {
		return scheduling.Shape{Affinity: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
			{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: op, Values: values}}},
		}}}
	}
	tests := map[string]struct {
		bin   *scheduling.Bin
		shape scheduling.Shape
		want  reason.Code
	}{
		"Anything":           {bin(), scheduling.Shape{}, ""},
		"SelectorMet":        {bin(), scheduling.Shape{NodeSelector: map[string]string{"zone": "a"}}, ""},
		"SelectorNotMet":     {bin(), scheduling.Shape{NodeSelector: map[string]string{"zone": "b"}}, reason.NoScaleUpSelector},
		"In":                 {bin(), affinity("zone", corev1.NodeSelectorOpIn, "b", "a"), ""},
		"NotIn":              {bin(), affinity("zone", corev1.NodeSelectorOpNotIn, "a"), reason.NoScaleUpSelector},
		"Exists":             {bin(), affinity("zone", corev1.NodeSelectorOpExists), ""},
		"DoesNotExist":       {bin(), affinity("gpu", corev1.NodeSelectorOpDoesNotExist), ""},
		"Gt":                 {bin(), affinity("cores", corev1.NodeSelectorOpGt, "4"), ""},
		"Lt":                 {bin(), affinity("cores", corev1.NodeSelectorOpLt, "8"), reason.NoScaleUpSelector},
		"NoTermMatchesNone":  {bin(), scheduling.Shape{Affinity: &corev1.NodeSelector{}}, reason.NoScaleUpSelector},
		"TaintNotTolerated":  {bin(tainted(corev1.TaintEffectNoSchedule)), scheduling.Shape{}, reason.NoScaleUpTaint},
		"NoExecuteCounts":    {bin(tainted(corev1.TaintEffectNoExecute)), scheduling.Shape{}, reason.NoScaleUpTaint},
		"PreferNoScheduleIs": {bin(tainted(corev1.TaintEffectPreferNoSchedule)), scheduling.Shape{}, ""},
		"TaintTolerated":     {bin(tainted(corev1.TaintEffectNoSchedule)), scheduling.Shape{Tolerations: []corev1.Toleration{{Key: "team", Operator: corev1.TolerationOpExists}}}, ""},
		"Unschedulable":      {bin(func(b *scheduling.Bin) { b.Unschedulable = true }), scheduling.Shape{}, reason.NoScaleUpTaint},
		"UnschedulableTolerated": {bin(func(b *scheduling.Bin) { b.Unschedulable = true }),
			scheduling.Shape{Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}}}, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tc.bin.Admits(scheduling.NewItem("s", &tc.shape)); got.Code != tc.want {
				t.Errorf("verdict %+v, want code %q", got, tc.want)
			}
		})
	}
}

func TestGroupLabelFitsIntoALabel(t *testing.T) {
	if got := scheduling.GroupLabel("default", "web"); got != "default.web" {
		t.Errorf("label %q", got)
	}
	long := strings.Repeat("a", 40)
	one, two := scheduling.GroupLabel(long, long+"1"), scheduling.GroupLabel(long, long+"2")
	if len(validation.IsValidLabelValue(one)) > 0 || one == two {
		t.Errorf("labels %q and %q, want two that are valid and differ", one, two)
	}
}

func TestUtilization(t *testing.T) {
	node := scheduling.Resources{corev1.ResourceCPU: 4000, corev1.ResourceMemory: 8 << 30}
	tests := map[string]struct {
		used scheduling.Resources
		want int64
	}{
		"Nothing":       {scheduling.Resources{}, 0},
		"LargerShare":   {scheduling.Resources{corev1.ResourceCPU: 1000, corev1.ResourceMemory: 6 << 30}, 75},
		"OtherResource": {scheduling.Resources{corev1.ResourcePods: 50}, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := scheduling.Utilization(tc.used, node); got != tc.want {
				t.Errorf("utilization %d%%, want %d%%", got, tc.want)
			}
		})
	}
	if got := scheduling.Utilization(scheduling.Resources{corev1.ResourceCPU: 1}, scheduling.Resources{}); got != 100 {
		t.Errorf("a node that reports no cpu is %d%% used, want 100%%", got)
	}
}

// FuzzPack checks the laws of packing on random batches: every pod is accounted for once, no bin is
// overfull, no limit is exceeded, and the order of the input does not matter.
func FuzzPack(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		build := func() ([]scheduling.Demand, []*scheduling.Bin, []*scheduling.Option, map[string]int) {
			random := rand.New(rand.NewPCG(seed, 3))
			var demands []scheduling.Demand
			for i := range 1 + random.IntN(8) {
				demands = append(demands, scheduling.Demand{Count: random.IntN(60), Item: scheduling.NewItem(
					scheduling.ShapeID(fmt.Sprintf("s%d", i)), &scheduling.Shape{Priority: int32(random.IntN(2)), Requests: scheduling.Resources{
						corev1.ResourceCPU: int64(random.IntN(3000)), corev1.ResourceMemory: int64(random.IntN(6 << 30)), corev1.ResourcePods: 1,
					}})})
			}
			room := func() scheduling.Resources {
				cores := int64(1 + random.IntN(16))
				return scheduling.Resources{corev1.ResourceCPU: cores * 1000, corev1.ResourceMemory: cores << 31, corev1.ResourcePods: 110}
			}
			var existing []*scheduling.Bin
			for i := range random.IntN(4) {
				existing = append(existing, &scheduling.Bin{Name: fmt.Sprintf("n%d", i), Free: room()})
			}
			var options []*scheduling.Option
			limits := map[string]int{}
			for i := range random.IntN(5) {
				group := fmt.Sprintf("g%d", i%2)
				limits[group] = random.IntN(8)
				options = append(options, &scheduling.Option{
					Group: group, Offering: int64(i), Weight: int32(i % 2), MonthlyPrice: money.Micros(1 + random.IntN(1_000_000)), Empty: &scheduling.Bin{Name: "new", Free: room()},
				})
			}
			return demands, existing, options, limits
		}
		demands, existing, options, limits := build()
		got := scheduling.Pack(demands, existing, nil, options, limits)
		bought := map[string]int{}
		served := map[scheduling.ShapeID]int{}
		for _, p := range got.Purchases {
			bought[p.Option.Group]++
			for name, free := range p.Bin.Free {
				if free < 0 {
					t.Errorf("seed %d: a new machine lacks %d %s", seed, -free, name)
				}
			}
			for id, n := range p.Bin.Placed {
				served[id] += n
			}
		}
		for group, n := range bought {
			if n > limits[group] {
				t.Errorf("seed %d: %d machines for group %s, limit %d", seed, n, group, limits[group])
			}
		}
		for _, bin := range existing {
			for name, free := range bin.Free {
				if free < 0 {
					t.Errorf("seed %d: node %s lacks %d %s", seed, bin.Name, -free, name)
				}
			}
		}
		for _, d := range demands {
			id := d.Item.ID
			if sum := got.OnExisting[id] + got.Served[id] + got.Left[id]; sum != d.Count || got.Served[id] != served[id] {
				t.Errorf("seed %d: %d of %d pods of %s are accounted for, %d of them on machines that hold %d", seed, sum, d.Count, id, got.Served[id], served[id])
			}
		}
		demands, existing, options, limits = build()
		slices.Reverse(demands)
		slices.Reverse(options)
		again := scheduling.Pack(demands, existing, nil, options, limits)
		if diff := cmp.Diff(names(got), names(again)); diff != "" {
			t.Errorf("seed %d: the packing depends on the order of its input:\n%s", seed, diff)
		}
	})
}

func names(p scheduling.Packing) []string {
	var out []string
	for _, purchase := range p.Purchases {
		out = append(out, fmt.Sprintf("%s/%d %v", purchase.Option.Group, purchase.Option.Offering, purchase.Bin.Placed))
	}
	return out
}
