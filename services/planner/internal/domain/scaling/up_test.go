package scaling_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

// inBackoff builds a world in which every size of the group is in backoff for a reason.
func inBackoff(code reason.Code) func() *world {
	return func() *world {
		w := newWorld(group("a"))
		for i := range w.Groups[0].Catalogue.Offerings {
			o := &w.Groups[0].Catalogue.Offerings[i]
			o.BackoffUntil, o.BackoffReason, o.BackoffMessage = noon.Add(time.Minute), code, "nothing came"
		}
		w.Wait(w.Shape("web", 100, 64), 1)
		return w
	}
}

func TestScaleUp(t *testing.T) {
	tests := map[string]struct {
		why   string
		build func() *world
		want  map[string]int
		// refusal is the code for the only waiting shape, empty when it is served.
		refusal reason.Code
	}{
		"WholeBatchAtOnce": {
			why: "one decision launches for all pods, not one machine a pass",
			build: func() *world {
				w := newWorld(group("a", offerings(smallID)))
				w.Wait(w.Shape("web", 380, 512), 100)
				return w
			},
			want: map[string]int{"default/a/small": 10},
		},
		"MoneyIsALimit": {
			why: "a machine of $40 is there, and the second of three makes 120",
			build: func() *world {
				g := group("a", offerings(smallID), func(g *v1beta1.NodeGroup) { g.Spec.Limits.MonthlyCost = new(resource.MustParse("130")) })
				w := newWorld(g)
				w.Machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{"web": 1})
				w.Wait(w.Shape("web", 3000, 512), 3)
				return w
			},
			want: map[string]int{"default/a/small": 2}, refusal: reason.NoScaleUpGroupLimit,
		},
		"CPUIsALimit": {
			build: func() *world {
				w := newWorld(group("a", offerings(smallID), func(g *v1beta1.NodeGroup) { g.Spec.Limits.CPU = cpu(9) }))
				w.Wait(w.Shape("web", 3000, 512), 3)
				return w
			},
			want: map[string]int{"default/a/small": 2}, refusal: reason.NoScaleUpGroupLimit,
		},
		"UnknownSizeIsNotZero": {
			why: "what a limit leaves over is unknown while a machine's size is",
			build: func() *world {
				g := group("a", func(g *v1beta1.NodeGroup) { g.Spec.Limits.CPU = cpu(100) })
				w := newWorld(g)
				w.Machine(g, "n1", v1beta1.PhaseReady, nil).Spec.Offering = 77
				w.Nodes["n1"].Unschedulable = true
				w.Wait(w.Shape("web", 3000, 512), 1)
				return w
			},
			refusal: reason.NoScaleUpGroupLimit,
		},
		"FewPodsPerNode": {
			why: "the loss of one machine must not take down more than two",
			build: func() *world {
				w := newWorld(group("a", offerings(smallID), func(g *v1beta1.NodeGroup) { g.Spec.ScaleUp.MaxPodsPerNode = new(int32(2)) }))
				w.Wait(w.Shape("web", 100, 64), 6)
				return w
			},
			want: map[string]int{"default/a/small": 3},
		},
		"SpreadOverZonesOfTwoGroups": {
			build: func() *world {
				east, west := group("east", offerings(smallID)), group("west", offerings(smallID))
				east.Spec.Cluster.Datacenter, west.Spec.Cluster.Datacenter = "east", "west"
				w := newWorld(east, west)
				w.Wait(w.Shape("web", 100, 64, func(s *scheduling.Shape) {
					s.Labels = map[string]string{"app": "web"}
					s.Spread = []corev1.TopologySpreadConstraint{{
						MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: &metav1.LabelSelector{MatchLabels: s.Labels},
					}}
				}), 4)
				return w
			},
			want: map[string]int{"default/east/small": 1, "default/west/small": 1},
		},
		"CheaperSizeForTheWork": {
			build: func() *world {
				w := newWorld(group("a"))
				w.Wait(w.Shape("web", 900, 1024), 8)
				return w
			},
			want: map[string]int{"default/a/small": 2},
		},
		"LargeSizeWhereOnlyItFits": {
			build: func() *world {
				w := newWorld(group("a"))
				w.Wait(w.Shape("big", 10000, 1024), 1)
				return w
			},
			want: map[string]int{"default/a/large": 1},
		},
		"WeightBeforePrice": {
			build: func() *world {
				w := newWorld(group("a"), group("b", offerings(largeID), func(g *v1beta1.NodeGroup) { g.Spec.Weight = 10 }))
				w.Wait(w.Shape("web", 900, 1024), 2)
				return w
			},
			want: map[string]int{"default/b/large": 1},
		},
		"ExistingRoomFirst": {
			build: func() *world {
				g := group("a", offerings(smallID))
				w := newWorld(g)
				web := w.Shape("web", 900, 512)
				w.Machine(g, "n1", v1beta1.PhaseReady, map[scheduling.ShapeID]int{web: 1})
				w.Wait(web, 3)
				return w
			},
			want: map[string]int{},
		},
		"LaunchingMachinesCount": {
			why: "pods must not cause a second launch while the first boots",
			build: func() *world {
				g := group("a", offerings(smallID))
				w := newWorld(g)
				w.Machine(g, "m1", v1beta1.PhaseLaunching, nil)
				w.Machine(g, "m2", "", nil)
				w.Wait(w.Shape("web", 900, 512), 12)
				return w
			},
			want: map[string]int{"default/a/small": 1},
		},
		"ReadyMachineWhoseNodeTheFeedLacks": {
			why: "the machine's object and the feed come by different ways; between the two the machine must not vanish",
			build: func() *world {
				g := group("a", offerings(smallID))
				w := newWorld(g)
				m := w.Machine(g, "n1", v1beta1.PhaseReady, nil)
				m.Status.ReadyAt = new(metav1.NewTime(noon.Add(-time.Second)))
				w.Nodes["n1"].Ready = false
				w.Wait(w.Shape("web", 900, 512), 4)
				return w
			},
			want: map[string]int{},
		},
		"FreshNodeStillTaintedAndUnlabelled": {
			why: "Kubernetes takes the taint off a moment after Ready, and labels may reach the feed after that",
			build: func() *world {
				g := group("a", offerings(smallID), func(g *v1beta1.NodeGroup) { g.Spec.Template.Labels = map[string]string{"team": "x"} })
				w := newWorld(g)
				m := w.Machine(g, "n1", v1beta1.PhaseReady, nil)
				m.Status.ReadyAt = new(metav1.NewTime(noon.Add(-time.Second)))
				w.Nodes["n1"].Labels = nil
				w.Nodes["n1"].Taints = []corev1.Taint{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}}
				w.Wait(w.Shape("web", 900, 512, func(s *scheduling.Shape) { s.NodeSelector = map[string]string{"team": "x"} }), 4)
				return w
			},
			want: map[string]int{},
		},
		"FreshNodeThatAnAgentHoldsClosed": {
			why: "the network's or the storage's agent takes its taint off a moment after Ready",
			build: func() *world {
				g := group("a", offerings(smallID))
				w := newWorld(g)
				m := w.Machine(g, "n1", v1beta1.PhaseReady, nil)
				m.Status.ReadyAt = new(metav1.NewTime(noon.Add(-time.Second)))
				w.Nodes["n1"].Taints = []corev1.Taint{{Key: "node.cilium.io/agent-not-ready", Effect: corev1.TaintEffectNoExecute}}
				w.Wait(w.Shape("web", 900, 512), 4)
				return w
			},
			want: map[string]int{},
		},
		"NodeThatBrokeIsNoCapacity": {
			build: func() *world {
				g := group("a", offerings(smallID))
				w := newWorld(g)
				m := w.Machine(g, "n1", v1beta1.PhaseReady, nil)
				m.Status.ReadyAt = new(metav1.NewTime(noon.Add(-time.Hour)))
				w.Nodes["n1"].Ready = false
				w.Wait(w.Shape("web", 900, 512), 4)
				return w
			},
			want: map[string]int{"default/a/small": 1},
		},
		"FailedIntentIsNoCapacity": {
			build: func() *world {
				g := group("a", offerings(smallID))
				w := newWorld(g)
				w.Machine(g, "m1", v1beta1.PhaseFailed, nil)
				w.Wait(w.Shape("web", 900, 512), 1)
				return w
			},
			want: map[string]int{"default/a/small": 1},
		},
		"LeavingNodeIsNoCapacity": {
			build: func() *world {
				g := group("a", offerings(smallID))
				w := newWorld(g)
				w.Machine(g, "n1", v1beta1.PhaseDraining, nil)
				w.Wait(w.Shape("web", 900, 512), 1)
				return w
			},
			want: map[string]int{"default/a/small": 1},
		},
		"NeverAboveMaxNodes": {
			why: "what leaves still exists and costs, so it counts",
			build: func() *world {
				g := group("a", offerings(smallID), func(g *v1beta1.NodeGroup) { g.Spec.MaxNodes = 3 })
				w := newWorld(g)
				w.Machine(g, "n1", v1beta1.PhaseDraining, nil)
				w.Wait(w.Shape("web", 3000, 512), 9)
				return w
			},
			want: map[string]int{"default/a/small": 2}, refusal: reason.NoScaleUpGroupMaxSize,
		},
		"StepBoundsADecision": {
			build: func() *world {
				w := newWorld(group("a", offerings(smallID), func(g *v1beta1.NodeGroup) { g.Spec.ScaleUp.MaxNodesPerStep = new(int32(2)) }))
				w.Wait(w.Shape("web", 3000, 512), 9)
				return w
			},
			want: map[string]int{"default/a/small": 2}, refusal: reason.NoScaleUpStepLimit,
		},
		"MinimumIsKept": {
			build: func() *world { return newWorld(group("a", func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = 2 })) },
			want:  map[string]int{"default/a/small": 2},
		},
		"PodsCountTowardsTheMinimum": {
			build: func() *world {
				w := newWorld(group("a", func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = 2 }))
				w.Wait(w.Shape("web", 3000, 512), 2)
				return w
			},
			want: map[string]int{"default/a/small": 2},
		},
		"DaemonSetsTakeTheirShareOfEveryNode": {
			build: func() *world {
				w := newWorld(group("a", offerings(smallID)))
				w.Daemons["kube-system/agent"] = w.Shape("agent", 1000, 512, func(s *scheduling.Shape) { s.OwnerKind = "DaemonSet" })
				w.Wait(w.Shape("web", 950, 512), 4)
				return w
			},
			want: map[string]int{"default/a/small": 2},
		},
		"SizeInBackoffIsPassedOver": {
			build: func() *world {
				w := newWorld(group("a"))
				w.Groups[0].Catalogue.Offerings[0].BackoffUntil = noon.Add(time.Minute)
				w.Wait(w.Shape("web", 900, 512), 1)
				return w
			},
			want: map[string]int{"default/a/large": 1},
		},
		"TooLargePod": {
			build: func() *world {
				w := newWorld(group("a"))
				w.Wait(w.Shape("huge", 64000, 512), 1)
				return w
			},
			refusal: reason.NoScaleUpResources,
		},
		"SelectorNobodyMeets": {
			build: func() *world {
				w := newWorld(group("a"))
				w.Wait(w.Shape("gpu", 100, 64, func(s *scheduling.Shape) { s.NodeSelector = map[string]string{"gpu": "yes"} }), 1)
				return w
			},
			refusal: reason.NoScaleUpSelector,
		},
		"TaintNobodyTolerates": {
			build: func() *world {
				w := newWorld(group("a", func(g *v1beta1.NodeGroup) {
					g.Spec.Template.Taints = []corev1.Taint{{Key: "team", Value: "x", Effect: corev1.TaintEffectNoSchedule}}
				}))
				w.Wait(w.Shape("web", 100, 64), 1)
				return w
			},
			refusal: reason.NoScaleUpTaint,
		},
		"NoGroup": {
			build: func() *world {
				w := newWorld()
				w.Wait(w.Shape("web", 100, 64), 1)
				return w
			},
			refusal: reason.NoScaleUpNoGroup,
		},
		"PausedGroup": {
			build: func() *world {
				w := newWorld(group("a", func(g *v1beta1.NodeGroup) { g.Spec.Mode = v1beta1.ModePaused }))
				w.Wait(w.Shape("web", 100, 64), 1)
				return w
			},
			refusal: reason.NoScaleUpGroupPaused,
		},
		"QuotaOfTheAccount":     {build: inBackoff(reason.NoScaleUpQuota), refusal: reason.NoScaleUpQuota},
		"MachinesThatDoNotJoin": {build: inBackoff(reason.LaunchDeadline), refusal: reason.LaunchDeadline},
		"MachinesThatDoNotCome": {build: inBackoff(reason.LaunchNoMachine), refusal: reason.LaunchNoMachine},
		"OtherScheduler": {
			build: func() *world {
				w := newWorld(group("a"))
				w.Wait(w.Shape("web", 100, 64, func(s *scheduling.Shape) { s.Unjudged = reason.NoScaleUpForeignScheduler }), 1)
				return w
			},
			refusal: reason.NoScaleUpForeignScheduler,
		},
		"ResourceClaim": {
			build: func() *world {
				w := newWorld(group("a"))
				w.Wait(w.Shape("web", 100, 64, func(s *scheduling.Shape) { s.Unjudged = reason.NoScaleUpResourceClaim }), 1)
				return w
			},
			refusal: reason.NoScaleUpResourceClaim,
		},
		"GroupThatMustNotGrow": {
			build: func() *world {
				w := newWorld(group("a", func(g *v1beta1.NodeGroup) { g.Spec.ScaleUp.Enabled = new(false) }))
				w.Wait(w.Shape("web", 100, 64), 1)
				return w
			},
			refusal: reason.NoScaleUpGroupDisabled,
		},
		"RecommendingGroupDoesNotLaunch": {
			build: func() *world {
				w := newWorld(group("a", func(g *v1beta1.NodeGroup) { g.Spec.Mode = v1beta1.ModeRecommend }))
				w.Wait(w.Shape("web", 100, 64), 1)
				return w
			},
			refusal: reason.NoScaleUpGroupRecommend,
		},
		"LabelThatIsNone": {
			build: func() *world {
				w := newWorld(group("a", func(g *v1beta1.NodeGroup) { g.Spec.Template.Labels = map[string]string{"team": "a b"} }))
				w.Wait(w.Shape("web", 100, 64), 1)
				return w
			},
			refusal: reason.NoScaleUpGroupInvalid,
		},
		"TaintWithAnUnknownEffect": {
			build: func() *world {
				w := newWorld(group("a", func(g *v1beta1.NodeGroup) {
					g.Spec.Template.Taints = []corev1.Taint{{Key: "team", Effect: "NoSchedul"}}
				}))
				w.Wait(w.Shape("web", 100, 64), 1)
				return w
			},
			refusal: reason.NoScaleUpGroupInvalid,
		},
		"NegativeWait": {
			build: func() *world {
				w := newWorld(group("a", func(g *v1beta1.NodeGroup) { g.Spec.ScaleDown.UnneededFor = &metav1.Duration{Duration: -time.Second} }))
				w.Wait(w.Shape("web", 100, 64), 1)
				return w
			},
			refusal: reason.NoScaleUpGroupInvalid,
		},
		"NegativeLimit": {
			why: "it would forbid every launch without a word",
			build: func() *world {
				w := newWorld(group("a", func(g *v1beta1.NodeGroup) { g.Spec.Limits.MonthlyCost = new(resource.MustParse("-5")) }))
				w.Wait(w.Shape("web", 100, 64), 1)
				return w
			},
			refusal: reason.NoScaleUpGroupInvalid,
		},
		"MinimumAboveMaximum": {
			why: "the schema refuses it, but an object from before the rule must not launch either",
			build: func() *world {
				w := newWorld(group("a", func(g *v1beta1.NodeGroup) { g.Spec.MinNodes, g.Spec.MaxNodes = 5, 2 }))
				w.Wait(w.Shape("web", 100, 64), 1)
				return w
			},
			refusal: reason.NoScaleUpGroupInvalid,
		},
		"UnknownOffering": {
			build: func() *world {
				w := newWorld(group("a", offerings(999)))
				w.Wait(w.Shape("web", 100, 64), 1)
				return w
			},
			refusal: reason.NoScaleUpOfferingUnknown,
		},
		"SelectorWithoutSizes": {
			build: func() *world {
				w := newWorld(group("a", func(g *v1beta1.NodeGroup) { g.Spec.OfferingSelector = &v1beta1.OfferingSelector{MinCPU: cpu(64)} }))
				w.Wait(w.Shape("web", 100, 64), 1)
				return w
			},
			refusal: reason.NoScaleUpNoOffering,
		},
		"UnknownCatalogueLaunchesNothing": {
			why: "unknown is not zero, and not anything else either",
			build: func() *world {
				w := newWorld(group("a", func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = 3 }))
				w.Groups[0].Catalogue.Known = false
				w.Wait(w.Shape("web", 100, 64), 1)
				return w
			},
			refusal: reason.NoScaleUpCatalogueUnknown,
		},
		"MachineOfUnknownSizeOnItsWay": {
			why: "what it will hold is not known, so what is missing is not either",
			build: func() *world {
				g := group("a")
				w := newWorld(g)
				w.Machine(g, "m1", v1beta1.PhaseLaunching, nil).Spec.Offering = 77
				w.Wait(w.Shape("web", 100, 64), 1)
				return w
			},
			refusal: reason.NoScaleUpCatalogueUnknown,
		},
		"RefusedCredentials": {
			build: func() *world {
				w := newWorld(group("a"))
				w.Groups[0].Catalogue.Health = fleet.Unauthorized
				w.Wait(w.Shape("web", 100, 64), 1)
				return w
			},
			refusal: reason.NoScaleUpUnauthorized,
		},
		"UnknownCluster": {
			build: func() *world {
				w := newWorld(group("a"))
				w.Groups[0].Catalogue.ClusterFound = false
				w.Wait(w.Shape("web", 100, 64), 1)
				return w
			},
			refusal: reason.NoScaleUpClusterUnknown,
		},
		"UnjudgedConstraint": {
			build: func() *world {
				w := newWorld(group("a"))
				w.Wait(w.Shape("spread", 100, 64, func(s *scheduling.Shape) { s.Unjudged = reason.NoScaleUpTopologySpread }), 1)
				return w
			},
			refusal: reason.NoScaleUpTopologySpread,
		},
		"ExpendablePod": {
			build: func() *world {
				w := newWorld(group("a"))
				w.Wait(w.Shape("idle", 100, 64, func(s *scheduling.Shape) { s.Priority = -11 }), 1)
				return w
			},
			refusal: reason.NoScaleUpLowPriority,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := tc.build()
			plan := propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon)
			want := tc.want
			if want == nil {
				want = map[string]int{}
			}
			if diff := cmp.Diff(want, launched(plan)); diff != "" {
				t.Errorf("launches (-want +got):\n%s%s", diff, tc.why)
			}
			for id, fate := range plan.Shapes {
				if fate.Refusal.Code != tc.refusal {
					t.Errorf("shape %s: refusal %q (%s), want %q", id, fate.Refusal.Code, fate.Refusal.Message, tc.refusal)
				}
				if tc.refusal != "" && fate.Left == 0 || tc.refusal == "" && fate.Left != 0 {
					t.Errorf("shape %s: %d pods left with refusal %q", id, fate.Left, fate.Refusal.Code)
				}
			}
		})
	}
}

