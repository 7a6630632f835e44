package app_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
)

// TestFactsTellWhatChanged follows machines through their lives: a fact for each change of the phase, and for nothing else.
func TestFactsTellWhatChanged(t *testing.T) {
	unclear := &app.CloudError{Failure: app.OutcomeUnknown, Message: "timeout"}
	tests := map[string]struct {
		live func(f *fixture)
		want []string
	}{
		"BoughtUsedAndRetired": {live: func(f *fixture) {
			f.create(intent("a"))
			f.pass(time.Second)
			f.pass(10 * time.Second)
			f.create(node("host-1", "", createdAt(noon.Add(time.Minute))))
			f.step("a", time.Second)
			n := f.machine("a")
			retired(n)
			if err := f.kube.Update(f.t.Context(), n); err != nil {
				f.t.Fatal(err)
			}
			f.life("a")
		}, want: []string{"Pending→Launching", "Launching→Joining", "Joining→Ready", "Ready→Draining", "Draining→Deleting", "Deleting→Gone"}},
		"Unclear": {live: func(f *fixture) {
			f.create(intent("a"))
			f.cloud.add, f.cloud.hide = unclear, true
			f.pass(time.Second)
			f.pass(time.Minute)
			f.cloud.add = nil
			f.pass(settle)
		}, want: []string{"Pending→Launching", "Launching→Pending"}},
		"NoGroupAtVPSie": {live: func(f *fixture) {
			f.create(intent("a"))
			f.cloud.group = &app.CloudError{Failure: app.Refused, Code: reason.NoScaleUpQuota, Message: "no more groups"}
			f.pass(time.Second)
		}, want: []string{"Pending→Failed"}},
		"NothingCame": {live: func(f *fixture) {
			f.create(intent("a", attempt(v1beta1.LaunchAccepted)))
			f.pass(16 * time.Minute)
		}, want: []string{"Launching→Failed"}},
		"NeverJoined": {live: func(f *fixture) {
			f.create(intent("a", joining("m1", "host-1")))
			f.cloud.machines = one("host-1")
			f.step("a", 16*time.Minute)
			f.life("a")
		}, want: []string{"Joining→Draining", "Draining→Deleting", "Deleting→Failed"}},
		"Paused": {live: func(f *fixture) {
			f.create(intent("a"))
			f.cloud.list = errors.New("down")
			f.pass(time.Second)
			f.pass(time.Minute)
		}},
		"SweptAway": {live: func(f *fixture) {
			f.create(node("host-1", "m1", registered("a")))
			f.create(intent("a", bought("m1", "host-1")))
			f.terminate()
			f.remove(f.machine("a"))
			f.step("a", time.Second)
		}, want: []string{"Ready→Released"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, group())
			tc.live(f)
			f.tell()
			if diff := cmp.Diff(tc.want, f.facts.phases); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
		})
	}
}
