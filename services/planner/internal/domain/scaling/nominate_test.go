package scaling_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

// awaited adds a machine that VPSie lists under a name, and that was launched for so many pods of a shape.
func (w *world) awaited(g *v1beta1.NodeGroup, name string, id scheduling.ShapeID, pods int) *v1beta1.VPSieNode {
	m := w.Machine(g, name, v1beta1.PhaseJoining, nil)
	m.Status.Identifier, m.Status.Hostname = "id-"+name, name
	m.Annotations = map[string]string{
		v1beta1.AnnotationPlannedPods: fleet.DescribePlannedPods(map[string]int{w.Items[id].Placement: pods}),
		v1beta1.AnnotationNominations: v1beta1.NominationsPending,
	}
	return m
}

// registered gives a machine a Node that is not Ready yet.
func (w *world) registered(m *v1beta1.VPSieNode, g *v1beta1.NodeGroup) *v1beta1.VPSieNode {
	labels := scheduling.NodeLabels(g, smallID, "small")
	labels[corev1.LabelHostname] = m.Name
	w.Nodes[m.Name] = &scheduling.Node{Name: m.Name, Labels: labels, Allocatable: scheduling.Resources{
		corev1.ResourceCPU: 3900, corev1.ResourceMemory: 8<<30 - 256<<20, corev1.ResourceEphemeralStorage: 72 << 30, corev1.ResourcePods: 110,
	}}
	return m
}

// opened makes the Node of a machine that was just launched Ready.
func (w *world) opened(m *v1beta1.VPSieNode, g *v1beta1.NodeGroup, ago time.Duration, pods map[scheduling.ShapeID]int) {
	w.Machines = w.Machines[:len(w.Machines)-1]
	ready := w.Machine(g, m.Name, v1beta1.PhaseReady, pods)
	ready.Annotations = m.Annotations
	ready.Status.ReadyAt = new(metav1.NewTime(noon.Add(-ago)))
}

func nominations(p scaling.Plan) map[string]string {
	out := map[string]string{}
	for _, n := range p.Nominations {
		out[n.Pod.Name] = n.Node
	}
	return out
}

func nominatedTo(p *scheduling.Pending, node string, pods ...int) {
	for _, i := range pods {
		p.Sample[i].NominatedNode = node
	}
}

