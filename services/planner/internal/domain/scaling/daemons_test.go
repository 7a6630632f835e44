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
			w.Daemons["system/agent"] = w.Shape("agent", 100, 64, daemonOf("system", agent), tc.daemon)
			w.Wait(w.Shape("pod", 500, 64, tc.pod), tc.pods)
			if got := w.launchedSmall(); got != tc.want {
				t.Errorf("%d machines are launched, want %d", got, tc.want)
			}
		})
	}
}

// TestPodsThatPreemptADaemonSet plans through the life of a machine: launched, on its way, and Ready with the DaemonSet's pod on it.
func TestPodsThatPreemptADaemonSet(t *testing.T) {
	for name, tc := range map[string]struct{ daemon, work int32 }{"Filler": {-1000, 0}, "Lower": {0, 100}} {
		t.Run(name, func(t *testing.T) {
			g := group("a", offerings(smallID))
			w := newWorld(g)
			filler := w.Shape("filler", 3500, 64, daemonOf("system", nil), func(s *scheduling.Shape) { s.Priority = tc.daemon })
			w.Daemons["system/filler"] = filler
			work := w.Shape("work", 3000, 64, func(s *scheduling.Shape) { s.Priority = tc.work })
			w.Wait(work, 1)
			if got := w.launchedSmall(); got != 1 {
				t.Fatalf("%d machines are launched, want one, on which the work preempts", got)
			}
			w.Since(g, "n1", 10*time.Second, map[scheduling.ShapeID]int{filler: 1})
			w.LaunchedFor(work)
			if got := w.launchedSmall(); got != 0 {
				t.Errorf("%d machines are launched while kube-scheduler preempts on n1", got)
			}
		})
	}
	w := newWorld(group("a", offerings(smallID)))
	w.Daemons["system/agent"] = w.Shape("agent", 3500, 64, daemonOf("system", nil))
	w.Wait(w.Shape("work", 3000, 64), 1)
	if got := launched(w.plan(scaling.Memory{})); len(got) != 0 {
		t.Errorf("%v are launched for work that preempts nothing", got)
	}
}
