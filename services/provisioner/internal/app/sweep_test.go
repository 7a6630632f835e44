package app_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
)

// terminate marks the namespace as being deleted.
func (f *fixture) terminate() {
	f.t.Helper()
	namespace := &corev1.Namespace{}
	if err := f.kube.Get(f.t.Context(), client.ObjectKey{Name: "default"}, namespace); err != nil {
		f.t.Fatal(err)
	}
	namespace.Finalizers = []string{"test/kept"}
	if err := f.kube.Update(f.t.Context(), namespace); err != nil {
		f.t.Fatal(err)
	}
	f.remove(namespace)
}

func TestObjectsThatAreSweptAwayDeleteNoMachine(t *testing.T) {
	sweeps := map[string]func(f *fixture){
		"Namespace": (*fixture).terminate,
		"Definition": func(f *fixture) {
			d := definition()
			if err := f.kube.Get(f.t.Context(), client.ObjectKeyFromObject(d), d); err != nil {
				f.t.Fatal(err)
			}
			d.SetFinalizers([]string{"test/kept"})
			if err := f.kube.Update(f.t.Context(), d); err != nil {
				f.t.Fatal(err)
			}
			f.remove(d)
		},
		"DefinitionIsGone": func(f *fixture) { f.remove(definition()) },
	}
	for name, sweep := range sweeps {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, node("host-1", "m1", registered("a")), pod("p", "host-1"), intent("a", launched("m1", "host-1")))
			f.orphans = app.OrphansDelete
			f.restart()
			f.cloud.machines = one("host-1")
			sweep(f)
			f.remove(f.machine("a"))
			f.step("a", time.Second)
			if f.exists(intent("a")) {
				t.Fatal("the finalizer keeps the namespace from going")
			}
			for range 5 {
				f.survey(6 * time.Minute)
			}
			if len(f.cloud.deleted) > 0 || !f.exists(pod("p", "")) || f.node("host-1").Spec.Unschedulable {
				t.Errorf("deleted %v, node %+v; want the machine left as it is, also where orphans are deleted", f.cloud.deleted, f.node("host-1").Spec)
			}
			if !strings.Contains(f.told(), "m1") {
				t.Errorf("told %q, want the machine reported", f.told())
			}
		})
	}
}

func TestSweptDrainIsAborted(t *testing.T) {
	f := newFixture(t, group(), node("host-1", "m1", registered("a")), pod("p", "host-1"), intent("a", launched("m1", "host-1")))
	f.remove(f.machine("a"))
	f.step("a", time.Second)
	if !f.node("host-1").Spec.Unschedulable {
		t.Fatal("a person's deletion does not drain")
	}
	f.terminate()
	f.step("a", 6*time.Second)
	if f.exists(intent("a")) || f.node("host-1").Spec.Unschedulable || !f.exists(pod("p", "")) {
		t.Errorf("object there: %v, node %+v; want the machine released and open", f.exists(intent("a")), f.node("host-1").Spec)
	}
}

// TestSweptRetirementThatWaitsReleasesTheMachine has a namespace go while a busy machine waits for its replacement, or was just found unneeded.
func TestSweptRetirementThatWaitsReleasesTheMachine(t *testing.T) {
	for kind, stays := range map[v1beta1.RetirementKind]bool{v1beta1.RetireReplace: true, v1beta1.RetireScaleDown: true, v1beta1.RetireLaunchFailed: false} {
		t.Run(string(kind), func(t *testing.T) {
			f := newFixture(t, group(), node("host-1", "m1", registered("a")), pod("p", "host-1"), intent("a", launched("m1", "host-1"), func(n *v1beta1.VPSieNode) {
				n.Spec.Retirement = &v1beta1.Retirement{Kind: kind, DecisionID: "d", Reason: "r", Message: "why"}
			}))
			f.terminate()
			f.remove(f.machine("a"))
			f.step("a", time.Second)
			if released := !f.exists(intent("a")) && !f.node("host-1").Spec.Unschedulable && f.exists(pod("p", "")); released != stays {
				t.Errorf("released: %v, want %v", released, stays)
			}
		})
	}
}

func TestSweptLaunchIsResolvedFirst(t *testing.T) {
	f := newFixture(t, group(), intent("a", attempt(v1beta1.LaunchAccepted)))
	f.terminate()
	f.remove(f.machine("a"))
	f.step("a", time.Minute)
	if !f.exists(intent("a")) {
		t.Fatal("a machine may have been launched, and nothing would know of it")
	}
	f.pass(16 * time.Minute)
	f.step("a", time.Second)
	if f.exists(intent("a")) {
		t.Error("the namespace is held up beyond the launch deadline")
	}
}
