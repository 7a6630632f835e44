package scheduling_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

func TestRoomForDaemonsIsHeldBackUntilTheyAreThere(t *testing.T) {
	daemon := func(id string, milliCPU int64, change ...func(*scheduling.Shape)) *scheduling.Item {
		return item(id, id, append(change, func(s *scheduling.Shape) { s.OwnerKind, s.Requests = "DaemonSet", size(milliCPU, 64) })...)
	}
	critical := func(s *scheduling.Shape) { s.Priority = 2_000_001_000 }
	proxy, agent := daemon("proxy", 100), daemon("agent", 300)
	elsewhere := daemon("elsewhere", 500, func(s *scheduling.Shape) { s.NodeSelector = map[string]string{"gpu": "true"} })
	tests := map[string]struct {
		why  string
		pods []*scheduling.Item
		want int64 // of cpu
	}{
		"None":             {"the third does not belong on the node", nil, 400},
		"TheTemplatesOwn":  {"", []*scheduling.Item{proxy}, 300},
		"OfAPriorityClass": {"a template does not know the number", []*scheduling.Item{daemon("proxy-pod", 100, critical)}, 300},
		"WithALimitRange":  {"a pod of the namespace that no template matches is taken for the one that is missing", []*scheduling.Item{daemon("proxy-pod", 100, critical), daemon("agent-pod", 350)}, 0},
		"NotADaemon":       {"", []*scheduling.Item{item("web", "web", func(s *scheduling.Shape) { s.Requests = size(100, 64) })}, 400},
		"OtherNamespace":   {"", []*scheduling.Item{daemon("other", 100, func(s *scheduling.Shape) { s.Namespace = "bank" })}, 400},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			items, pods := map[scheduling.ShapeID]*scheduling.Item{}, map[scheduling.ShapeID]int{}
			for _, p := range tc.pods {
				items[p.ID], pods[p.ID] = p, 1
			}
			n := node("a", "z1", holds(pods))
			n.Reserve([]*scheduling.Item{proxy, agent, elsewhere}, nil, items)
			if got := n.Reserved[corev1.ResourceCPU]; got != tc.want {
				t.Errorf("%dm are held back, want %dm (%s)", got, tc.want, tc.why)
			}
		})
	}
}