// TestUnjudgedPodIsToldWhatIsMissing keeps what the observer found out about a pod on its way to the pod.
func TestUnjudgedPodIsToldWhatIsMissing(t *testing.T) {
	w := newWorld(group("a"))
	w.Wait(w.Shape("web", 100, 64, func(s *scheduling.Shape) {
		s.Unjudged, s.UnjudgedBecause = reason.NoScaleUpVolume, "PersistentVolumeClaim data does not exist; create it"
	}), 1)
	got := propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon).Shapes["web"].Refusal
	if got.Code != reason.NoScaleUpVolume || !strings.Contains(got.Message, "PersistentVolumeClaim data does not exist; create it") {
		t.Errorf("the pod is told %+v", got)
	}
}

// TestTroubleIsExplained checks that each state in which a user has to do something says what, why,
// what happens next and what to do.
func TestTroubleIsExplained(t *testing.T) {
	tests := map[string]struct {
		condition string
		change    func(*fleet.Group)
		says      []string
	}{
		"RefusedCredentials":  {v1beta1.ConditionReady, func(g *fleet.Group) { g.Catalogue.Health = fleet.Unauthorized }, []string{"refuses the credentials", "be launched", "tried again", "put a valid token"}},
		"HealthOfTheAPI":      {v1beta1.ConditionAPIHealthy, func(g *fleet.Group) { g.Catalogue.Health = fleet.Unauthorized }, []string{"refuses the credentials", "be launched", "tried again", "put a valid token"}},
		"Outage":              {v1beta1.ConditionAPIHealthy, func(g *fleet.Group) { g.Catalogue.Health = fleet.Unavailable }, []string{"fails", "circuit breaker is open", "resumes automatically", "nothing needs to be done"}},
		"UnknownCluster":      {v1beta1.ConditionReady, func(g *fleet.Group) { g.Catalogue.ClusterFound = false }, []string{"knows no cluster", "launched", "looked up again", "correct spec.cluster.identifier"}},
		"UnknownOffering":     {v1beta1.ConditionReady, func(g *fleet.Group) { g.Spec.Offerings = []int64{9999} }, []string{"9999", "be launched", "read again", "spec.offerings", "small"}},
		"MinimumAboveMaximum": {v1beta1.ConditionReady, func(g *fleet.Group) { g.Spec.MinNodes, g.Spec.MaxNodes = 4, 1 }, []string{"minNodes (4) is above maxNodes (1)", "launched", "until this is corrected", "lower minNodes"}},
		"PodThatNeverFits":    {v1beta1.ConditionCapacityAvailable, func(g *fleet.Group) { g.Spec.Offerings = []int64{smallID} }, []string{"too small for the pod", "launched", "lower the pod's requests or allow larger sizes"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(group("a"))
			tc.change(&w.Groups[0])
			w.Wait(w.Shape("web", 8000, 64), 1)
			plan := propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon)
			c := condition(plan, "default/a", tc.condition)
			if c.Status != scaling.False {
				t.Fatalf("condition %s = %+v, want it False", tc.condition, c)
			}
			for _, part := range tc.says {
				if !strings.Contains(c.Message, part) {
					t.Errorf("message lacks %q: %s", part, c.Message)
				}
			}
			if len(plan.Launches) > 0 {
				t.Errorf("something is launched: %v", launched(plan))
			}
		})
	}
}

