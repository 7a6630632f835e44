package generate

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/apis/core"
	conversion "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/registry/core/pod"
)

// The selectors of an admitted pod are those that the API server's own code makes of it.
func TestAdmitMergesKeysAsTheAPIServerDoes(t *testing.T) {
	selects := &metav1.LabelSelector{MatchLabels: map[string]string{labelApp: "web"}}
	term := corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname, LabelSelector: selects, MatchLabelKeys: []string{labelVersion, "absent"}, MismatchLabelKeys: []string{labelTier}}
	blind := corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname}
	given := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "blue", Name: "p", Labels: map[string]string{labelApp: "web", labelVersion: "v1", labelTier: "back"}}}
	given.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{
		{MaxSkew: 1, TopologyKey: corev1.LabelHostname, LabelSelector: selects, MatchLabelKeys: []string{labelVersion, labelTier}},
		{MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone},
	}
	given.Spec.Affinity = &corev1.Affinity{
		PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{term, blind}},
		PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution:  []corev1.PodAffinityTerm{term},
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{Weight: 1, PodAffinityTerm: term}},
		},
	}

	var internal core.Pod
	if err := conversion.Convert_v1_Pod_To_core_Pod(given.DeepCopy(), &internal, nil); err != nil {
		t.Fatal(err)
	}
	pod.Strategy.PrepareForCreate(t.Context(), &internal)
	var want corev1.Pod
	if err := conversion.Convert_core_Pod_To_v1_Pod(&internal, &want, nil); err != nil {
		t.Fatal(err)
	}
	got := given.DeepCopy()
	admit(got)
	if !equality.Semantic.DeepEqual(got.Spec.Affinity, want.Spec.Affinity) {
		t.Errorf("affinity is\n%v, want\n%v", got.Spec.Affinity, want.Spec.Affinity)
	}
	if !equality.Semantic.DeepEqual(got.Spec.TopologySpreadConstraints, want.Spec.TopologySpreadConstraints) {
		t.Errorf("spread is\n%v, want\n%v", got.Spec.TopologySpreadConstraints, want.Spec.TopologySpreadConstraints)
	}
	if equality.Semantic.DeepEqual(got.Spec.Affinity, given.Spec.Affinity) {
		t.Error("nothing was merged, so nothing was compared")
	}
}
