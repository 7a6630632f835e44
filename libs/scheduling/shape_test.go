package scheduling_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
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
			shape := scheduling.ShapeOf(tc.pod, scheduling.PodContext{})
			if got := shape.Requests[corev1.ResourceCPU]; got != tc.cpu {
				t.Errorf("cpu %dm, want %dm (%s)", got, tc.cpu, tc.why)
			}
			if got := shape.Requests[corev1.ResourcePods]; got != 1 {
				t.Errorf("pods %d, want 1", got)
			}
		})
	}
}

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// started is a pod that runs for so long at noon.
func started(ago time.Duration, change ...func(*corev1.Pod)) *corev1.Pod {
	p := pod(change...)
	p.Status.StartTime = &metav1.Time{Time: noon.Add(-ago)}
	return p
}

func TestProtection(t *testing.T) {
	local := func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	}
	tests := map[string]struct {
		pod  *corev1.Pod
		want reason.Code
	}{
		"OwnedPodMayMove":        {pod(), ""},
		"ClusterAutoscalersNo":   {pod(annotated("cluster-autoscaler.kubernetes.io/safe-to-evict", "false")), reason.NoScaleDownPodProtected},
		"KarpentersNo":           {pod(annotated("karpenter.sh/do-not-disrupt", "true")), reason.NoScaleDownPodProtected},
		"KarpentersNoForATime":   {started(3*time.Hour, annotated("karpenter.sh/do-not-disrupt", "4h")), reason.NoScaleDownPodProtected},
		"KarpentersTimeIsOver":   {started(5*time.Hour, annotated("karpenter.sh/do-not-disrupt", "4h")), ""},
		"KarpentersNoUnreadable": {started(5*time.Hour, annotated("karpenter.sh/do-not-disrupt", "soon")), reason.NoScaleDownPodProtected},
		"SharedNo":               {pod(annotated("node-autoscaling.kubernetes.io/safe-to-evict", "false")), reason.NoScaleDownPodProtected},
		"SharedNoDisruption":     {pod(annotated("node-autoscaling.kubernetes.io/do-not-disrupt", "true")), reason.NoScaleDownPodProtected},
		"NoWinsOverYes": {pod(annotated("cluster-autoscaler.kubernetes.io/safe-to-evict", "true"), func(p *corev1.Pod) {
			p.Annotations["karpenter.sh/do-not-disrupt"] = "true"
		}), reason.NoScaleDownPodProtected},
		"OnlyOnCompletion":           {pod(annotated("cluster-autoscaler.kubernetes.io/safe-to-evict", "on-completion")), reason.NoScaleDownPodProtected},
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
			if got := scheduling.ShapeOf(tc.pod, scheduling.PodContext{Now: noon}).Protection; got != tc.want {
				t.Errorf("protection %q, want %q", got, tc.want)
			}
		})
	}
}

func TestBudgetOpensSystemPodsToEviction(t *testing.T) {
	system := pod(func(p *corev1.Pod) { p.Namespace = "kube-system" })
	if got := scheduling.ShapeOf(system, scheduling.PodContext{Budgets: []string{"kube-system/dns"}}).Protection; got != "" {
		t.Errorf("protection %q of a system pod with a budget, want none", got)
	}
}

func TestWhatCannotBeJudgedIsSaid(t *testing.T) {
	tests := map[string]struct {
		change  func(*corev1.Pod)
		volumes scheduling.Verdict
		want    reason.Code
		because string
	}{
		"Plain":            {change: func(*corev1.Pod) {}},
		"ForeignScheduler": {change: func(p *corev1.Pod) { p.Spec.SchedulerName = "other" }, want: reason.NoScaleUpForeignScheduler, because: "scheduler other"},
		"ResourceClaim": {
			change: func(p *corev1.Pod) { p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu"}} },
			want:   reason.NoScaleUpResourceClaim, because: "ResourceClaim",
		},
		"VolumeUnknown": {
			change: func(*corev1.Pod) {}, volumes: scheduling.Verdict{Code: reason.NoScaleUpVolume, Message: "claim x is missing"},
			want: reason.NoScaleUpVolume, because: "claim x is missing",
		},
		"DaemonSetsPodsAreThereAnyway": {
			change: func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "DaemonSet" }, volumes: scheduling.Verdict{Code: reason.NoScaleUpVolume, Message: "claim x is missing"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := scheduling.ShapeOf(pod(tc.change), scheduling.PodContext{VolumesProblem: tc.volumes})
			if got.Unjudged != tc.want || (got.UnjudgedBecause == "") != (tc.because == "") || !strings.Contains(got.UnjudgedBecause, tc.because) {
				t.Errorf("unjudged %q because %q, want %q because %q", got.Unjudged, got.UnjudgedBecause, tc.want, tc.because)
			}
		})
	}
}

func TestShapesKeepTheLabelsThatSelectorsMean(t *testing.T) {
	p := pod(func(p *corev1.Pod) { p.Labels = map[string]string{"app": "web", "pod-name": "web-0"} })
	keep := func(key string) bool { return key == "app" }
	got := scheduling.ShapeOf(p, scheduling.PodContext{KeepLabel: keep}).Labels
	if diff := cmp.Diff(map[string]string{"app": "web"}, got); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

func TestMatchLabelKeysJoinTheirSelectors(t *testing.T) {
	p := pod(func(p *corev1.Pod) {
		p.Labels = map[string]string{"app": "web", "rev": "7"}
		selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
		p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{LabelSelector: selector, MatchLabelKeys: []string{"rev", "absent"}}}
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
			{LabelSelector: selector, MismatchLabelKeys: []string{"rev"}},
		}}}
	})
	for range 2 { // twice changes nothing: the API server has done it already
		shape := scheduling.ShapeOf(p, scheduling.PodContext{})
		p.Spec.TopologySpreadConstraints, p.Spec.Affinity = shape.Spread, shape.Affinity
		p.Spec.TopologySpreadConstraints[0].MatchLabelKeys = []string{"rev"}
	}
	shape := scheduling.ShapeOf(p, scheduling.PodContext{})
	in := []metav1.LabelSelectorRequirement{{Key: "rev", Operator: metav1.LabelSelectorOpIn, Values: []string{"7"}}}
	if diff := cmp.Diff(in, shape.Spread[0].LabelSelector.MatchExpressions); diff != "" {
		t.Errorf("spread (-want +got):\n%s", diff)
	}
	notIn := []metav1.LabelSelectorRequirement{{Key: "rev", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"7"}}}
	term := shape.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0]
	if diff := cmp.Diff(notIn, term.LabelSelector.MatchExpressions); diff != "" {
		t.Errorf("anti-affinity (-want +got):\n%s", diff)
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
