package app_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
)

// carried are the ids of the records that machines carry.
func (f *fixture) carried() map[string]string {
	carried := map[string]string{}
	for _, m := range f.machines() {
		for _, fact := range facts.Attached(&m) {
			carried[m.Name] = fact.ID
		}
	}
	return carried
}

// TestActsCarryTheirRecords has machines carry the record of their launch and of their retirement from the write on, so that a planner
// that dies right after it loses none, and has the next planner find what is carried.
func TestActsCarryTheirRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.run()
		f.wait(time.Second)
		f.pending(3, 0, 3000)
		f.wait(5 * time.Second)
		machines, carried := f.machines(), f.carried()
		if len(machines) != 3 || len(carried) != 1 {
			t.Fatalf("%d machines carry %v, want one of three to carry the record", len(machines), carried)
		}
		for name, id := range carried {
			if id != machines[0].Spec.DecisionID || !slices.ContainsFunc(f.carriers, func(k client.ObjectKey) bool { return k.Name == name }) {
				t.Errorf("%s carries %s, and %v were named as carriers", name, id, f.carriers)
			}
		}
		f.mu.Lock()
		f.records = nil
		f.mu.Unlock()
		f.start(f.newPlanner())
		f.wait(time.Minute)
		if got := f.told(busv1.DecisionKind_DECISION_KIND_SCALE_UP); len(got) != 1 || len(got[0].GetVpsieNodes()) != 3 {
			t.Errorf("the next planner puts %v on record, want the launch of three", got)
		}
	})
}

// TestUnclearLaunchIsToldOnceItIsSeen loses the answers to all writes of a launch: nothing is on record before a machine is seen that
// carries the record, and nothing where none was written.
func TestUnclearLaunchIsToldOnceItIsSeen(t *testing.T) {
	for name, written := range map[string]bool{"Written": true, "NotWritten": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, group())
				f.unclear = &written
				f.run()
				f.wait(time.Second)
				f.pending(1, 0, 3000)
				f.wait(2 * time.Second)
				f.mu.Lock()
				f.unclear = nil
				f.mu.Unlock()
				f.wait(2 * time.Minute)
				ids := map[string]bool{}
				for _, m := range f.machines() {
					ids[m.Spec.DecisionID] = true
				}
				told := map[string]bool{}
				for _, r := range f.told(busv1.DecisionKind_DECISION_KIND_SCALE_UP) {
					told[r.GetId()] = true
				}
				if len(ids) == 0 || !maps.Equal(ids, told) {
					t.Errorf("machines are of the decisions %v, and on record are %v", ids, told)
				}
				if recent := f.group().Status.RecentDecisions; len(recent) != len(ids) {
					t.Errorf("the group shows %v, want %d decisions", recent, len(ids))
				}
				if got := f.eventsAbout("p0 TriggeredScaleUp"); len(got) != len(ids) {
					t.Errorf("events of the pod %v, want %d", got, len(ids))
				}
				if got := f.metric("vpsie_scaling_machines_total", string(reason.ScaleUp)); int(got) != len(f.machines()) {
					t.Errorf("%v machines are counted, want %d", got, len(f.machines()))
				}
			})
		})
	}
}

// TestRecordThatMakesRoomIsHandedOver retires a machine that carries as many records as it may.
func TestRecordThatMakesRoomIsHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.ScaleDown.UnneededFor = &metav1.Duration{Duration: time.Second} }))
		machine := f.inUse("n1", nil)
		for i := range 5 {
			record := &busv1.DecisionRecord{
				Id: fmt.Sprint(i), Kind: busv1.DecisionKind_DECISION_KIND_ADOPTION, Subject: &busv1.Subject{Kind: "VPSieNode", Name: "n1"}, NodeGroup: "default/g",
				Reason: string(reason.AdoptNodeProof), Message: strings.Repeat("x", 22<<10), Parameters: map[string]string{reason.ParamMachine: "mn1", reason.ParamNode: "n1"},
			}
			if err := facts.Attach(machine, facts.Decision(t.Context(), "default", "g", record)); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.kube.Create(t.Context(), machine); err != nil {
			t.Fatal(err)
		}
		f.run()
		f.wait(time.Minute)
		if m := f.machines()[0]; m.Spec.Retirement == nil || len(facts.Attached(&m)) != 4 {
			t.Errorf("the machine is retired %+v and carries %d records, want four", m.Spec.Retirement, len(facts.Attached(&m)))
		}
		if want := []string{"0", "1"}; !slices.Equal(f.displaced, want) {
			t.Errorf("records %v are handed over, want %v", f.displaced, want)
		}
	})
}

// TestRefusedWriteCarriesOn has the record travel with the first intent that is surely written.
func TestRefusedWriteCarriesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.refuse = 1
		f.run()
		f.wait(time.Second)
		f.pending(3, 0, 3000)
		f.wait(5 * time.Second)
		decisions, carried := map[string]bool{}, map[string]bool{}
		for _, m := range f.machines() {
			decisions[m.Spec.DecisionID] = true
		}
		for _, id := range f.carried() {
			carried[id] = true
		}
		if !maps.Equal(decisions, carried) {
			t.Errorf("machines of the decisions %v carry records of %v", decisions, carried)
		}
		ups := f.told(busv1.DecisionKind_DECISION_KIND_SCALE_UP)
		if r := ups[0]; len(r.GetVpsieNodes()) != 2 || r.GetMonthlyPriceEffectMicros() != 80_000_000 || r.GetParameters()[reason.ParamNodes] != "2" || !strings.Contains(r.GetMessage(), "2 of 3") {
			t.Errorf("record %v, want it to name the two machines that were written", r)
		}
	})
}

// TestLaunchWithoutCarrierIsLeftToTheNextPlan: each of a thousand writes that are refused would cost time in which nothing is planned.
func TestLaunchWithoutCarrierIsLeftToTheNextPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.MaxNodes = 50 }))
		f.refuse = 3
		f.run()
		f.wait(time.Second)
		f.pending(20, 0, 3000)
		f.wait(500 * time.Millisecond)
		if got := len(f.machines()); got != 0 {
			t.Fatalf("%d machines were written though none surely carries the record", got)
		}
		f.wait(time.Minute)
		if got, carried := len(f.machines()), len(f.carried()); got != 20 || carried == 0 {
			t.Errorf("%d machines and %d records in the end, want 20 and one", got, carried)
		}
	})
}

// TestRefusalIsAnnouncedOnceThereIsRoom tells nobody of a refusal that is not on record, and tells it later.
func TestRefusalIsAnnouncedOnceThereIsRoom(t *testing.T) {
	for name, full := range map[string]bool{"NoRoom": true, "RoomForEventsOnly": false} {
		t.Run(name, func(t *testing.T) { refuseUntilThereIsRoom(t, full) })
	}
}

func refuseUntilThereIsRoom(t *testing.T, full bool) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.full, f.taken = full, true
		f.run()
		f.wait(time.Second)
		f.pending(1, 0, 100_000)
		f.wait(time.Minute)
		if got, c := f.eventsAbout(""), f.capacity(); len(got) > 0 || c.Status == metav1.ConditionFalse {
			t.Fatalf("events %v and condition %+v about a refusal that is not on record", got, c)
		}
		f.mu.Lock()
		f.full, f.taken = false, false
		f.mu.Unlock()
		f.wait(time.Minute)
		if got := f.told(busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP); len(got) != 1 || len(f.eventsAbout("")) == 0 {
			t.Errorf("records %v, events %v, want one record and an event", got, f.eventsAbout(""))
		}
	})
}