func TestSizeIsRememberedWhenItsNodesAreGone(t *testing.T) {
	g := group("a", offerings(smallID))
	w := newWorld(g)
	w.Machine(g, "n1", v1beta1.PhaseReady, nil)
	w.Nodes["n1"].Allocatable[corev1.ResourceCPU] = 3000
	memory := propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon).Memory
	w = newWorld(g)
	w.Wait(w.Shape("web", 3500, 64), 1)
	plan := propose(w.Snapshot, scaling.DefaultPolicy, memory, noon)
	if len(plan.Launches) > 0 {
		t.Errorf("%v is launched for a pod that fits the estimate and not the node", launched(plan))
	}
}

func TestPodsAreTheConcernOfTheGroupsTheyAreMeantFor(t *testing.T) {
	tainted := group("gpu", func(g *v1beta1.NodeGroup) {
		g.Spec.Template.Taints = []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}}
	})
	w := newWorld(group("a", func(g *v1beta1.NodeGroup) { g.Spec.MaxNodes = 0 }), tainted)
	w.Wait(w.Shape("web", 100, 64), 3)
	plan := propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon)
	for name, want := range map[string]scaling.Truth{"default/a": scaling.False, "default/gpu": scaling.True} {
		if c := condition(plan, name, v1beta1.ConditionCapacityAvailable); c.Status != want {
			t.Errorf("%s: condition %+v, want status %d", name, c, want)
		}
	}
	if a, gpu := plan.Groups["default/a"].PendingPods, plan.Groups["default/gpu"].PendingPods; a != 3 || gpu != 0 {
		t.Errorf("pending pods %d and %d, want 3 and 0", a, gpu)
	}
}

