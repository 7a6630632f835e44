package kubesim_test

import (
	"fmt"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/kube"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

// BenchmarkRequest measures what one request costs with the client that makes it.
func BenchmarkRequest(b *testing.B) {
	s := kubesim.New(kubesim.Config{})
	scheme, err := kube.Scheme()
	if err != nil {
		b.Fatal(err)
	}
	c, err := client.New(&rest.Config{Host: "http://kubesim", Transport: s.Transport(), QPS: -1}, client.Options{Scheme: scheme})
	if err != nil {
		b.Fatal(err)
	}
	const pods, nodes = 1000, 100
	world := s.As("world")
	for i := range pods {
		if err := world.Create(podOn(fmt.Sprintf("pod-%d", i), fmt.Sprintf("node-%d", i%nodes))); err != nil {
			b.Fatal(err)
		}
	}
	machine := &v1beta1.VPSieNode{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "machine"},
		Spec: v1beta1.VPSieNodeSpec{
			NodeGroup: "general", DecisionID: "d", Reason: "r", Cluster: v1beta1.ClusterReference{Identifier: "c", Datacenter: "d"},
		},
	}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "lease"}}
	for _, o := range []client.Object{machine, lease} {
		if err := c.Create(b.Context(), o); err != nil {
			b.Fatal(err)
		}
	}
	n := int32(0)
	for name, do := range map[string]func() error{
		"GetPod": func() error {
			return c.Get(b.Context(), client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: "pod-7"}, &corev1.Pod{})
		},
		"ListPodsOfNode": func() error {
			return c.List(b.Context(), &corev1.PodList{}, client.MatchingFields{"spec.nodeName": "node-7"})
		},
		"UpdateLease": func() error {
			n++
			lease.Spec.LeaseTransitions = new(n)
			return c.Update(b.Context(), lease)
		},
		"PatchStatus": func() error {
			n++
			base := machine.DeepCopy()
			machine.Status.AbsentSightings = n
			return c.Status().Patch(b.Context(), machine, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
		},
		"CreateAndDeletePodDirectly": func() error {
			pod := podOn("short", "")
			if err := world.Create(pod); err != nil {
				return err
			}
			return world.Delete(pod, metav1.DeleteOptions{})
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func podOn(name, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name, Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "main", Image: "none"}}},
	}
}