func TestNominations(t *testing.T) {
	none := map[string]string{}
	tests := map[string]struct {
		why  string
		set  func(w *world, g *v1beta1.NodeGroup, web scheduling.ShapeID)
		off  bool
		want map[string]string
		// open says that the machine's Node may open.
		open bool
	}{
		"PodsOfANodeThatIsThere": {
			set: func(w *world, g *v1beta1.NodeGroup, web scheduling.ShapeID) {
				w.Wait(web, 3)
				w.registered(w.awaited(g, "n1", web, 3), g)
			},
			want: map[string]string{"web-0": "n1", "web-1": "n1", "web-2": "n1"},
		},
		"MachineWithoutANode": {
			why: "kube-scheduler clears nominations of pods that it finds no place for",
			set: func(w *world, g *v1beta1.NodeGroup, web scheduling.ShapeID) {
				w.Wait(web, 3)
				w.awaited(g, "n1", web, 3)
			},
			want: none,
		},
		"NominationsUnderway": {
			why: "the Node stays closed until they are written",
			set: func(w *world, g *v1beta1.NodeGroup, web scheduling.ShapeID) {
				w.Wait(web, 3)
				nominatedTo(w.Pending[web], "n1", 0, 1, 2)
				w.registered(w.awaited(g, "n1", web, 3), g)
				w.Nominating = map[string]bool{"n1": true}
			},
			want: none,
		},
		"HalfEmptyMachine": {
			why: "whoever fills it, the rest fits too",
			set: func(w *world, g *v1beta1.NodeGroup, web scheduling.ShapeID) {
				w.Wait(web, 1)
				w.registered(w.awaited(g, "n1", web, 1), g)
			},
			want: none, open: true,
		},
		"NominationsThatStandAreKept": {
			set: func(w *world, g *v1beta1.NodeGroup, web scheduling.ShapeID) {
				w.Wait(web, 3)
				nominatedTo(w.Pending[web], "n1", 1, 2)
				w.registered(w.awaited(g, "n1", web, 3), g)
			},
			want: map[string]string{"web-0": "n1"},
		},
		"AllNominated": {
			set: func(w *world, g *v1beta1.NodeGroup, web scheduling.ShapeID) {
				w.Wait(web, 3)
				nominatedTo(w.Pending[web], "n1", 0, 1, 2)
				w.registered(w.awaited(g, "n1", web, 3), g)
			},
			want: none, open: true,
		},
		"MachineThatIsGone": {
			why: "its pods are planned anew",
			set: func(w *world, _ *v1beta1.NodeGroup, web scheduling.ShapeID) {
				w.Wait(web, 3)
				nominatedTo(w.Pending[web], "n1", 0, 2)
			},
			want: map[string]string{"web-0": "", "web-2": ""},
		},
		"MachineThatLeaves": {
			set: func(w *world, g *v1beta1.NodeGroup, web scheduling.ShapeID) {
				w.Wait(web, 3)
				nominatedTo(w.Pending[web], "n1", 0)
				w.awaited(g, "n1", web, 3).Spec.Retirement = &v1beta1.Retirement{}
			},
			want: map[string]string{"web-0": ""},
		},
		"RoomThatOthersTook": {
			why: "a pod that does not fit there any more would keep room that it cannot use",
			set: func(w *world, g *v1beta1.NodeGroup, web scheduling.ShapeID) {
				w.Wait(web, 2)
				nominatedTo(w.Pending[web], "n1", 0, 1)
				w.opened(w.awaited(g, "n1", web, 3), g, time.Second, map[scheduling.ShapeID]int{web: 2})
			},
			want: map[string]string{"web-1": ""}, open: true,
		},
		"OldNode": {
			why: "kube-scheduler has had its chance, and finds room by itself",
			set: func(w *world, g *v1beta1.NodeGroup, web scheduling.ShapeID) {
				w.Wait(web, 3)
				w.opened(w.awaited(g, "n1", web, 3), g, time.Hour, nil)
			},
			want: none, open: true,
		},
		"SwitchedOff": {
			set: func(w *world, g *v1beta1.NodeGroup, web scheduling.ShapeID) {
				w.Wait(web, 3)
				nominatedTo(w.Pending[web], "n1", 0)
				w.registered(w.awaited(g, "n1", web, 3), g)
			},
			off: true, want: map[string]string{"web-0": ""}, open: true,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := group("g", offerings(smallID))
			w := newWorld(g)
			web := w.Shape("web", 1200, 256)
			tc.set(w, g, web)
			policy := scaling.DefaultPolicy
			policy.Nominate = !tc.off
			plan := propose(w.Snapshot, policy, scaling.Memory{}, noon)
			if diff := cmp.Diff(tc.want, nominations(plan)); diff != "" {
				t.Errorf("(-want +got):\n%s%s", diff, tc.why)
			}
			if got := len(plan.Nominated) > 0; got != tc.open {
				t.Errorf("the Node may open: %v, want %v", got, tc.open)
			}
		})
	}
}