func TestPodIsToldOfTheNearestGroups(t *testing.T) {
	full := func(g *v1beta1.NodeGroup) { g.Spec.MaxNodes = 0 }
	tainted := func(g *v1beta1.NodeGroup) {
		g.Spec.Template.Taints = []corev1.Taint{{Key: "team", Effect: corev1.TaintEffectNoSchedule}}
	}
	small := offerings(smallID)
	heavy := func(g *v1beta1.NodeGroup) { g.Spec.Weight = 9 }
	for name, tc := range map[string]struct {
		groups   []*v1beta1.NodeGroup
		code     reason.Code
		begins   string
		says     []string
		not      []string
		milliCPU int64
	}{
		"OneCouldServeIt": {
			groups: []*v1beta1.NodeGroup{group("a", tainted), group("b", tainted), group("z", full)}, milliCPU: 100,
			code: reason.NoScaleUpGroupMaxSize, begins: "default/z: ", says: []string{"maxNodes", "; 2 other groups do not fit the pod"}, not: []string{"default/a", "default/b"},
		},
		"OneOtherDoesNotFit": {
			groups: []*v1beta1.NodeGroup{group("a", tainted), group("z", full)}, milliCPU: 100,
			code: reason.NoScaleUpGroupMaxSize, begins: "default/z: ", says: []string{"; 1 other group does not fit the pod"},
		},
		"ManyCouldServeIt": {
			groups: []*v1beta1.NodeGroup{group("a", full), group("b", full), group("c", full), group("d", full), group("e", full, heavy), group("f", tainted)}, milliCPU: 100,
			code: reason.NoScaleUpGroupMaxSize, begins: "default/e: ", says: []string{"default/a: ", "default/b: ", "2 other groups could serve the pod but may not launch a machine either", "1 other group does not fit"},
			not: []string{"default/c", "default/d", "default/f"},
		},
		"NoneCouldServeIt": {
			groups: []*v1beta1.NodeGroup{group("a", tainted), group("b", tainted), group("c", tainted), group("d", tainted), group("z", small)}, milliCPU: 8000,
			code: reason.NoScaleUpResources, begins: "default/z: ", says: []string{"too small", "default/a: ", "default/b: ", "2 other groups do not fit the pod"}, not: []string{"default/c"},
		},
		"Alone": {groups: []*v1beta1.NodeGroup{group("a", tainted)}, milliCPU: 100, code: reason.NoScaleUpTaint, begins: "default/a: ", not: []string{"other group"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(tc.groups...)
			w.Wait(w.Shape("web", tc.milliCPU, 64), 1)
			got := propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon).Shapes["web"].Refusal
			if got.Code != tc.code || !strings.HasPrefix(got.Message, tc.begins) {
				t.Errorf("refusal %s: %s; want %s, beginning with %s", got.Code, got.Message, tc.code, tc.begins)
			}
			for _, part := range tc.says {
				if !strings.Contains(got.Message, part) {
					t.Errorf("message lacks %q: %s", part, got.Message)
				}
			}
			for _, part := range tc.not {
				if strings.Contains(got.Message, part) {
					t.Errorf("message has %q: %s", part, got.Message)
				}
			}
		})
	}
}

