package app_test

import (
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/app"
)

const (
	benchNodes       = 1000
	benchPodsPerNode = 30
	benchOwners      = 300
)

// bigPod is a pod of one of benchOwners ReplicaSets with labels, ports and volumes as pods have them.
func bigPod(i int) *corev1.Pod {
	owner := fmt.Sprintf("web-%d", i%benchOwners)
	return pod(fmt.Sprintf("%s-%d", owner, i), bound(fmt.Sprintf("node-%d", i/benchPodsPerNode)), asks("100m"), func(p *corev1.Pod) {
		p.Labels = map[string]string{"app": owner, "tier": "front", "pod-template-hash": owner, "version": "v1"}
		p.OwnerReferences[0].UID = types.UID(owner)
		p.Spec.Containers[0].Resources.Requests[corev1.ResourceMemory] = resource.MustParse("256Mi")
		p.Spec.Volumes = []corev1.Volume{{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}}}}
	})
}

func bigLedger(b testing.TB) *app.Ledger {
	b.Helper()
	l := newLedger()
	for i := range benchOwners {
		owner := fmt.Sprintf("web-%d", i)
		must(b, l.SetReplicaSet(&appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{UID: types.UID(owner)},
			Spec:       appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": owner, "pod-template-hash": owner}}},
		}, noon))
	}
	for i := range benchNodes {
		n := node(fmt.Sprintf("node-%d", i))
		n.Labels = map[string]string{}
		for _, key := range []string{corev1.LabelHostname, corev1.LabelTopologyZone, corev1.LabelTopologyRegion, corev1.LabelOSStable, corev1.LabelArchStable, corev1.LabelInstanceTypeStable} {
			n.Labels[key] = n.Name
		}
		n.Status.Allocatable = corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("8"), corev1.ResourceMemory: resource.MustParse("32Gi"), corev1.ResourcePods: resource.MustParse("110"),
		}
		must(b, l.SetNode(n))
	}
	for i := range benchNodes * benchPodsPerNode {
		must(b, l.SetPod(bigPod(i)))
	}
	return l
}

// BenchmarkLedgerFill is the first listing of a cluster of 30,000 pods.
func BenchmarkLedgerFill(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		bigLedger(b)
	}
}

// BenchmarkLedgerSetPod is one pod's change in a cluster of 30,000, without a batch.
func BenchmarkLedgerSetPod(b *testing.B) {
	l, i := bigLedger(b), 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		must(b, l.SetPod(flip(i)))
	}
}

// flip is the first pod, ready for another node each time.
func flip(i int) *corev1.Pod {
	p := bigPod(0)
	p.Spec.NodeName = fmt.Sprintf("node-%d", i%2)
	return p
}

// BenchmarkLedgerContents is one pod's change in a cluster of 30,000 and the contents after it.
func BenchmarkLedgerContents(b *testing.B) {
	l, i := bigLedger(b), 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		must(b, l.SetPod(flip(i)))
		l.Contents(noon, silent)
	}
}

// BenchmarkLedgerNewKey is a pod whose selector names a label that every one of 30,000 pods carries and
// nothing has referred to before: each of them gets another shape, and each node changes.
func BenchmarkLedgerNewKey(b *testing.B) {
	l, now := bigLedger(b), noon
	l.Contents(now, silent)
	b.ReportAllocs()
	for b.Loop() {
		must(b, l.SetPod(pod("selective", bound("node-1"), avoids("tier", "front"))))
		l.Contents(now, silent)
		b.StopTimer()
		must(b, l.DeletePod("selective"))
		l.Contents(now, silent)
		now = now.Add(time.Hour)
		l.Contents(now, silent)
		b.StartTimer()
	}
}