// TestNodesThatOpenFirstAreNominatedFirst, each with its largest pods first: those that are tried while theirs is closed must find no room.
func TestNodesThatOpenFirstAreNominatedFirst(t *testing.T) {
	g := group("g", offerings(smallID))
	w := newWorld(g)
	big, web := w.Shape("big", 2400, 256), w.Shape("web", 1200, 256)
	w.Wait(big, 1)
	w.Wait(web, 4)
	w.registered(w.awaited(g, "a", web, 3), g)
	m := w.awaited(g, "b", web, 1)
	m.Annotations[v1beta1.AnnotationPlannedPods] = fleet.DescribePlannedPods(map[string]int{w.Items[big].Placement: 1, w.Items[web].Placement: 1})
	w.opened(m, g, time.Second, nil)
	var order []string
	for _, n := range planOf(w).Nominations {
		order = append(order, n.Pod.Name+" "+n.Node)
	}
	want := []string{"big-0 b", "web-0 b", "web-1 a", "web-2 a", "web-3 a"}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPlanFollowsNominations: pods that were given room on a machine on its way after it was launched stay there.
func TestPlanFollowsNominations(t *testing.T) {
	g := group("g", offerings(smallID))
	w := newWorld(g)
	web, late := w.Shape("web", 1200, 256), w.Shape("late", 1200, 128)
	w.Wait(web, 2)
	w.Wait(late, 1)
	nominatedTo(w.Pending[late], "n2", 0)
	w.awaited(g, "n1", web, 2)
	w.awaited(g, "n2", web, 0)
	plan := planOf(w)
	if len(launched(plan)) != 0 || nominations(plan)["late-0"] != "" {
		t.Errorf("launched %v, nominations %v; late-0 stays where it is nominated", launched(plan), nominations(plan))
	}
	for _, n := range plan.Nominations {
		if n.Pod.Name == "late-0" {
			t.Errorf("late-0 is nominated anew: %v", n)
		}
	}
}

// TestNominationsCountUntilTheSchedulerHasSettled: what it has not bound by then finds no place there, whatever room there is.
func TestNominationsCountUntilTheSchedulerHasSettled(t *testing.T) {
	for name, tc := range map[string]struct {
		boundAgo time.Duration
		launched int
	}{
		"Binding": {time.Second, 0},
		"Settled": {3 * time.Second, 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := group("g", offerings(smallID))
			w := newWorld(g)
			web := w.Shape("web", 1200, 256, func(s *scheduling.Shape) {
				s.Namespace, s.Labels = "default", map[string]string{"app": "web"}
				apart := corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: s.Labels}}
				s.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{apart}}}
			})
			w.Wait(web, 1)
			nominatedTo(w.Pending[web], "n1", 0)
			w.opened(w.awaited(g, "n1", web, 2), g, 10*time.Second, map[scheduling.ShapeID]int{web: 1})
			plan := w.plan(scaling.Memory{Settling: scaling.Settling{Since: noon.Add(-10 * time.Second), Bound: 1, Changed: noon.Add(-tc.boundAgo)}})
			if got := launched(plan)["default/g/small"]; got != tc.launched {
				t.Errorf("%d machines are launched, want %d", got, tc.launched)
			}
		})
	}
}

// planOf is the plan for a world without a past, at noon.
func planOf(w *world) scaling.Plan {
	return propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon)
}

func TestPodsThatTheSchedulerHasNotLookedAt(t *testing.T) {
	ofPriority := func(p int32) func(*scheduling.Shape) { return func(s *scheduling.Shape) { s.Priority = p } }
	tests := map[string]struct {
		why      string
		pods     map[scheduling.ShapeID]int
		priority int32
		readyFor time.Duration
		arriving int
		want     int
	}{
		"RoomForSome":         {why: "the others can only be called unschedulable", pods: map[scheduling.ShapeID]int{"full": 1}, readyFor: time.Hour, arriving: 4, want: 1},
		"NoRoom":              {pods: map[scheduling.ShapeID]int{"full": 3}, readyFor: time.Hour, want: 1},
		"RoomOnANode":         {why: "kube-scheduler must have its chance", pods: map[scheduling.ShapeID]int{"full": 1}, readyFor: time.Hour, want: 0},
		"PreemptionMayHelp":   {why: "victims may make room", pods: map[scheduling.ShapeID]int{"full": 3}, priority: 10, readyFor: time.Hour, want: 0},
		"RoomThatIsSpokenFor": {why: "the machine was launched for other pods a moment ago", pods: nil, readyFor: time.Second, want: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := group("g", offerings(smallID))
			w := newWorld(g)
			full, web := w.Shape("full", 1200, 256), w.Shape("web", 1300, 256, ofPriority(tc.priority))
			m := w.Machine(g, "n1", v1beta1.PhaseReady, tc.pods)
			m.Status.ReadyAt = new(metav1.NewTime(noon.Add(-tc.readyFor)))
			if tc.pods == nil {
				m.Annotations = map[string]string{v1beta1.AnnotationPlannedPods: fleet.DescribePlannedPods(map[string]int{w.Items[full].Placement: 3})}
				w.Wait(full, 3)
			}
			w.Wait(web, 0)
			w.Pending[web].Arriving = max(tc.arriving, 2)
			plan := planOf(w)
			if got := launched(plan)["default/g/small"]; got != tc.want {
				t.Errorf("%d machines are launched, want %d; %s", got, tc.want, tc.why)
			}
			if fate := plan.Shapes[web]; tc.want == 0 && fate.Left > 0 && !fate.Arriving {
				t.Errorf("the pods are refused before kube-scheduler has looked at them: %+v", fate)
			}
		})
	}
}