// TestRefusalDoesNotHangOnNamesOfShapes gives the same pods other ids, which are hashes.
func TestRefusalDoesNotHangOnNamesOfShapes(t *testing.T) {
	var reasons, kept []string
	for _, ids := range [][]string{{"a", "b", "c"}, {"c", "b", "a"}} {
		g := group("g", offerings(smallID))
		w := newWorld(g)
		w.Wait(w.Shape(ids[0], 64_000, 64), 5)
		w.Wait(w.Shape(ids[1], 100, 64, func(s *scheduling.Shape) { s.NodeSelector = map[string]string{"gpu": "yes"} }), 9)
		w.Machine(g, "n", v1beta1.PhaseReady, map[scheduling.ShapeID]int{
			w.Shape("on-"+ids[0], 100, 64, func(s *scheduling.Shape) { s.Budgets = []string{"default/none"} }):             1,
			w.Shape("on-"+ids[2], 100, 64, func(s *scheduling.Shape) { s.Protection = reason.NoScaleDownPodLocalStorage }): 1,
		})
		plan := propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon)
		reasons = append(reasons, condition(plan, "default/g", v1beta1.ConditionCapacityAvailable).Reason)
		kept = append(kept, string(plan.Kept["n"].Code))
	}
	if want := reason.NoScaleUpResources.Condition(); reasons[0] != want || reasons[1] != want {
		t.Errorf("capacity is missing because of %v, want what is nearest to success, %s", reasons, want)
	}
	if want := string(reason.NoScaleDownPodLocalStorage); kept[0] != want || kept[1] != want {
		t.Errorf("the node is kept because of %v, want what lasts longest, %s", kept, want)
	}
}

