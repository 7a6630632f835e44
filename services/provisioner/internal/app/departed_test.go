package app_test

import (
	"errors"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

var departing = launch.Listed{Identifier: "m1", Hostname: "host-1", Size: small}

// TestMachineThatIsGoneIsNoAnswer has a listing that lags show a machine once more whose absence VPSie has confirmed, while another is awaited.
func TestMachineThatIsGoneIsNoAnswer(t *testing.T) {
	tests := map[string]struct {
		// asked says after how many of the steps of a departure the other one is asked for: before it, while it lasts, or after it.
		asked    int
		restarts bool
		answer   error
	}{
		"AskedBefore":            {asked: 0},
		"AskedBeforeLostAnswer":  {asked: 0, answer: errors.New("connection reset by peer")},
		"AskedWhileLeaving":      {asked: 1, restarts: true},
		"AskedBeforeObjectGoes":  {asked: 6, restarts: true},
		"AskedWhenObjectIsGone":  {asked: 8},
		"AskedThenTheNextLeader": {asked: 8, restarts: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, group(), node("host-1", "m1"), intent("a", bought("m1", "host-1"), retired))
			f.cloud.machines, f.cloud.hide = []launch.Listed{departing}, true
			f.answering = func(o client.Object) error {
				n, is := o.(*v1beta1.VPSieNode)
				if !is || n.Name != "a" || n.Status.AbsentSightings < 2 {
					return nil
				}
				err := test.answer
				test.answer = nil
				return err
			}
			for step := range 9 {
				if step == test.asked {
					f.create(intent("b"))
					f.clock.Step(3 * time.Second)
					f.pass(0)
				}
				switch step {
				case 8:
				case 0:
					for range 3 {
						f.step("a", 6*time.Second)
					}
				case 6, 7:
					f.step("a", time.Second)
				default:
					f.clock.Step(11 * time.Second)
					_, err := f.clusters.Reconcile(t.Context(), clusterID)
					if err != nil {
						t.Log(err) // the lost answer
					}
				}
			}
			if f.exists(intent("a")) {
				t.Fatalf("the machine is not gone: %+v", f.machine("a").Status)
			}
			if test.restarts {
				f.restart()
			}
			f.cloud.machines = append(f.cloud.machines, departing)
			f.pass(30 * time.Second)
			if id := f.machine("b").Status.Identifier; f.cloud.asked != 1 || id != "" {
				t.Fatalf("asked %d times, claims %q, which is gone", f.cloud.asked, id)
			}
			f.cloud.machines = []launch.Listed{{Identifier: "m2", Hostname: "host-2", Size: small}}
			f.pass(30 * time.Second)
			if id := f.machine("b").Status.Identifier; f.cloud.asked != 1 || id != "m2" {
				t.Errorf("asked %d times, claims %q, want its own machine", f.cloud.asked, id)
			}
		})
	}
}
