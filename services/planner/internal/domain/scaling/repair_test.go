package scaling_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

// broken makes n of the group's machines, of which the first fail.
func (w *world) broken(g *v1beta1.NodeGroup, n, failing int) {
	for i := range n {
		name := fmt.Sprintf("%s%d", g.Name, i)
		w.Machine(g, name, v1beta1.PhaseReady, map[scheduling.ShapeID]int{w.Shape("busy", 3000, 64): 1})
		w.Nodes[name].Ready = i >= failing
	}
}

// watched is a memory in which the breaker has been closed, and these machines broken, for an hour.
func watched(groups []string, machines ...string) scaling.Memory {
	m := scaling.Memory{Outage: outage.Watch{outage.Cluster: noon.Add(-time.Hour)}, Unready: map[string]time.Time{}}
	for _, g := range groups {
		m.Outage["default/"+g] = noon.Add(-time.Hour)
	}
	for _, name := range machines {
		m.Unready["default/"+name] = noon.Add(-time.Hour)
	}
	return m
}

// TestHealthyScaleUpIsNoTrouble looks at a machine from its launch until its Node is Ready, as the feed and the provisioner tell of it.
func TestHealthyScaleUpIsNoTrouble(t *testing.T) {
	registered := func(w *world, m *v1beta1.VPSieNode) {
		m.Status.Identifier, m.Status.Hostname, m.Status.NodeName = "id", "n", "n"
		w.Nodes["n"] = &scheduling.Node{Name: "n", Allocatable: scheduling.Resources{}}
	}
	for name, change := range map[string]func(w *world, m *v1beta1.VPSieNode){
		"Launching":  func(*world, *v1beta1.VPSieNode) {},
		"Listed":     func(_ *world, m *v1beta1.VPSieNode) { m.Status.Phase, m.Status.Identifier = v1beta1.PhaseJoining, "id" },
		"Registered": func(w *world, m *v1beta1.VPSieNode) { registered(w, m); m.Status.Phase = v1beta1.PhaseJoining },
		"ReadyBeforeTheFeedShowsIt": func(w *world, m *v1beta1.VPSieNode) {
			registered(w, m)
			m.Status.Phase, m.Status.ReadyAt = v1beta1.PhaseReady, new(metav1.NewTime(noon.Add(time.Second-1)))
		},
		"Ready": func(w *world, m *v1beta1.VPSieNode) {
			registered(w, m)
			m.Status.Phase, m.Status.ReadyAt = v1beta1.PhaseReady, new(metav1.NewTime(noon.Add(time.Second-1)))
			w.Nodes["n"].Ready = true
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := group("g")
			w := newWorld(g)
			change(w, w.Machine(g, "m", v1beta1.PhaseLaunching, nil))
			plan := propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon)
			if c := condition(plan, "default/g", v1beta1.ConditionNodesHealthy); c.Status != scaling.True {
				t.Errorf("NodesHealthy is %+v, want it True", c)
			}
		})
	}
}

