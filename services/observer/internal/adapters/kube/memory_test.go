package kube_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/adapters/kube"
	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/app"
)

const (
	memoryPods     = 6000
	podsPerOwner   = 30
	podsPerNode    = 30
	bytesPerPodMax = 1000
)

// realPod is a pod as a kubelet leaves it, with what of it no shape is made of.
func realPod(i int) *corev1.Pod {
	owner := fmt.Sprintf("web-%d-5d8f7c9b6", i/podsPerOwner)
	name := fmt.Sprintf("%s-%05x", owner, i)
	resources := corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")},
	}
	container := corev1.Container{
		Name: "app", Image: "registry.example.com/team/web:1.27.4", Resources: resources,
		Env:          []corev1.EnvVar{{Name: "LOG_LEVEL", Value: "info"}, {Name: "POD_IP", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIP"}}}},
		Ports:        []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
		VolumeMounts: []corev1.VolumeMount{{Name: "kube-api-access", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount", ReadOnly: true}},
	}
	seconds, now := int64(300), metav1.NewTime(time.Unix(1_700_000_000+int64(i), 0))
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: fmt.Sprintf("team-%d", i%40), Name: name, GenerateName: owner + "-", ResourceVersion: fmt.Sprint(100_000 + i), CreationTimestamp: now,
			UID: types.UID(fmt.Sprintf("6f1c2d3e-0000-4000-8000-%012x", i)),
			Labels: map[string]string{
				"app.kubernetes.io/name": owner, "app.kubernetes.io/part-of": "shop", "app.kubernetes.io/version": "1.27.4", "pod-template-hash": "5d8f7c9b6",
			},
			Annotations:     map[string]string{"prometheus.io/scrape": "true", "kubectl.kubernetes.io/restartedAt": "2026-11-01T12:00:00Z"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: owner, UID: types.UID(owner), Controller: new(true), BlockOwnerDeletion: new(true)}},
			ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "kubelet", FieldsV1: metav1.NewFieldsV1(string(make([]byte, 2000)))}},
		},
		Spec: corev1.PodSpec{
			NodeName: fmt.Sprintf("node-%d", i/podsPerNode), ServiceAccountName: "web", SchedulerName: corev1.DefaultSchedulerName, Priority: new(int32(0)),
			Containers: []corev1.Container{container}, InitContainers: []corev1.Container{container},
			Volumes: []corev1.Volume{
				{Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
				{Name: fmt.Sprintf("kube-api-access-%05x", i), VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}}}}},
			},
			Tolerations: []corev1.Toleration{
				{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds},
				{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds},
			},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, HostIP: "10.0.0.1", PodIP: "10.1.0.1", StartTime: &now,
			ContainerStatuses: []corev1.ContainerStatus{{
				Name: "app", Image: container.Image, ImageID: "sha256:0123456789abcdef", Ready: true, Resources: &resources, AllocatedResources: resources.Requests,
			}},
		},
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	return p
}

// decoded is a pod as it comes from the API server, sharing nothing with others.
func decoded(t testing.TB, p *corev1.Pod) *corev1.Pod {
	t.Helper()
	body, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	out := &corev1.Pod{}
	if err := out.Unmarshal(body); err != nil {
		t.Fatal(err)
	}
	return out
}

func heapBytes() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// bytesPerPod is what an informer's store and the ledger together keep of each of many pods.
func bytesPerPod(t testing.TB) float64 {
	t.Helper()
	ledger := app.NewLedger(app.Config{DefaultSpread: true})
	options, err := kube.CacheOptions(ledger, clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	transform := transformOf(options, &corev1.Pod{})
	store := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, toolscache.Indexers{})
	before := heapBytes()
	for i := range memoryPods {
		kept, err := transform(decoded(t, realPod(i)))
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Add(kept); err != nil {
			t.Fatal(err)
		}
		if err := kube.Set(ledger, kept); err != nil {
			t.Fatal(err)
		}
	}
	perPod := float64(heapBytes()-before) / memoryPods
	runtime.KeepAlive(ledger)
	runtime.KeepAlive(store)
	return perPod
}

// TestPodsTakeLittleMemory bounds what decides the observer's memory in a large cluster.
func TestPodsTakeLittleMemory(t *testing.T) {
	got := bytesPerPod(t)
	t.Logf("%.0f bytes a pod", got)
	if got > bytesPerPodMax {
		t.Errorf("informer and ledger keep %.0f bytes of a pod, want %d at most", got, bytesPerPodMax)
	}
}