func TestWhatABurstLaunches(t *testing.T) {
	for extent, want := range map[scaling.Extent]int{scaling.LaunchNothing: 0, scaling.LaunchSure: 3, scaling.LaunchAll: 4, scaling.LaunchSettled: 4} {
		t.Run(fmt.Sprint(extent), func(t *testing.T) {
			w := newWorld(group("g", offerings(smallID)))
			w.Wait(w.Shape("web", 1300, 256), 10)
			w.Extent = extent
			if got := launched(planOf(w))["default/g/small"]; got != want {
				t.Errorf("%d machines are launched for ten pods of which three fill one, want %d", got, want)
			}
		})
	}
}

// TestDisplacedPodsWaitUntilMachinesHaveFilled: which pods kube-scheduler leaves over shows once it had its chance.
func TestDisplacedPodsWaitUntilMachinesHaveFilled(t *testing.T) {
	g := group("g", offerings(smallID))
	for _, tc := range []struct {
		name string
		// ago is how long ago the machine was Ready, boundAgo when a pod was last bound; taint is on its Node.
		ago, boundAgo time.Duration
		taint         string
		want          int
		next          time.Duration
	}{
		{name: "nothing is known of what was bound before", ago: 2 * time.Second, want: 0, next: 3 * time.Second},
		{name: "pods are being bound", ago: 5 * time.Second, boundAgo: time.Second, want: 0, next: 2 * time.Second},
		{name: "nothing was bound for a while", ago: 5 * time.Second, boundAgo: 3 * time.Second, want: 1},
		{name: "nothing can be bound to a closed Node", ago: 5 * time.Second, boundAgo: 4 * time.Second, taint: v1beta1.TaintOpening, want: 0, next: 3 * time.Second},
		{name: "nor to one that counts as not ready", ago: 5 * time.Second, boundAgo: 4 * time.Second, taint: corev1.TaintNodeNotReady, want: 0, next: 3 * time.Second},
		{name: "the machine opened long ago", ago: 70 * time.Second, boundAgo: time.Second, want: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(g)
			web, other := w.Shape("web", 1300, 256), w.Shape("other", 1301, 256)
			w.Wait(web, 1)
			m := w.awaited(g, "n1", web, 3)
			w.opened(m, g, tc.ago, map[scheduling.ShapeID]int{web: 2, other: 1})
			if tc.taint != "" {
				w.Nodes["n1"].Taints = []corev1.Taint{{Key: tc.taint, Effect: corev1.TaintEffectNoSchedule}}
			}
			w.Extent = scaling.LaunchSettled
			var memory scaling.Memory
			if tc.boundAgo > 0 {
				memory.Settling = scaling.Settling{Bound: 3, Changed: noon.Add(-tc.boundAgo)}
			}
			plan := w.plan(memory)
			if got := launched(plan)["default/g/small"]; got != tc.want {
				t.Errorf("%d machines are launched, want %d", got, tc.want)
			}
			if fate := plan.Shapes[web]; tc.want == 0 && (fate.Held != 1 || fate.Refusal.Code != reason.HoldMachinesFilling) {
				t.Errorf("the pod's fate is %+v, want it to say why nothing is launched for it", fate)
			}
			if tc.want == 0 && !plan.Next.Equal(noon.Add(tc.next)) {
				t.Errorf("the next plan is due at %v, want after %s", plan.Next, tc.next)
			}
		})
	}
}