// TestPodsPendForTheGroupThatServesThem has one pod for a node that is there, others for a machine on its way and for one that is launched, and
// one that nothing serves.
func TestPodsPendForTheGroupThatServesThem(t *testing.T) {
	labelled := func(name string) *v1beta1.NodeGroup {
		return group(name, offerings(smallID), func(g *v1beta1.NodeGroup) { g.Spec.Template.Labels = map[string]string{"for": name} })
	}
	there, coming, launched, idle := labelled("there"), labelled("coming"), labelled("launched"), labelled("idle")
	w := newWorld(there, coming, launched, idle)
	w.Machine(there, "n", v1beta1.PhaseReady, nil)
	w.Machine(coming, "m", v1beta1.PhaseLaunching, nil)
	for i, name := range []string{"there", "coming", "launched"} {
		w.Wait(w.Shape(name, 1000, 64, func(s *scheduling.Shape) { s.NodeSelector = map[string]string{"for": name} }), i+1)
	}
	w.Wait(w.Shape("huge", 64_000, 64, func(s *scheduling.Shape) { s.NodeSelector = map[string]string{"for": "launched"} }), 5)
	plan := propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon)
	got := map[string]int{}
	for name, report := range plan.Groups {
		got[name] = report.PendingPods
	}
	if diff := cmp.Diff(map[string]int{"default/there": 1, "default/coming": 2, "default/launched": 3 + 5, "default/idle": 0}, got); diff != "" {
		t.Errorf("pending pods (-want +got):\n%s", diff)
	}
}