func TestRepair(t *testing.T) {
	long := watched([]string{"g", "h"}, "g0", "g1", "h0")
	fixed := func(change func(w *world, g *v1beta1.NodeGroup)) func(*world, *v1beta1.NodeGroup, *v1beta1.NodeGroup) {
		return func(w *world, g, _ *v1beta1.NodeGroup) {
			w.broken(g, 10, 1)
			if change != nil {
				change(w, g)
			}
		}
	}
	tests := map[string]struct {
		why    string
		build  func(w *world, g, h *v1beta1.NodeGroup)
		memory scaling.Memory
		want   []string
		kept   map[string]reason.Code
	}{
		"NotReadyForLongEnough": {build: fixed(nil), memory: long, want: []string{"g0"}},
		"NotYet": {
			why: "time that was not watched does not count", build: fixed(nil), memory: watched([]string{"g", "h"}),
			kept: map[string]reason.Code{"g0": reason.NoScaleDownNodeNotReady},
		},
		"AsLongAsTheGroupSays": {
			build: fixed(func(_ *world, g *v1beta1.NodeGroup) {
				g.Spec.ScaleDown.UnreadyFor = &metav1.Duration{Duration: 2 * time.Hour}
			}), memory: long, kept: map[string]reason.Code{"g0": reason.NoScaleDownNodeNotReady},
		},
		"NodeIsMissing": {
			build: fixed(func(w *world, _ *v1beta1.NodeGroup) { delete(w.Nodes, "g0") }), memory: long, want: []string{"g0"},
		},
		"FirstReadyAMomentAgo": {
			why: "the feed may not show the Node yet",
			build: fixed(func(w *world, _ *v1beta1.NodeGroup) {
				delete(w.Nodes, "g0")
				w.Machines[0].Status.ReadyAt = new(metav1.NewTime(noon.Add(-time.Second)))
			}), memory: long,
		},
		"FirstReadyAtTheEndOfThisSecond": {
			why: "the provisioner rounds up, and the feed still shows the Node not Ready",
			build: fixed(func(w *world, _ *v1beta1.NodeGroup) {
				w.Machines[0].Status.ReadyAt = new(metav1.NewTime(noon.Add(900 * time.Millisecond)))
			}), memory: long, kept: map[string]reason.Code{"g0": reason.NoScaleDownNodeNotReady},
		},
		"FirstReadyLongAfterNow": {
			why: "a clock that is wrong must not keep a broken machine for as long as it is wrong",
			build: fixed(func(w *world, _ *v1beta1.NodeGroup) {
				w.Machines[0].Status.ReadyAt = new(metav1.NewTime(noon.Add(time.Hour)))
			}), memory: long, want: []string{"g0"},
		},
		"OneAtATimeInAGroup": {
			build:  func(w *world, g, h *v1beta1.NodeGroup) { w.broken(g, 10, 2); w.broken(h, 5, 1) },
			memory: long, want: []string{"g0", "h0"}, kept: map[string]reason.Code{"g1": reason.NoRepairOneAtATime},
		},
		"AnotherIsBeingReplaced": {
			build: fixed(func(w *world, _ *v1beta1.NodeGroup) {
				w.Machines[9].Spec.Retirement = &v1beta1.Retirement{Kind: v1beta1.RetireRepair}
			}), memory: long, kept: map[string]reason.Code{"g0": reason.NoRepairOneAtATime},
		},
		"ReplacementHasNotJoined": {
			build: fixed(func(w *world, g *v1beta1.NodeGroup) {
				w.Machine(g, "next", v1beta1.PhaseLaunching, nil).CreationTimestamp = metav1.NewTime(noon)
			}), memory: func() scaling.Memory {
				m := watched([]string{"g"}, "g0")
				m.Repaired = map[string]time.Time{"default/g": noon.Add(-time.Minute)}
				return m
			}(), kept: map[string]reason.Code{"g0": reason.NoRepairOneAtATime},
		},
		"ManyFailTogether": {
			why:   "replacing them would make an outage worse",
			build: func(w *world, g, _ *v1beta1.NodeGroup) { w.broken(g, 10, 3) }, memory: long,
			kept: map[string]reason.Code{"g0": reason.NoRepairFailingTogether, "g1": reason.NoRepairFailingTogether, "g2": reason.NoScaleDownNodeNotReady},
		},
		"ManyFailedAMomentAgo": {
			build: fixed(nil), memory: func() scaling.Memory {
				m := watched([]string{"g"}, "g0")
				delete(m.Outage, "default/g")
				return m
			}(), kept: map[string]reason.Code{"g0": reason.NoRepairFailingTogether},
		},
		"ManyNodesAreMissing": {
			why: "nothing runs there, so one is tried at a time",
			build: func(w *world, g, _ *v1beta1.NodeGroup) {
				w.broken(g, 10, 3)
				for _, name := range []string{"g0", "g1", "g2"} {
					delete(w.Nodes, name)
				}
			}, memory: watched([]string{"g"}, "g0", "g1", "g2"), want: []string{"g0"},
			kept: map[string]reason.Code{"g1": reason.NoRepairFailingTogether, "g2": reason.NoRepairFailingTogether},
		},
		"ManyNodesAreMissingAndOneWasTried": {
			build: func(w *world, g, _ *v1beta1.NodeGroup) {
				w.broken(g, 10, 3)
				for _, name := range []string{"g0", "g1", "g2"} {
					delete(w.Nodes, name)
				}
			}, memory: func() scaling.Memory {
				m := watched([]string{"g"}, "g0")
				m.Tried = map[string]time.Time{"default/g": noon.Add(-14 * time.Minute)}
				return m
			}(), kept: map[string]reason.Code{"g0": reason.NoRepairFailingTogether, "g1": reason.NoScaleDownNodeNotReady, "g2": reason.NoScaleDownNodeNotReady},
		},
		"OthersOfTheClusterFail": {
			why: "an outage takes Nodes that are not ours as well",
			build: fixed(func(w *world, _ *v1beta1.NodeGroup) {
				for i := range 10 {
					w.Nodes[fmt.Sprintf("other%d", i)] = &scheduling.Node{Name: fmt.Sprintf("other%d", i)}
				}
			}), memory: long, kept: map[string]reason.Code{"g0": reason.NoRepairFailingTogether},
		},
		"FeedIsBehind": {
			why: "the provisioner sees the Node Ready",
			build: fixed(func(w *world, _ *v1beta1.NodeGroup) {
				delete(w.Nodes, "g0")
				w.Machines[0].Status.ReadySince = new(metav1.NewTime(noon))
			}), memory: long,
		},
		"NodeIsProtected": {
			build: fixed(func(w *world, _ *v1beta1.NodeGroup) { w.Nodes["g0"].Protection = reason.NoScaleDownNodeProtected }), memory: long,
			kept: map[string]reason.Code{"g0": reason.NoScaleDownNodeProtected},
		},
		"ScaleDownIsOff": {
			build: fixed(func(_ *world, g *v1beta1.NodeGroup) { g.Spec.ScaleDown.Enabled = new(false) }), memory: long,
			kept: map[string]reason.Code{"g0": reason.NoScaleDownDisabled},
		},
		"GroupIsPaused": {
			build: fixed(func(_ *world, g *v1beta1.NodeGroup) { g.Spec.Mode = v1beta1.ModePaused }), memory: long,
			kept: map[string]reason.Code{"g0": reason.NoScaleDownGroupPaused},
		},
		"APIIsAway": {
			build: fixed(func(w *world, _ *v1beta1.NodeGroup) { w.Groups[0].Catalogue.Health = fleet.Unavailable }), memory: long,
			kept: map[string]reason.Code{"g0": reason.NoScaleUpAPIUnavailable},
		},
		"LastRepairWasAborted": {
			why: "a pod that must not be moved would have its node cordoned every few minutes",
			build: fixed(func(w *world, _ *v1beta1.NodeGroup) {
				w.Machines[0].Status.DrainFailedAt = new(metav1.NewTime(noon.Add(-10 * time.Minute)))
			}), memory: long, kept: map[string]reason.Code{"g0": reason.NoScaleDownDrainFailed},
		},
		"GroupIsGone": {
			build: fixed(func(w *world, _ *v1beta1.NodeGroup) { w.Machines[0].Spec.NodeGroup = "gone" }), memory: long,
			kept: map[string]reason.Code{"g0": reason.NoScaleDownGroupGone},
		},
		"GroupAndNodeAreGone": {
			build: fixed(func(w *world, _ *v1beta1.NodeGroup) {
				w.Machines[0].Spec.NodeGroup = "gone"
				delete(w.Nodes, "g0")
			}), memory: long, kept: map[string]reason.Code{"g0": reason.NoScaleDownGroupGone},
		},
		"EverythingIsPaused": {build: fixed(func(w *world, _ *v1beta1.NodeGroup) { w.Paused = "paused" }), memory: long},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g, h := group("g"), group("h")
			w := newWorld(g, h)
			tc.build(w, g, h)
			plan := propose(w.Snapshot, scaling.DefaultPolicy, tc.memory, noon)
			kept := map[string]reason.Code{}
			for node, refusal := range plan.Kept {
				if n := w.Nodes[node]; !strings.HasPrefix(node, "other") && (n == nil || !n.Ready) {
					kept[node] = refusal.Code
				}
			}
			if diff := cmp.Diff(tc.want, retired(plan)); diff != "" {
				t.Errorf("repaired (-want +got):\n%s%s", diff, tc.why)
			}
			if diff := cmp.Diff(tc.kept, kept, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("kept (-want +got):\n%s%s", diff, tc.why)
			}
			for _, r := range plan.Retirements {
				if r.Kind != v1beta1.RetireRepair || !strings.HasPrefix(r.Message, "repair "+r.Node+": its Node has ") || !strings.HasSuffix(r.Message, " for 1h0m0s; its machine is retired") {
					t.Errorf("retirement %+v, want a repair that says so", r)
				}
			}
		})
	}
}

