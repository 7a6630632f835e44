package app_test

import (
	"errors"
	"slices"
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
		// asked and restarts say before which step of a departure the other one is asked for, and the process starts anew if it does:
		// the first retires it, three drain, five see to it that the machine is gone, two drop its object.
		asked, restarts int
		answer          error
	}{
		"AskedBefore":             {asked: 0},
		"AskedBeforeLostAnswer":   {asked: 0, answer: errors.New("connection reset by peer")},
		"AskedBeforeTheNextFinds": {asked: 0, restarts: 9},
		"AskedWhileDraining":      {asked: 1, restarts: 11},
		"AskedWhileLeaving":       {asked: 4, restarts: 11},
		"AskedBeforeObjectGoes":   {asked: 9, restarts: 11},
		"AskedWhenObjectIsGone":   {asked: 11},
		"AskedThenTheNextLeader":  {asked: 11, restarts: 11},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, group(), node("host-1", "m1"), intent("a", launched("m1", "host-1")))
			f.cloud.machines, f.cloud.hide = []launch.Listed{departing}, true
			lost := test.answer
			f.answering = func(o client.Object) error {
				n, is := o.(*v1beta1.VPSieNode)
				if !is || n.Name != "a" || n.Status.AbsentSightings < 2 {
					return nil
				}
				err := lost
				lost = nil
				return err
			}
			var failed []error
			reconcile := func(after time.Duration) {
				f.clock.Step(after)
				if _, err := f.clusters.Reconcile(t.Context(), clusterID); err != nil {
					failed = append(failed, err)
				}
			}
			for step := range 12 {
				if step == test.asked {
					f.create(intent("b"))
					reconcile(3 * time.Second)
				}
				if step == test.restarts && step > 0 {
					f.restart()
					reconcile(0)
				}
				switch {
				case step == 0:
					n := f.machine("a")
					retired(n)
					if err := f.kube.Update(t.Context(), n); err != nil {
						t.Fatal(err)
					}
				case step < 4:
					f.step("a", 6*time.Second)
				case step < 9:
					if f.machine("a").Status.AbsentSightings < 2 {
						reconcile(11 * time.Second)
					}
				case step < 11:
					f.step("a", time.Second)
				}
			}
			if test.answer == nil && failed != nil || test.answer != nil && (len(failed) != 1 || !errors.Is(failed[0], test.answer)) {
				t.Fatalf("reconciles failed with %v, want %v", failed, test.answer)
			}
			if f.exists(intent("a")) {
				t.Fatalf("the machine is not gone: %+v", f.machine("a").Status)
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

// TestRequestNamesWhatLeavesBeforeItsObjectDoes adopts a machine in order to delete it, and launches another while listings lack it.
func TestRequestNamesWhatLeavesBeforeItsObjectDoes(t *testing.T) {
	f := newFixture(t, group(), intent("b"), intent("a", retired, func(n *v1beta1.VPSieNode) {
		n.Spec.Origin, n.Annotations = v1beta1.OriginAdoption, map[string]string{v1beta1.AnnotationAdopts: "m1"}
	}))
	f.cloud.hide = true
	f.pass(3 * time.Second)
	if n := f.machine("b"); f.cloud.asked != 1 || !slices.Equal(n.Status.Launches[0].Foreign, []string{"m1"}) {
		t.Errorf("asked %d times, %+v; want m1 named by the request", f.cloud.asked, n.Status.Launches)
	}
}