// FuzzPropose checks the laws of a plan on random clusters: limits hold, the order of the input does
// not matter, and once a plan is carried out the next one launches nothing.
func FuzzPropose(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 2))
		var groups []*v1beta1.NodeGroup
		for i := range 1 + random.IntN(3) {
			groups = append(groups, group(fmt.Sprintf("g%d", i), func(g *v1beta1.NodeGroup) {
				g.Spec.MaxNodes = int32(random.IntN(12))
				g.Spec.MinNodes = int32(random.IntN(int(g.Spec.MaxNodes) + 1))
				g.Spec.Weight = int32(random.IntN(3))
			}))
		}
		w := newWorld(groups...)
		var shapes []scheduling.ShapeID
		for i := range 1 + random.IntN(6) {
			shapes = append(shapes, w.Shape(fmt.Sprintf("s%d", i), int64(100+random.IntN(6000)), int64(64+random.IntN(9000))))
			w.Wait(shapes[i], random.IntN(40))
		}
		for i := range random.IntN(6) {
			g := groups[random.IntN(len(groups))]
			phase := []v1beta1.Phase{v1beta1.PhaseReady, v1beta1.PhaseLaunching, v1beta1.PhaseDraining}[random.IntN(3)]
			w.Machine(g, fmt.Sprintf("n%d", i), phase, nil)
		}
		plan := propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon)
		have := map[string]int{}
		for _, m := range w.Machines {
			have[m.Namespace+"/"+m.Spec.NodeGroup]++
		}
		for _, l := range plan.Launches {
			have[l.Group] += len(l.Machines)
		}
		for _, g := range groups {
			name := g.Namespace + "/" + g.Name
			before := 0
			for _, m := range w.Machines {
				if m.Spec.NodeGroup == g.Name {
					before++
				}
			}
			if have[name] > max(int(g.Spec.MaxNodes), before) {
				t.Errorf("seed %d: group %s would have %d machines of at most %d", seed, name, have[name], g.Spec.MaxNodes)
			}
		}
		reordered := w.Snapshot
		reordered.Groups, reordered.Machines = slices.Clone(w.Groups), slices.Clone(w.Machines)
		slices.Reverse(reordered.Groups)
		slices.Reverse(reordered.Machines)
		if diff := cmp.Diff(plan, propose(reordered, scaling.DefaultPolicy, scaling.Memory{}, noon)); diff != "" {
			t.Errorf("seed %d: the plan depends on the order of its input:\n%s", seed, diff)
		}
		for _, l := range plan.Launches {
			g := groups[slices.IndexFunc(groups, func(g *v1beta1.NodeGroup) bool { return g.Namespace+"/"+g.Name == l.Group })]
			for i, m := range l.Machines {
				intent := w.Machine(g, fmt.Sprintf("new-%s-%d", g.Name, i), v1beta1.PhaseLaunching, nil)
				intent.Spec.Offering, intent.Spec.OfferingName = m.Offering, m.OfferingName
				intent.Annotations = map[string]string{v1beta1.AnnotationPlannedPods: fleet.DescribePlannedPods(m.Planned)}
			}
		}
		if again := launched(propose(w.Snapshot, scaling.DefaultPolicy, scaling.Memory{}, noon)); len(again) > 0 {
			t.Errorf("seed %d: planning again after %v launches %v more", seed, launched(plan), again)
		}
	})
}

