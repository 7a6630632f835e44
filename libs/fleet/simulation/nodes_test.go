package simulation_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

func TestPodsDoNotMoveToNodesThatAreNotReadyForThem(t *testing.T) {
	g := group("a", offerings(smallID))
	w := newWorld(g)
	web := w.Shape("web", 500, 64)
	w.Machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{web: 1})
	w.Machine(g, "n2", v1beta1.PhaseReady, map[scheduling.ShapeID]int{web: 4})
	taint := corev1.Taint{Key: "startup-taint.cluster-autoscaler.kubernetes.io/cni", Effect: corev1.TaintEffectNoSchedule}
	w.Nodes["n2"].Taints = []corev1.Taint{taint}
	if w.canGo("n1") {
		t.Errorf("n1 can go, and its pods cannot run on a node with %s", taint.Key)
	}
	w.Wait(web, 3)
	if got := w.launches(t); got > 0 {
		t.Errorf("%d machines are launched for pods that n1 and, before long, n2 take", got)
	}
	w.Machines[1].Status.ReadyAt = new(metav1.NewTime(noon.Add(-time.Hour)))
	w.Wait(web, 7)
	if got := w.launches(t); got != 1 {
		t.Errorf("%d machines are launched; a taint that stays for an hour is not about to go", got)
	}
}

func TestSizesAreLearnedFromNodes(t *testing.T) {
	g := group("a", offerings(smallID))
	w := newWorld(g)
	w.Machine(g, "n1", v1beta1.PhaseReady, nil)
	w.Machine(g, "n2", v1beta1.PhaseReady, nil)
	w.Nodes["n1"].AttachLimits = map[string]int64{"csi": 4}
	w.Nodes["n1"].Allocatable[gpu] = 1
	c := w.cluster(nil)
	empty := c.Option(c.Groups[0], c.Groups[0].Catalogue.Find(smallID)).Empty
	if empty.AttachLimits["csi"] != 4 || empty.Allocatable[gpu] != 1 || empty.Allocatable[corev1.ResourceCPU] != 3900 {
		t.Errorf("a new node attaches %v and has %v; want four volumes and a device, whatever n2 does not say of itself", empty.AttachLimits, empty.Allocatable)
	}
	if w.Groups[0].Catalogue.Offerings[0].Allocatable != nil {
		t.Error("what was learned reached the snapshot that the cluster was made from")
	}
}