// TestMachinesThatKeepFillingDoNotHoldPodsBackForEver: pods that are bound one after the other prolong the wait up to a bound.
func TestMachinesThatKeepFillingDoNotHoldPodsBackForEver(t *testing.T) {
	g := group("g", offerings(smallID))
	for _, tc := range []struct {
		readyFor, since time.Duration
		want            int
	}{
		{readyFor: 50 * time.Second, since: 110 * time.Second, want: 0},
		{readyFor: time.Minute, since: time.Minute, want: 1},
		{readyFor: 50 * time.Second, since: 2 * time.Minute, want: 1},
	} {
		w := newWorld(g)
		web, other := w.Shape("web", 1300, 256), w.Shape("other", 1301, 256)
		w.Wait(web, 1)
		w.opened(w.awaited(g, "n1", web, 3), g, tc.readyFor, map[scheduling.ShapeID]int{web: 2, other: 1})
		w.Extent = scaling.LaunchSettled
		plan := w.plan(scaling.Memory{Settling: scaling.Settling{Since: noon.Add(-tc.since), Bound: 2, Changed: noon}})
		if got := launched(plan)["default/g/small"]; got != tc.want {
			t.Errorf("%d machines are launched %s after the machine was Ready and %s after the first was, want %d", got, tc.readyFor, tc.since, tc.want)
		}
	}
}

// TestNominationsToNodesThatJoinedLongAgoStand: kube-scheduler tries all pods again whenever one changes, so no plan of a moment takes the room away.
func TestNominationsToNodesThatJoinedLongAgoStand(t *testing.T) {
	g := group("g", offerings(smallID))
	w := newWorld(g)
	web, larger := w.Shape("web", 1200, 256), w.Shape("larger", 1900, 256)
	w.Machine(g, "n1", v1beta1.PhaseReady, nil).Status.ReadyAt = new(metav1.NewTime(noon.Add(-time.Hour)))
	w.Wait(web, 3)
	nominatedTo(w.Pending[web], "n1", 0, 1, 2)
	w.Wait(larger, 2)
	plan := planOf(w)
	if len(plan.Nominations) > 0 || launched(plan)["default/g/small"] != 1 {
		t.Errorf("nominations %v and launches %v; want those that stand kept, and a machine for the larger pods", plan.Nominations, launched(plan))
	}
}

// TestLongGoneBurstsHoldNothingBack: what a machine was launched for stays written on it.
func TestLongGoneBurstsHoldNothingBack(t *testing.T) {
	g := group("g", offerings(smallID))
	w := newWorld(g)
	web, other := w.Shape("web", 1300, 256), w.Shape("other", 1301, 256)
	w.opened(w.awaited(g, "n1", web, 3), g, time.Hour, map[scheduling.ShapeID]int{other: 3})
	w.opened(w.awaited(g, "n2", web, 3), g, 5*time.Second, map[scheduling.ShapeID]int{web: 2, other: 1})
	w.Wait(web, 1)
	w.Extent = scaling.LaunchSettled
	if plan := w.plan(scaling.Memory{Settling: scaling.Settling{Since: noon.Add(-5 * time.Second), Bound: 3, Changed: noon}}); len(plan.Launches) > 0 {
		t.Error("a machine is launched while one that opened a moment ago fills: the one of an hour ago is taken for what the pod waits for")
	}
}

// TestNodesWithNominatedPodsDoNotGo: kube-scheduler is about to bind them.
func TestNodesWithNominatedPodsDoNotGo(t *testing.T) {
	g := group("g", offerings(smallID), func(g *v1beta1.NodeGroup) { g.Spec.ScaleDown.UnneededFor = &metav1.Duration{} })
	w := newWorld(g)
	web := w.Shape("web", 1300, 256)
	w.Machine(g, "n1", v1beta1.PhaseReady, nil).Status.ReadyAt = new(metav1.NewTime(noon.Add(-time.Hour)))
	w.opened(w.awaited(g, "n2", web, 3), g, 5*time.Second, nil)
	w.Wait(web, 3)
	nominatedTo(w.Pending[web], "n2", 0, 1, 2)
	plan := planOf(w)
	if got := retired(plan); !slices.Equal(got, []string{"n1"}) {
		t.Errorf("retired are %v, want n1 alone", got)
	}
	if fate, report := plan.Shapes[web], plan.Groups["default/g"]; fate.Nominated != 3 || report.PendingPods != 3 {
		t.Errorf("%d pods count as nominated and %d as pending for the group, want three of each", fate.Nominated, report.PendingPods)
	}
}