// TestAlternativesAreOnRecord: whoever asks why this size was launched reads why no other was.
func TestAlternativesAreOnRecord(t *testing.T) {
	w := newWorld(group("a"), group("b", func(g *v1beta1.NodeGroup) { g.Spec.Mode = v1beta1.ModePaused }))
	w.Groups[0].Catalogue.Offerings[0].BackoffUntil = noon.Add(time.Minute)
	w.Wait(w.Shape("web", 900, 512), 1)
	plan := w.plan(scaling.Memory{})
	if len(plan.Launches) != 1 {
		t.Fatalf("%d launches, want one", len(plan.Launches))
	}
	got := map[reason.Code]int{}
	for _, c := range plan.Launches[0].Candidates {
		if got[c.Rejection]++; c.Rejection != "" && c.Message == "" {
			t.Errorf("alternative %+v does not say why it was rejected", c)
		}
	}
	if got[""] != 1 || got[reason.NoScaleUpOfferingBackoff] != 1 || got[reason.NoScaleUpGroupPaused] == 0 {
		t.Errorf("alternatives %v, want the one that is launched, the size in backoff and the paused group", got)
	}
	w.Groups[0].Catalogue.Offerings[0].BackoffUntil = time.Time{}
	for _, c := range w.plan(scaling.Memory{}).Launches[0].Candidates {
		if c.Group == "default/a" && c.Nodes == 0 && c.Rejection != reason.NoScaleUpCostlier {
			t.Errorf("alternative %+v, want it to be costlier", c)
		}
	}
}

// TestRecordOfALaunchIsBounded: an object carries it, and there may be a hundred groups and four hundred sizes.
func TestRecordOfALaunchIsBounded(t *testing.T) {
	var groups []*v1beta1.NodeGroup
	for i := range 100 {
		groups = append(groups, group(fmt.Sprintf("g%d", i)))
	}
	w := newWorld(groups...)
	w.Wait(w.Shape("web", 900, 512), 1)
	plan := w.plan(scaling.Memory{})
	if len(plan.Launches) != 1 || len(plan.Launches[0].Candidates) != 20 || plan.Launches[0].Candidates[0].Nodes != 1 {
		t.Errorf("launches %+v, want one with twenty alternatives, the chosen one first", plan.Launches)
	}
}

// TestPlaceOfAMachineThatIsGoneIsRefilled plans for a full group while the object of a machine that is confirmed absent stays: the provisioner
// would launch, so the planner need not wait.
func TestPlaceOfAMachineThatIsGoneIsRefilled(t *testing.T) {
	for sightings, want := range map[int32]int{fleet.AbsenceSightings - 1: 0, fleet.AbsenceSightings: 1} {
		g := group("a", offerings(smallID), func(g *v1beta1.NodeGroup) {
			g.Spec.MaxNodes, g.Spec.Limits.CPU = 1, cpu(4)
		})
		w := newWorld(g)
		m := w.Machine(g, "n1", v1beta1.PhaseDraining, nil)
		m.Status.Phase, m.Status.DeleteRequestedAt, m.Status.AbsentSightings = v1beta1.PhaseDeleting, new(metav1.NewTime(noon)), sightings
		w.Wait(w.Shape("web", 500, 64), 1)
		if got := w.launchedSmall(); got != want {
			t.Errorf("%d sightings of the absence: %d machines are launched, want %d", sightings, got, want)
		}
	}
}