func TestRepairMayGoBelowTheMinimumAndIsMadeUpFor(t *testing.T) {
	g := group("g", func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = 1 })
	w := newWorld(g)
	w.broken(g, 1, 1)
	plan := propose(w.Snapshot, scaling.DefaultPolicy, watched([]string{"g"}, "g0"), noon)
	if got := retired(plan); len(got) != 1 {
		t.Fatalf("repaired %v, want g0", got)
	}
	w.Machines[0].Spec.Retirement = &v1beta1.Retirement{Kind: plan.Retirements[0].Kind}
	next := propose(w.Snapshot, scaling.DefaultPolicy, plan.Memory, noon.Add(time.Second))
	if got := launched(next); got["default/g/small"] != 1 {
		t.Errorf("launched %v, want one in place of the broken machine", got)
	}
}

func TestFailingTogetherIsOnTheGroup(t *testing.T) {
	g := group("g")
	w := newWorld(g)
	w.broken(g, 10, 4)
	plan := propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon)
	if c := condition(plan, "default/g", v1beta1.ConditionNodesHealthy); c.Status != scaling.False || c.Reason != reason.NoRepairFailingTogether.Condition() {
		t.Errorf("condition %+v", c)
	}
}

// overdue adds machines of which the provisioner says that they should have joined by now.
func (w *world) overdue(g *v1beta1.NodeGroup, n int) {
	for i := range n {
		m := w.Machine(g, fmt.Sprintf("late%d", i), v1beta1.PhaseJoining, nil)
		m.Status.Identifier, m.Status.Hostname = "id-"+m.Name, m.Name
		m.Status.OverdueSince = new(metav1.NewTime(noon.Add(-time.Minute)))
	}
}

