//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

// small are requests of which dozens of pods fit on a machine, so that only their rules part them.
var small = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi")}

func ruled(namespace, name string, replicas int32, change func(*corev1.PodSpec, *metav1.LabelSelector)) *appsv1.Deployment {
	d := workload.Deployment(namespace, name, replicas, small)
	change(&d.Spec.Template.Spec, d.Spec.Selector)
	return d
}

// volumeIn makes a volume that can be used in one zone, and a claim of it.
func volumeIn(namespace, zone string) (*corev1.PersistentVolume, *corev1.PersistentVolumeClaim) {
	capacity := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	pv := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: namespace + "-" + zone},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: capacity, AccessModes: modes, StorageClassName: "none", PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "csi.example.com", VolumeHandle: namespace + zone}},
			ClaimRef:               &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: namespace, Name: "data-" + zone},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{zone}}},
			}}}},
		},
	}
	pvc := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "data-" + zone},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: modes, StorageClassName: new("none"), VolumeName: pv.Name, Resources: corev1.VolumeResourceRequirements{Requests: capacity},
		},
	}
	return pv, pvc
}

// TestPlacementRulesDecideWhatIsLaunched has workloads whose pods would all fit on one machine, were it not for
// their rules: exactly as many machines are launched as the rules ask for, and kube-scheduler agrees.
func TestPlacementRulesDecideWhatIsLaunched(t *testing.T) {
	const needed = 3
	s := stacktest.New(t)
	host := corev1.LabelHostname
	// The volumes come first: a pod whose claim is not bound yet is refused for that, and Kubernetes merges what is
	// said of its volume later with that.
	for _, zone := range []string{vpsiesim.DefaultDatacenter, "elsewhere"} {
		pv, pvc := volumeIn(s.Namespace, zone)
		s.Create(pv, pvc)
		t.Cleanup(func() { _ = s.Client.Delete(context.Background(), pv) }) // the test's own context has ended by then
		s.Eventually("the claim is bound", func(ctx context.Context) (bool, string) {
			err := s.Client.Get(ctx, client.ObjectKeyFromObject(pvc), pvc)
			return err == nil && pvc.Status.Phase == corev1.ClaimBound, fmt.Sprintf("it is %s, error %v", pvc.Status.Phase, err)
		})
	}
	s.Create(
		ruled(s.Namespace, "apart", needed, func(spec *corev1.PodSpec, own *metav1.LabelSelector) {
			spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: host, LabelSelector: own}}}}
		}),
		ruled(s.Namespace, "spread", needed, func(spec *corev1.PodSpec, own *metav1.LabelSelector) {
			spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: host, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: own}}
		}),
		ruled(s.Namespace, "together", 4, func(spec *corev1.PodSpec, own *metav1.LabelSelector) {
			spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: host, LabelSelector: own}}}}
		}),
		ruled(s.Namespace, "port", 2, func(spec *corev1.PodSpec, _ *metav1.LabelSelector) {
			spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 8080, HostPort: 8080}}
		}),
		ruled(s.Namespace, "stored", 1, func(spec *corev1.PodSpec, _ *metav1.LabelSelector) {
			useClaim(spec, "data-"+vpsiesim.DefaultDatacenter)
		}),
		ruled(s.Namespace, "elsewhere", 1, func(spec *corev1.PodSpec, _ *metav1.LabelSelector) { useClaim(spec, "data-elsewhere") }),
	)
	for name, pods := range map[string]int{"apart": needed, "spread": needed, "together": 4, "port": 2, "stored": 1, "elsewhere": 1} {
		s.AwaitWaiting(name, pods)
	}
	s.Create(workload.NodeGroup(s.Namespace, "general", needed+3))
	for name, pods := range map[string]int{"apart": needed, "spread": needed, "together": 4, "port": 2, "stored": 1} {
		s.AwaitRunning(name, pods)
	}
	s.AwaitEvent("Pod", "", "NotTriggerScaleUp", "a volume of the pod cannot be used", "nothing is launched")
	s.AwaitVPSieNodes(needed, v1beta1.PhaseReady)
	s.WantLaunched(needed)
}

func useClaim(spec *corev1.PodSpec, claim string) {
	spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}}
}

// TestMoneyIsALimit lets a group launch two of the four machines that its pods need.
func TestMoneyIsALimit(t *testing.T) {
	s := stacktest.New(t)
	s.Create(workload.Deployment(s.Namespace, "web", 4, workload.OnePerNode))
	s.AwaitWaiting("web", 4)
	group := workload.NodeGroup(s.Namespace, "general", 10)
	group.Spec.Limits.MonthlyCost = new(resource.MustParse("120")) // a machine is $58.40
	s.Create(group)
	s.Eventually("two pods run", func(ctx context.Context) (bool, string) {
		pods, err := s.Pods(ctx, "web")
		running := 0
		for i := range pods {
			if pods[i].Status.Phase == corev1.PodRunning {
				running++
			}
		}
		return err == nil && running == 2, fmt.Sprintf("%d do, error %v", running, err)
	})
	s.AwaitEvent("Pod", "", "NotTriggerScaleUp", "limits", "monthlyCost 120", "raise spec.limits")
	s.AwaitVPSieNodes(2, v1beta1.PhaseReady)
	s.WantLaunched(2)
}
