package karpenter

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// PreferringPods are the n pods of makePreferencePods in Karpenter's benchmark, which no other module can import. All
// are alike: each would rather be in the first zone, be alone in a zone, which cannot be, and be alone on a node. Their
// requests are what the benchmark draws when nothing was drawn before.
func PreferringPods(n int) []*corev1.Pod {
	labels := map[string]string{"app": "nginx"}
	alone := func(weight int32, key string) corev1.WeightedPodAffinityTerm {
		return corev1.WeightedPodAffinityTerm{Weight: weight, PodAffinityTerm: corev1.PodAffinityTerm{
			TopologyKey: key, LabelSelector: &metav1.LabelSelector{MatchLabels: labels},
		}}
	}
	spec := corev1.PodSpec{
		Containers: []corev1.Container{{Name: "main", Image: "pause", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("4096Mi"),
		}}}},
		Affinity: &corev1.Affinity{
			NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{
				{Weight: 1, Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
					{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{"test-zone-1"}},
				}}},
			}},
			PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{
				alone(10, corev1.LabelTopologyZone), alone(1, corev1.LabelHostname),
			}},
		},
	}
	out := make([]*corev1.Pod, 0, n)
	for i := range n {
		name := fmt.Sprintf("pod-%d", i)
		out = append(out, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name), Labels: labels},
			Spec:       spec, Status: corev1.PodStatus{Phase: corev1.PodPending},
		})
	}
	return out
}