// TestMachineThatTheFeedDoesNotShowIsNotLaunchedAgain has the feed be behind for long.
func TestMachineThatTheFeedDoesNotShowIsNotLaunchedAgain(t *testing.T) {
	g := group("g")
	w := newWorld(g)
	m := w.Machine(g, "n1", v1beta1.PhaseReady, nil)
	m.Status.ReadyAt = new(metav1.NewTime(noon.Add(-10 * time.Minute)))
	m.Status.ReadySince = new(metav1.NewTime(noon))
	delete(w.Nodes, "n1")
	w.Wait(w.Shape("web", 3000, 64), 1)
	if got := launched(propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon)); len(got) > 0 {
		t.Errorf("launched %v for a pod that the machine takes or has taken", got)
	}
}

func TestPodsDoNotWaitForMachinesThatNeverJoin(t *testing.T) {
	g := group("g")
	w := newWorld(g)
	w.overdue(g, 1)
	w.Wait(w.Shape("web", 3000, 64), 1)
	plan := propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon)
	if got := launched(plan); got["default/g/small"] != 1 {
		t.Errorf("launched %v, want a machine for the pod", got)
	}
}

// TestTimesOfTheProvisionerAreNotCompared has a machine whose times are those of a clock that is set wrong.
func TestTimesOfTheProvisionerAreNotCompared(t *testing.T) {
	g := group("g")
	w := newWorld(g)
	m := w.Machine(g, "n1", v1beta1.PhaseJoining, nil)
	m.Spec.LaunchDeadline = metav1.Duration{Duration: 15 * time.Minute}
	m.Status.Identifier, m.Status.Hostname, m.Status.LaunchedAt = "m1", "n1", new(metav1.NewTime(noon.Add(-24*time.Hour)))
	m.Status.Launches = []v1beta1.LaunchAttempt{{Number: 1, RequestedAt: metav1.NewTime(noon.Add(-24 * time.Hour)), Outcome: v1beta1.LaunchAccepted}}
	w.Wait(w.Shape("web", 3000, 64), 1)
	if got := launched(propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon)); len(got) > 0 {
		t.Errorf("launched %v for a pod that the machine on its way will take", got)
	}
}

