package generate_test

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/core"
	conversion "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"

	"github.com/vpsie/vpsie-autoscaler/test/conformance/generate"
)

func TestSameSeedSameScenario(t *testing.T) {
	spell := func(seed uint64) string {
		text, err := json.Marshal(generate.New(seed))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for seed := range uint64(50) {
		first, second := spell(seed), spell(seed)
		if first != second {
			t.Errorf("seed %d: drawn twice, it differs", seed)
		}
		if first == spell(seed+1) {
			t.Errorf("seeds %d and %d give the same scenario", seed, seed+1)
		}
	}
}

// A rule that is broken only by pods that no API server would store is not broken.
func TestPodsAreValid(t *testing.T) {
	for seed := range uint64(1500) {
		s := generate.New(seed)
		for _, pod := range append(s.Pods(), s.Objects.Pods...) {
			for _, err := range problems(t, pod) {
				t.Errorf("seed %d, pod %s: %v", seed, pod.Name, err)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// problems is what the API server has against making such a pod.
func problems(t *testing.T, pod *corev1.Pod) field.ErrorList {
	t.Helper()
	given := pod.DeepCopy()
	given.DeletionTimestamp, given.DeletionGracePeriodSeconds = nil, nil
	conversion.SetObjectDefaults_Pod(given)
	var internal core.Pod
	if err := conversion.Convert_v1_Pod_To_core_Pod(given, &internal, nil); err != nil {
		t.Fatal(err)
	}
	options := podutil.GetValidationOptionsFromPodSpecAndMeta(&internal.Spec, nil, &internal.ObjectMeta, nil)
	options.ResourceIsPod = true
	return validation.ValidatePodCreate(&internal, options)
}

func TestNodesAndVolumesAreValid(t *testing.T) {
	for seed := range uint64(500) {
		s := generate.New(seed)
		for _, node := range s.Objects.Nodes {
			var internal core.Node
			if err := conversion.Convert_v1_Node_To_core_Node(node.DeepCopy(), &internal, nil); err != nil {
				t.Fatal(err)
			}
			for _, err := range validation.ValidateNode(&internal) {
				t.Errorf("seed %d, node %s: %v", seed, node.Name, err)
			}
		}
		for _, volume := range s.Objects.Volumes {
			given := volume.DeepCopy()
			conversion.SetObjectDefaults_PersistentVolume(given)
			var internal core.PersistentVolume
			if err := conversion.Convert_v1_PersistentVolume_To_core_PersistentVolume(given, &internal, nil); err != nil {
				t.Fatal(err)
			}
			for _, err := range validation.ValidatePersistentVolume(&internal, validation.PersistentVolumeSpecValidationOptions{}) {
				t.Errorf("seed %d, volume %s: %v", seed, volume.Name, err)
			}
		}
		if t.Failed() {
			return
		}
	}
}