// TestNominationsStandWhileOtherPodsAreBoundFirst: pods that are spread over zones are bound in any order, and the count of the moment
// speaks against some.
func TestNominationsStandWhileOtherPodsAreBoundFirst(t *testing.T) {
	zone := func(name string) func(*v1beta1.NodeGroup) {
		return func(g *v1beta1.NodeGroup) {
			g.Spec.Offerings, g.Spec.Cluster.Datacenter = []int64{smallID}, name
		}
	}
	a, b := group("a", zone("a")), group("b", zone("b"))
	w := newWorld(a, b)
	web := w.Shape("web", 800, 256, func(s *scheduling.Shape) {
		s.Labels = map[string]string{"app": "web"}
		s.Spread = []corev1.TopologySpreadConstraint{{
			TopologyKey: corev1.LabelTopologyZone, MaxSkew: 1, WhenUnsatisfiable: corev1.DoNotSchedule,
			LabelSelector: &metav1.LabelSelector{MatchLabels: s.Labels},
		}}
	})
	w.opened(w.awaited(a, "n1", web, 4), a, time.Second, map[scheduling.ShapeID]int{web: 2})
	w.opened(w.awaited(b, "n2", web, 4), b, time.Second, map[scheduling.ShapeID]int{w.Shape("other", 3000, 256): 1})
	w.Wait(web, 3)
	nominatedTo(w.Pending[web], "n1", 0, 1)
	plan := planOf(w)
	for _, n := range plan.Nominations {
		if n.Pod.NominatedNode != "" {
			t.Errorf("the nomination of %s to %s is changed to %q", n.Pod.Name, n.Pod.NominatedNode, n.Node)
		}
	}
	if got := nominations(plan); got["web-2"] != "n2" || len(launched(plan)) > 0 {
		t.Errorf("nominations %v and launches %v, want the third pod nominated to n2", got, launched(plan))
	}
}

// TestRestOfABurstWaitsForMachinesThatFill: while many pods are about to be placed, what a plan launches for a few of those that come meanwhile
// depends on which these are.
func TestRestOfABurstWaitsForMachinesThatFill(t *testing.T) {
	g := group("g", offerings(smallID))
	for name, tc := range map[string]struct {
		waiting, others, want int
		unrelated             bool
	}{
		"Few":                {waiting: 8, others: 1, want: 0},
		"Many":               {waiting: 8, others: 6, want: 2},
		"Lone":               {waiting: 0, others: 1, want: 1},
		"Unrelated":          {waiting: 8, others: 1, want: 1, unrelated: true},
		"FewThatFillMachine": {waiting: 8, others: 3, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(g)
			web, other := w.Shape("web", 100, 64), w.Shape("other", 1300, 256)
			if tc.waiting > 0 {
				w.Wait(web, tc.waiting)
			}
			m := w.awaited(g, "n1", web, 36)
			planned := map[string]int{w.Items[web].Placement: 36, w.Items[other].Placement: 3}
			if tc.unrelated {
				delete(planned, w.Items[other].Placement)
			}
			m.Annotations[v1beta1.AnnotationPlannedPods] = fleet.DescribePlannedPods(planned)
			w.opened(m, g, 5*time.Second, map[scheduling.ShapeID]int{web: 36 - tc.waiting})
			w.Wait(other, tc.others)
			plan := w.plan(scaling.Memory{Settling: scaling.Settling{Changed: noon}})
			if got := launched(plan)["default/g/small"]; got != tc.want {
				t.Errorf("%d machines are launched for %d pods while %d wait for one that opened, want %d", got, tc.others, tc.waiting, tc.want)
			}
		})
	}
}