func TestOneMachineAtATimeIsTriedWhileNoneJoin(t *testing.T) {
	g := group("g", offerings(smallID))
	w := newWorld(g)
	w.overdue(g, 4)
	web := w.Shape("web", 3000, 64)
	w.Wait(web, 5)
	plan := propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon)
	if got := launched(plan); got["default/g/small"] != 1 {
		t.Errorf("launched %v, want one machine to try", got)
	}
	if r := plan.Shapes[web].Refusal; r.Code != reason.NoScaleUpFailingTogether {
		t.Errorf("refusal %+v", r)
	}
	w.Machine(g, "next", v1beta1.PhaseLaunching, nil)
	if got := launched(propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon)); len(got) > 0 {
		t.Errorf("launched %v beside the one that is on its way", got)
	}
}

func TestPauseHoldsEverything(t *testing.T) {
	g := group("g", func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = 3 })
	w := newWorld(g)
	w.Machine(g, "n1", v1beta1.PhaseReady, nil)
	web := w.Shape("web", 3900, 64)
	w.Wait(web, 3)
	w.Paused = "everything is paused (etcd)"
	memory := scaling.Memory{Unneeded: map[string]time.Time{"n1": noon.Add(-time.Hour)}}
	plan := propose(w.Snapshot, scaling.DefaultPolicy, memory, noon)
	if len(plan.Launches)+len(plan.Retirements)+len(plan.Memory.Unneeded) > 0 {
		t.Errorf("plan %+v during a pause", plan)
	}
	if r := plan.Shapes[web].Refusal; r.Code != reason.HoldPaused || !strings.Contains(r.Message, "etcd") {
		t.Errorf("refusal %+v, want it to tell of the pause", r)
	}
	if c := condition(plan, "default/g", v1beta1.ConditionScalingActive); c.Status != scaling.False || c.Reason != reason.HoldPaused.Condition() {
		t.Errorf("condition %+v", c)
	}
	if c := condition(plan, "default/g", v1beta1.ConditionReady); c.Status != scaling.True {
		t.Errorf("condition %+v; a pause does not make a good specification bad", c)
	}
}

func TestBackoffSaysUntilWhen(t *testing.T) {
	w := newWorld(group("g"))
	for i := range w.Groups[0].Catalogue.Offerings {
		o := &w.Groups[0].Catalogue.Offerings[i]
		o.BackoffUntil, o.BackoffReason, o.BackoffMessage = noon.Add(4*time.Minute+time.Second), reason.NoScaleUpOfferingSoldOut, "sold out"
	}
	web := w.Shape("web", 900, 512)
	w.Wait(web, 1)
	var messages []string
	for _, now := range []time.Time{noon, noon.Add(time.Minute)} {
		plan := propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, now)
		messages = append(messages, condition(plan, "default/g", v1beta1.ConditionCapacityAvailable).Message)
	}
	if !strings.Contains(messages[0], "at 2026-11-01T12:05Z") || messages[0] != messages[1] {
		t.Errorf("messages %q, want both to name the minute, and the same", messages)
	}
}
