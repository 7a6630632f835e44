package sim

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// TestJudgeOfLaunchRequestsThatAreMadeAgain has a machine requested again after requests of others that got machines, and after
// one whose machine nobody claims, or none.
func TestJudgeOfLaunchRequestsThatAreMadeAgain(t *testing.T) {
	tests := map[string]struct {
		appears  string
		requests int
		breaks   string
	}{
		"NoneCameOfIt":              {appears: "once", requests: 2},
		"OneCameOfIt":               {appears: "once", requests: 3, breaks: "I5"},
		"NoneCameOfItOthersGaveTwo": {appears: "twice", requests: 2},
		"OneCameOfItAllGaveTwo":     {appears: "twice", requests: 3, breaks: "I5"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			judging(t, func(w *world) {
				before := w.cloud.sim.Truth()
				w.cloud.set(map[string]any{"nodeAppears": test.appears})
				at := metav1.Now()
				for range test.requests {
					if _, err := w.cloud.sim.Model().AddNode(before.Clusters[0].Identifier, vpsiesim.RoleSlave, 0, "us"); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
				}
				launched := w.cloud.sim.Truth().Machines[len(before.Machines):]
				for i, name := range []string{"n1", "n2", "n3"} {
					n := newMachine()
					n.Name = name
					w.must(w.cluster.server.As("person").Create(n))
					n.Status.Launches = []v1beta1.LaunchAttempt{{Number: 1, VPSieGroup: int64(launched[0].GroupID), RequestedAt: at, Outcome: v1beta1.LaunchAccepted}}
					if name == "n3" {
						n.Status.Launches[0].Outcome = v1beta1.LaunchNotMade
						n.Status.Launches = append(n.Status.Launches, v1beta1.LaunchAttempt{
							Number: 2, VPSieGroup: int64(launched[0].GroupID), RequestedAt: at, Outcome: v1beta1.LaunchRequested,
						})
					} else {
						n.Status.Identifier = launched[i].Identifier
					}
					w.must(w.cluster.server.As(Provisioner + "-1").UpdateStatus(n))
				}
				w.judge.mu.Lock()
				defer w.judge.mu.Unlock()
				w.judge.again(time.Now())
			}, test.breaks)
		})
	}
}
