package judge_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/test/conformance/generate"
	"github.com/vpsie/vpsie-autoscaler/test/conformance/judge"
)

// placing is what of a shape decides where its pods go.
func placing(s scheduling.Shape) scheduling.Shape {
	s.OwnerKind, s.Protection, s.Budgets, s.Unjudged = "", "", nil, ""
	return s
}

func TestPodOfKeepsTheShape(t *testing.T) {
	compared := 0
	for seed := range uint64(300) {
		s := generate.New(seed)
		for _, pod := range s.Pods() {
			if len(pod.Spec.Volumes) > 0 {
				continue
			}
			want := scheduling.ShapeOf(pod, scheduling.PodContext{})
			again, err := judge.PodOf(&want, pod.Name)
			if err != nil {
				t.Fatal(err)
			}
			got := scheduling.ShapeOf(again, scheduling.PodContext{})
			if !equality.Semantic.DeepEqual(placing(got), placing(want)) {
				t.Fatalf("seed %d, pod %s: the shape\n%+v\nbecame\n%+v", seed, pod.Name, placing(want), placing(got))
			}
			compared++
		}
	}
	if compared < 300 {
		t.Errorf("%d shapes compared, want 300 at least", compared)
	}
}

func TestNodeOfLeavesOutWhatIsReserved(t *testing.T) {
	node := &scheduling.Node{
		Name: "n", Labels: map[string]string{"a": "b"}, Taints: []corev1.Taint{{Key: "t", Effect: corev1.TaintEffectNoSchedule}}, Unschedulable: true,
		Allocatable: scheduling.Resources{corev1.ResourceCPU: 1930, corev1.ResourceMemory: 4 << 30, corev1.ResourcePods: 20},
		Reserved:    scheduling.Resources{corev1.ResourceCPU: 200, corev1.ResourcePods: 2},
	}
	got := judge.NodeOf(node)
	want := scheduling.Resources{corev1.ResourceCPU: 1730, corev1.ResourceMemory: 4 << 30, corev1.ResourcePods: 18}
	if free := scheduling.ResourcesOf(got.Status.Allocatable); !equality.Semantic.DeepEqual(free, want) {
		t.Errorf("allocatable is %v, want %v", free, want)
	}
	if got.Name != "n" || got.Labels["a"] != "b" || len(got.Spec.Taints) != 1 || !got.Spec.Unschedulable {
		t.Errorf("node is %+v", got)
	}
}
