package scaling_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

func daemonOf(namespace string, labels map[string]string) func(*scheduling.Shape) {
	return func(s *scheduling.Shape) { s.OwnerKind, s.Namespace, s.Labels = "DaemonSet", namespace, labels }
}

func TestDaemonSetsPodsOnNewNodes(t *testing.T) {
	agent := map[string]string{"app": "agent"}
	term := corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname, Namespaces: []string{"system"}, LabelSelector: &metav1.LabelSelector{MatchLabels: agent}}
	web := corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname, Namespaces: []string{""}, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}
	port := func(s *scheduling.Shape) {
		s.HostPorts = []scheduling.HostPort{{Protocol: corev1.ProtocolTCP, Port: 9100}}
	}
	tests := map[string]struct {
		daemon, pod func(*scheduling.Shape)
		pods, want  int
	}{
		"TakeTheirPort": {port, port, 1, 0},
		"AreFollowed": {func(*scheduling.Shape) {}, func(s *scheduling.Shape) {
			s.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{term}}}
		}, 3, 1},
		"AreAvoided": {func(*scheduling.Shape) {}, func(s *scheduling.Shape) {
			s.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{term}}}
		}, 1, 0},
		"Repel": {func(s *scheduling.Shape) {
			s.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{web}}}
		}, func(s *scheduling.Shape) { s.Labels = map[string]string{"app": "web"} }, 1, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(group("a", offerings(smallID)))
			w.Daemons["system/agent"] = w.shape("agent", 100, 64, daemonOf("system", agent), tc.daemon)
			w.pending(w.shape("pod", 500, 64, tc.pod), tc.pods)
			if got := w.boughtSmall(); got != tc.want {
				t.Errorf("%d machines are bought, want %d", got, tc.want)
			}
		})
	}
}

func TestDaemonSetsPodsCountAsTheyRun(t *testing.T) {
	g := group("a", offerings(smallID))
	w := newWorld(g)
	w.Daemons["system/agent"] = w.shape("agent", 100, 64, daemonOf("system", nil))
	grown, full := w.shape("agent-grown", 900, 64, daemonOf("system", nil)), w.shape("full", 2500, 64)
	w.since(g, "n1", time.Hour, map[scheduling.ShapeID]int{grown: 1, full: 1})
	w.since(g, "n2", time.Hour, map[scheduling.ShapeID]int{grown: 1, full: 1})
	w.pending(w.shape("job", 3500, 64), 1)
	if got := w.boughtSmall(); got != 0 {
		t.Errorf("%d machines are bought; beside the DaemonSet's pod as it runs the job does not fit", got)
	}
}

// TestPodsThatPreemptADaemonSet plans through the life of a machine: bought, on its way, and Ready with the DaemonSet's pod on it.
func TestPodsThatPreemptADaemonSet(t *testing.T) {
	for name, tc := range map[string]struct{ daemon, work int32 }{"Filler": {-1000, 0}, "Lower": {0, 100}} {
		t.Run(name, func(t *testing.T) {
			g := group("a", offerings(smallID))
			w := newWorld(g)
			filler := w.shape("filler", 3500, 64, daemonOf("system", nil), func(s *scheduling.Shape) { s.Priority = tc.daemon })
			w.Daemons["system/filler"] = filler
			work := w.shape("work", 3000, 64, func(s *scheduling.Shape) { s.Priority = tc.work })
			w.pending(work, 1)
			if got := w.boughtSmall(); got != 1 {
				t.Fatalf("%d machines are bought, want one, on which the work preempts", got)
			}
			w.since(g, "n1", 10*time.Second, map[scheduling.ShapeID]int{filler: 1})
			w.boughtFor(work)
			if got := w.boughtSmall(); got != 0 {
				t.Errorf("%d machines are bought while kube-scheduler preempts on n1", got)
			}
		})
	}
	w := newWorld(group("a", offerings(smallID)))
	w.Daemons["system/agent"] = w.shape("agent", 3500, 64, daemonOf("system", nil))
	w.pending(w.shape("work", 3000, 64), 1)
	if got := bought(w.plan(scaling.Memory{})); len(got) != 0 {
		t.Errorf("%v are bought for work that preempts nothing", got)
	}
}
