package kube_test

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/testing/protocmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/adapters/kube"
	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/app"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// trim is what the informers keep of an object.
func trim[T client.Object](t *testing.T, o T) T {
	t.Helper()
	options, err := kube.CacheOptions(app.NewLedger(app.Config{}), clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	transform := options.DefaultTransform
	for kind, by := range options.ByObject {
		if reflect.TypeOf(kind) == reflect.TypeOf(o) {
			transform = by.Transform
		}
	}
	out, err := transform(o.DeepCopyObject())
	if err != nil {
		t.Fatal(err)
	}
	return out.(T)
}

// elaboratePod has everything that a shape looks at, and much that it does not.
func elaboratePod() *corev1.Pod {
	always := corev1.ContainerRestartPolicyAlways
	container := func(name string, port int32) corev1.Container {
		return corev1.Container{
			Name: name, Image: "registry.example/" + name, Env: []corev1.EnvVar{{Name: "A", Value: "b"}},
			Ports:     []corev1.ContainerPort{{HostPort: port, ContainerPort: port, Protocol: corev1.ProtocolUDP, HostIP: "10.0.0.1"}},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}},
		}
	}
	sidecar := container("sidecar", 81)
	sidecar.RestartPolicy = &always
	pod := &corev1.Pod{ObjectMeta: named("default", "elaborate"), Spec: corev1.PodSpec{
		NodeSelector: map[string]string{"disk": "ssd"}, Priority: new(int32(7)), HostNetwork: true,
		InitContainers: []corev1.Container{sidecar, container("once", 82)}, Containers: []corev1.Container{container("main", 80)},
		Overhead:                  corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Mi")},
		Tolerations:               []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpExists}},
		TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: "zone", LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}},
		Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
			{TopologyKey: "zone", LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "x"}}},
		}}},
		Volumes: []corev1.Volume{
			{Name: "local", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}},
		},
	}}
	pod.Labels = map[string]string{"app": "web", "tier": "x"}
	pod.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "rs", UID: "rs", Controller: new(true)}}
	pod.Annotations = map[string]string{"cluster-autoscaler.kubernetes.io/pod-scale-up-delay": "1h"}
	pod.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodPending, NominatedNodeName: "n1", PodIP: "10.1.1.1",
		ContainerStatuses: []corev1.ContainerStatus{{Name: pod.Spec.Containers[0].Name, Image: "x", Resources: &corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("7")},
		}}},
		Conditions: []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionFalse},
			{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable},
		},
	}
	return pod
}

// TestTrimmingKeepsWhatTheFeedSays compares a ledger of whole objects with one of what informers keep.
func TestTrimmingKeepsWhatTheFeedSays(t *testing.T) {
	unbound := elaboratePod()
	unbound.Name, unbound.UID, unbound.Status.NominatedNodeName = "waiting", "waiting", ""
	all := append(objects(), elaboratePod(), unbound)
	whole, kept := watch(t), watch(t)
	for _, o := range all {
		whole.add(o.DeepCopyObject().(client.Object))
		kept.add(trim(t, o))
	}
	if diff := cmp.Diff(whole.contents(), kept.contents(), protocmp.Transform(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-whole +trimmed):\n%s", diff)
	}
	ports := 0
	for _, s := range kept.contents().Shapes {
		ports = max(ports, len(s.GetHostPorts()))
	}
	if ports != 2 {
		t.Errorf("the pod takes %d ports of its node, want those of the container and of the sidecar", ports)
	}
}

// TestTrimmingKeepsWhoNominated: managed fields alone tell the planner's nominations from kube-scheduler's.
func TestTrimmingKeepsWhoNominated(t *testing.T) {
	for name, tc := range map[string]struct {
		manager, fields string
		want            int
	}{
		"Planner":          {v1beta1.FieldManagerNominations, `{"f:status":{"f:nominatedNodeName":{}}}`, 1},
		"KubeScheduler":    {"kube-scheduler", `{"f:status":{"f:nominatedNodeName":{}}}`, 0},
		"PlannerNoMore":    {v1beta1.FieldManagerNominations, `{"f:status":{}}`, 0},
		"SomethingElseToo": {"kubectl", `{"f:spec":{}}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			pod := elaboratePod()
			pod.Status.NominatedNodeName = "n1"
			fields := &metav1.FieldsV1{}
			fields.SetRawBytes([]byte(tc.fields))
			pod.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet"}, {Manager: tc.manager, FieldsV1: fields}}
			if got := trim(t, pod).ManagedFields; len(got) != tc.want {
				t.Errorf("%d entries are kept, want %d", len(got), tc.want)
			}
		})
	}
}

func TestTrimmingDropsTheRest(t *testing.T) {
	pod := trim(t, elaboratePod())
	if len(pod.ManagedFields)+len(pod.Spec.Containers[0].Env)+len(pod.Status.PodIP) > 0 || len(pod.Status.Conditions) != 1 {
		t.Errorf("of a pod %+v is kept", pod)
	}
	past := trim(t, &appsv1.ReplicaSet{ObjectMeta: named("a", "b"), Spec: appsv1.ReplicaSetSpec{Replicas: new(int32(0)), Selector: &metav1.LabelSelector{}}})
	ending := trim(t, &appsv1.ReplicaSet{
		ObjectMeta: named("a", "b"), Spec: appsv1.ReplicaSetSpec{Replicas: new(int32(0)), Selector: &metav1.LabelSelector{}},
		Status: appsv1.ReplicaSetStatus{Replicas: 1},
	})
	if past.Spec.Selector != nil || ending.Spec.Selector == nil {
		t.Error("a ReplicaSet has a selector as long as it has pods, and no longer")
	}
	for _, o := range objects() {
		o.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "kubectl"}})
		if got := trim(t, o); len(got.GetManagedFields()) > 0 || got.GetName() != o.GetName() || got.GetNamespace() != o.GetNamespace() || got.GetUID() != o.GetUID() {
			t.Errorf("of a %T %+v is kept", o, got)
		}
	}
}
