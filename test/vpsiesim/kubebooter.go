package vpsiesim

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	kwokAnnotation = "kwok.x-k8s.io/node"
	kwokFake       = "fake"
	mirrorPod      = "kubernetes.io/config.mirror"

	bytesPerMiB = 1 << 20
	bytesPerGiB = 1 << 30

	// What a machine keeps for itself, out of the capacity.
	reservedMilliCPU       = 100
	reservedMemoryMiB      = 256
	reservedStoragePercent = 10
	podsMax                = 110

	kubeQPS   = 200
	kubeBurst = 400

	haltedHolder       = "vpsiesim-halted"
	haltedLeaseSeconds = 10 * 365 * 24 * 3600
)

// KubeBooter registers machines as Nodes that KWOK keeps alive.
type KubeBooter struct{ client kubernetes.Interface }

var _ Booter = (*KubeBooter)(nil)

// NewKubeBooter uses the cluster of a rest.Config, with client limits wide enough for a thousand machines at once.
func NewKubeBooter(cfg *rest.Config) (*KubeBooter, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = kubeQPS, kubeBurst
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("build Kubernetes client: %w", err)
	}
	return &KubeBooter{client}, nil
}

// NewKubeBooterFromFile uses the current context of a kubeconfig file.
func NewKubeBooterFromFile(path string) (*KubeBooter, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %q: %w", path, err)
	}
	return NewKubeBooter(cfg)
}

// NewKubeBooterFromClient uses a client that is there already, such as a fake one.
func NewKubeBooterFromClient(client kubernetes.Interface) *KubeBooter { return &KubeBooter{client} }

// Boot creates the Node as a kubelet does at registration; a Node that exists is taken over.
func (b *KubeBooter) Boot(ctx context.Context, m Machine) error {
	node := NodeOf(m)
	_, err := b.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return b.annotate(ctx, m.NodeName(), kwokFake)
	}
	if err != nil {
		return fmt.Errorf("register node %q: %w", m.NodeName(), err)
	}
	return nil
}

// NodeOf is the Node that a machine's kubelet registers.
func NodeOf(m Machine) *corev1.Node {
	name := m.NodeName()
	capacity, allocatable := resources(m)
	now := metav1.NewTime(time.Now())
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: name,
			Labels: map[string]string{
				corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
			},
			Annotations: map[string]string{kwokAnnotation: kwokFake},
		},
		// Neither a provider ID nor zones: VPSie's cloud controller sets none.
		Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}}},
		Status: corev1.NodeStatus{
			Capacity: capacity, Allocatable: allocatable,
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: m.PrivateIP}, {Type: corev1.NodeHostName, Address: name},
			},
			Conditions: []corev1.NodeCondition{{
				Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: "KubeletNotReady",
				Message: "container runtime network not ready", LastHeartbeatTime: now, LastTransitionTime: now,
			}},
			NodeInfo: corev1.NodeSystemInfo{
				MachineID: m.Identifier, SystemUUID: m.Identifier, BootID: m.Identifier,
				KubeletVersion: "v" + m.KubeVersion, OperatingSystem: "linux", Architecture: "amd64",
			},
		},
	}
}

// resources returns what a machine has and what it gives to pods, both cut to its allocatable share.
func resources(m Machine) (capacity, allocatable corev1.ResourceList) {
	share := int64(m.AllocatableShare)
	if share == 0 {
		share = 100
	}
	milliCPU := int64(m.VCPU) * 1000 * share / 100
	memory := int64(m.RAMMiB) * bytesPerMiB * share / 100
	storage := int64(m.DiskGiB) * bytesPerGiB * share / 100
	list := func(milliCPU, memory, storage int64) corev1.ResourceList {
		return corev1.ResourceList{
			corev1.ResourceCPU:              *resource.NewMilliQuantity(max(milliCPU, 0), resource.DecimalSI),
			corev1.ResourceMemory:           *resource.NewQuantity(max(memory, 0), resource.BinarySI),
			corev1.ResourceEphemeralStorage: *resource.NewQuantity(storage, resource.BinarySI),
			corev1.ResourcePods:             *resource.NewQuantity(podsMax, resource.DecimalSI),
		}
	}
	return list(milliCPU, memory, storage),
		list(milliCPU-reservedMilliCPU, memory-reservedMemoryMiB*bytesPerMiB, storage*(100-reservedStoragePercent)/100)
}

// Halt stops the heartbeat of the Node, and deletes the Node if the machine says so.
//
// KWOK with leases goes on renewing the lease of a Node that lost its annotation, and would not notice its deletion;
// it lets go only of a Node whose lease somebody else holds. So the lease is taken over where there is one, and the
// annotation is removed where there is none.
func (b *KubeBooter) Halt(ctx context.Context, m Machine) error {
	name := m.NodeName()
	if m.DeleteNodeObject {
		err := b.client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete node %q: %w", name, err)
		}
		return nil
	}
	taken, err := b.takeLease(ctx, name)
	if err != nil || taken {
		return err
	}
	return b.annotate(ctx, name, "")
}

// takeLease makes the machine's lease one that nobody renews, and reports whether there was one.
func (b *KubeBooter) takeLease(ctx context.Context, name string) (bool, error) {
	leases := b.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	lease, err := leases.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read lease of node %q: %w", name, err)
	}
	holder, seconds := haltedHolder, int32(haltedLeaseSeconds)
	lease.Spec = coordinationv1.LeaseSpec{
		HolderIdentity: &holder, LeaseDurationSeconds: &seconds,
		AcquireTime: lease.Spec.AcquireTime, RenewTime: lease.Spec.RenewTime, LeaseTransitions: lease.Spec.LeaseTransitions,
	}
	if _, err := leases.Update(ctx, lease, metav1.UpdateOptions{}); err != nil {
		return false, fmt.Errorf("take lease of node %q: %w", name, err)
	}
	return true, nil
}

// annotate sets KWOK's annotation on a Node, or removes it for an empty value; a Node that is gone is fine then.
func (b *KubeBooter) annotate(ctx context.Context, name, value string) error {
	var wanted any // null removes
	if value != "" {
		wanted = value
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{kwokAnnotation: wanted}}})
	if err != nil {
		return fmt.Errorf("encode annotation: %w", err)
	}
	_, err = b.client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	if value == "" && apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("annotate node %q: %w", name, err)
	}
	return nil
}

// PodsOn counts the pods that a deletion of the machine would kill.
func (b *KubeBooter) PodsOn(ctx context.Context, hostname string) (int, error) {
	pods, err := b.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("spec.nodeName", hostname).String(),
	})
	if err != nil {
		return PodsUnknown, fmt.Errorf("list pods on node %q: %w", hostname, err)
	}
	n := 0
	for i := range pods.Items {
		if pod := &pods.Items[i]; pod.Spec.NodeName == hostname && runsWork(pod) {
			n++
		}
	}
	return n, nil
}

// runsWork reports whether losing the pod loses work.
func runsWork(pod *corev1.Pod) bool {
	if owner := metav1.GetControllerOf(pod); owner != nil && owner.Kind == "DaemonSet" {
		return false
	}
	_, mirror := pod.Annotations[mirrorPod]
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	return !mirror && !ended && pod.DeletionTimestamp == nil
}
