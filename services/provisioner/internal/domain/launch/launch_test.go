package launch_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

var (
	small = launch.Size{CPU: 2, MemoryMiB: 4096}
	large = launch.Size{CPU: 8, MemoryMiB: 16384}
)

func TestAssign(t *testing.T) {
	tests := map[string]struct {
		why     string
		waiting []launch.Waiting
		listed  []launch.Listed
		claimed map[string]bool
		want    map[string]string
	}{
		"NewMachineAnswersTheRequest": {
			waiting: []launch.Waiting{{Intent: "a", Size: small, RequestedAt: noon}},
			listed:  []launch.Listed{{Identifier: "m1", Hostname: "H1", Size: small}},
			want:    map[string]string{"a": "m1"},
		},
		"MachineThatWasThereIsNotTheAnswer": {
			why:     "a person's machine would be drained and deleted as ours one day",
			waiting: []launch.Waiting{{Intent: "a", Size: small, RequestedAt: noon, Foreign: []string{"m1"}}},
			listed:  []launch.Listed{{Identifier: "m1", Size: small}, {Identifier: "m2", Size: small}},
			want:    map[string]string{"a": "m2"},
		},
		"AcceptedRequestsChooseFirst": {
			why: "a provisioner that died before the call leaves an unclear request, which would take the machine of a later one and leave that one waiting until its deadline",
			waiting: []launch.Waiting{
				{Intent: "a", Size: small, RequestedAt: noon}, {Intent: "b", Size: small, RequestedAt: noon.Add(time.Minute), Accepted: true},
			},
			listed: []launch.Listed{{Identifier: "m1", Size: small}},
			want:   map[string]string{"b": "m1"},
		},
		"ClaimedMachineIsNotGivenTwice": {
			waiting: []launch.Waiting{{Intent: "a", Size: small, RequestedAt: noon}},
			listed:  []launch.Listed{{Identifier: "m1", Size: small}},
			claimed: map[string]bool{"m1": true},
			want:    map[string]string{},
		},
		"SizeTellsRequestsApart": {
			waiting: []launch.Waiting{{Intent: "a", Offering: 1, Size: small, RequestedAt: noon}, {Intent: "b", Offering: 2, Size: large, RequestedAt: noon}},
			listed:  []launch.Listed{{Identifier: "m1", Size: large}, {Identifier: "m2", Size: small}},
			want:    map[string]string{"a": "m2", "b": "m1"},
		},
		"UnknownSizeWaitsWhileSizesAreMixed": {
			why:     "after a restart the catalogue is not read yet, and any machine would seem to fit",
			waiting: []launch.Waiting{{Intent: "a", Offering: 1, RequestedAt: noon}, {Intent: "b", Offering: 2, Size: large, RequestedAt: noon}},
			listed:  []launch.Listed{{Identifier: "m1", Size: large}, {Identifier: "m2", Size: small}},
			want:    map[string]string{"b": "m1"},
		},
		"SizeThatIsNotSoldAnyMoreIsNoOther": {
			why:     "a person's machine of any size would pass for the answer",
			waiting: []launch.Waiting{{Intent: "a", Offering: 1, RequestedAt: noon}},
			listed:  []launch.Listed{{Identifier: "m1", Size: large}},
			want:    map[string]string{},
		},
		"OlderRequestIsAnsweredFirst": {
			waiting: []launch.Waiting{{Intent: "a", Size: small, RequestedAt: noon.Add(time.Second)}, {Intent: "b", Size: small, RequestedAt: noon}},
			listed:  []launch.Listed{{Identifier: "m1", Size: small}},
			want:    map[string]string{"b": "m1"},
		},
		"UnknownSizeContradictsNothing": {
			waiting: []launch.Waiting{{Intent: "a", Size: small, RequestedAt: noon}},
			listed:  []launch.Listed{{Identifier: "m1"}},
			want:    map[string]string{"a": "m1"},
		},
		"MachineWithoutIdentifierIsNoAnswer": {
			why:     "it could not be deleted by identifier",
			waiting: []launch.Waiting{{Intent: "a", Size: small, RequestedAt: noon}},
			listed:  []launch.Listed{{Hostname: "H1", Size: small}},
			want:    map[string]string{},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := map[string]string{}
			for intent, machine := range launch.Assign(tc.waiting, tc.listed, tc.claimed) {
				got[intent] = machine.Identifier
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Assign (-want +got):\n%s%s", diff, tc.why)
			}
		})
	}
}

// FuzzAssign checks what must hold for any listing: no machine twice, none that was claimed or there
// before, and the same answer for requests in any order.
func FuzzAssign(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 1))
		sizes := []launch.Size{small, large, {}}
		var listed []launch.Listed
		claimed := map[string]bool{}
		for i := range random.IntN(12) {
			id := fmt.Sprintf("m%d", i)
			listed = append(listed, launch.Listed{Identifier: id, Size: sizes[random.IntN(3)]})
			claimed[id] = random.IntN(4) == 0
		}
		var waiting []launch.Waiting
		for i := range random.IntN(12) {
			w := launch.Waiting{Intent: fmt.Sprintf("w%02d", i), Offering: int64(random.IntN(2)), Size: sizes[random.IntN(3)], RequestedAt: noon.Add(time.Duration(random.IntN(3)) * time.Second)}
			for _, m := range listed {
				if random.IntN(3) == 0 {
					w.Foreign = append(w.Foreign, m.Identifier)
				}
			}
			waiting = append(waiting, w)
		}
		got := launch.Assign(waiting, listed, claimed)
		used := map[string]bool{}
		for _, w := range waiting {
			m, ok := got[w.Intent]
			if !ok {
				continue
			}
			if used[m.Identifier] || claimed[m.Identifier] || slices.Contains(w.Foreign, m.Identifier) {
				t.Errorf("seed %d: %s must not get %s", seed, w.Intent, m.Identifier)
			}
			used[m.Identifier] = true
		}
		slices.Reverse(waiting)
		if diff := cmp.Diff(got, launch.Assign(waiting, listed, claimed)); diff != "" {
			t.Errorf("seed %d: answer depends on the order of requests:\n%s", seed, diff)
		}
	})
}

func TestChoose(t *testing.T) {
	candidates := func(n int, group string, offering int64) []launch.Candidate {
		var out []launch.Candidate
		for i := range n {
			out = append(out, launch.Candidate{Intent: fmt.Sprintf("%s-%03d-%d", group, i, offering), Group: group, Offering: offering})
		}
		return out
	}
	sized := func(n int, size bounds.Amounts) []launch.Candidate {
		out := candidates(n, "g", 1)
		for i := range out {
			out[i].Size, out[i].SizeKnown = size, true
		}
		return out
	}
	tests := map[string]struct {
		why        string
		candidates []launch.Candidate
		groups     map[string]launch.Group
		open       int64
		mixed      bool
		launched   int
		refused    int
		code       reason.Code
		more       bool
	}{
		"AllWithinLimits": {
			candidates: candidates(10, "g", 1), groups: map[string]launch.Group{"g": {Limit: bounds.Unlimited.WithNodes(10)}}, mixed: true, launched: 10,
		},
		"NeverAboveMaxNodes": {
			why:        "the actor checks again what the planner promised",
			candidates: candidates(10, "g", 1), groups: map[string]launch.Group{"g": {Limit: bounds.Unlimited.WithNodes(10), Has: bounds.Amounts{Nodes: 7}}}, mixed: true,
			launched: 3, refused: 7, code: reason.NoScaleUpGroupMaxSize,
		},
		"NeverAboveLimits": {
			candidates: sized(4, bounds.Amounts{Nodes: 1, MilliCPU: 4000, MemoryBytes: 8 << 30, MonthlyPrice: 40_000_000}), mixed: true,
			groups: map[string]launch.Group{"g": {HasKnown: true, Has: bounds.Amounts{Nodes: 1, MonthlyPrice: 40_000_000},
				Limit: bounds.Limit{Nodes: 10, MilliCPU: -1, MemoryBytes: -1, MonthlyPrice: 130_000_000}}},
			launched: 2, refused: 2, code: reason.NoScaleUpGroupLimit,
		},
		"LimitsWaitForSizes": {
			why:        "the size of a machine that is there is not known, and unknown is not zero",
			candidates: sized(1, bounds.Amounts{Nodes: 1, MilliCPU: 4000}), mixed: true,
			groups: map[string]launch.Group{"g": {Limit: bounds.Limit{Nodes: 10, MilliCPU: 100_000, MemoryBytes: -1, MonthlyPrice: -1}}},
		},
		"NothingForAGroupThatIsGone": {
			candidates: candidates(2, "g", 1), groups: map[string]launch.Group{"g": {Missing: true}}, mixed: true, refused: 2, code: reason.NoScaleUpNoGroup,
		},
		"HeldGroupWaits": {
			why:        "a pause is not a refusal; the intents go on when it ends",
			candidates: candidates(2, "g", 1), groups: map[string]launch.Group{"g": {Held: launch.Refusal{Code: reason.NoScaleUpGroupPaused, Message: "paused"}, Limit: bounds.Unlimited.WithNodes(5)}}, mixed: true,
		},
		"BatchesAreBounded": {
			candidates: candidates(launch.BatchMax+5, "g", 1), groups: map[string]launch.Group{"g": {Limit: bounds.Unlimited.WithNodes(100)}}, mixed: true,
			launched: launch.BatchMax, more: true,
		},
		"OneSizeAtATimeWhereSizesAreNotShown": {
			why:        "machines of two sizes could not be told apart",
			candidates: append(candidates(2, "g", 1), candidates(2, "h", 2)...), groups: map[string]launch.Group{"g": {Limit: bounds.Unlimited.WithNodes(9)}, "h": {Limit: bounds.Unlimited.WithNodes(9)}},
			launched: 2, more: true,
		},
		"OtherSizeWaitsForOpenRequests": {
			candidates: candidates(2, "g", 1), groups: map[string]launch.Group{"g": {Limit: bounds.Unlimited.WithNodes(9)}}, open: 2, more: true,
		},
		"TwoSizesAtOnceWhereSizesAreShown": {
			candidates: append(candidates(2, "g", 1), candidates(2, "h", 2)...), groups: map[string]launch.Group{"g": {Limit: bounds.Unlimited.WithNodes(9)}, "h": {Limit: bounds.Unlimited.WithNodes(9)}},
			mixed: true, launched: 4,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := launch.Choose(tc.candidates, tc.groups, tc.open, tc.mixed)
			if len(got.Launch) != tc.launched || len(got.Refused) != tc.refused || got.More != tc.more {
				t.Errorf("Choose launches %d, refuses %d, more %v; want %d, %d, %v (%s)",
					len(got.Launch), len(got.Refused), got.More, tc.launched, tc.refused, tc.more, tc.why)
			}
			for intent, refusal := range got.Refused {
				if refusal.Code != tc.code {
					t.Errorf("%s refused with %s, want %s", intent, refusal.Code, tc.code)
				}
			}
		})
	}
}

func TestPossible(t *testing.T) {
	asked := []launch.Waiting{
		{Intent: "a", Size: small, RequestedAt: noon, Foreign: []string{"w1"}},
		{Intent: "b", Size: small, RequestedAt: noon.Add(time.Hour)},
		{Intent: "c", Size: large, RequestedAt: noon.Add(-time.Hour)},
	}
	tests := map[string]struct {
		machine  launch.Listed
		earliest time.Time
		possible bool
	}{
		"NoNode":                 {launch.Listed{Identifier: "m1", Size: small}, noon, true},
		"JoinedAfterTheFirst":    {launch.Listed{Identifier: "m1", Size: small, JoinedAt: noon.Add(time.Minute)}, noon, true},
		"JoinedBeforeTheFirst":   {launch.Listed{Identifier: "m1", Size: small, JoinedAt: noon.Add(-time.Minute)}, noon, false},
		"WasThereBeforeTheFirst": {launch.Listed{Identifier: "w1", Size: small, JoinedAt: noon.Add(time.Minute)}, noon.Add(time.Hour), false},
		"OtherSize":              {launch.Listed{Identifier: "m1", Size: large, JoinedAt: noon.Add(-time.Minute)}, noon.Add(-time.Hour), true},
		"SizeIsNotKnown":         {launch.Listed{Identifier: "m1", JoinedAt: noon.Add(-time.Minute)}, noon.Add(-time.Hour), true},
		"SizeThatNobodyAskedFor": {launch.Listed{Identifier: "m1", Size: launch.Size{CPU: 1, MemoryMiB: 1}, JoinedAt: noon}, time.Time{}, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := launch.Earliest(tc.machine, asked); !got.Equal(tc.earliest) {
				t.Errorf("earliest request at %v, want %v", got, tc.earliest)
			}
			if got := launch.Possible([]launch.Listed{tc.machine}, asked); (len(got) == 1) != tc.possible {
				t.Errorf("possible are %v, want %v", got, tc.possible)
			}
		})
	}
}

func TestBackoffs(t *testing.T) {
	refused := func(after time.Duration, offering int64, code reason.Code) launch.Failure {
		return launch.Failure{Cluster: "c", Offering: offering, At: noon.Add(after), Code: code}
	}
	tests := map[string]struct {
		why       string
		failures  []launch.Failure
		successes map[launch.Key]time.Time
		want      map[launch.Key]time.Time
	}{
		"NothingFailedNothingWaits": {want: map[launch.Key]time.Time{}},
		"FirstRefusalWaitsShortly": {
			failures: []launch.Failure{refused(0, 1, reason.NoScaleUpOfferingSoldOut)},
			want:     map[launch.Key]time.Time{{Cluster: "c", Offering: 1}: noon.Add(launch.BackoffFirst)},
		},
		"WaitDoublesWithEachRefusal": {
			failures: []launch.Failure{refused(time.Minute, 1, ""), refused(0, 1, ""), refused(3*time.Minute, 1, "")},
			want:     map[launch.Key]time.Time{{Cluster: "c", Offering: 1}: noon.Add(3*time.Minute + 4*launch.BackoffFirst)},
		},
		"OneBatchIsOneExperience": {
			why:      "ten refusals of one decision say no more than one",
			failures: []launch.Failure{refused(0, 1, ""), refused(time.Second, 1, ""), refused(2*time.Second, 1, "")},
			want:     map[launch.Key]time.Time{{Cluster: "c", Offering: 1}: noon.Add(2*time.Second + launch.BackoffFirst)},
		},
		"SuccessEndsTheStreak": {
			failures:  []launch.Failure{refused(0, 1, "")},
			successes: map[launch.Key]time.Time{{Cluster: "c", Offering: 1}: noon.Add(time.Second)},
			want:      map[launch.Key]time.Time{},
		},
		"WorkerCapHoldsEverySizeBack": {
			failures: []launch.Failure{{Cluster: "c", Offering: 7, At: noon, WholeCluster: true}},
			want:     map[launch.Key]time.Time{{Cluster: "c"}: noon.Add(launch.BackoffFirst)},
		},
		"CodeHoldsNothingBack": {
			why:      "codes are for people",
			failures: []launch.Failure{refused(0, 7, reason.NoScaleUpQuota)},
			want:     map[launch.Key]time.Time{{Cluster: "c", Offering: 7}: noon.Add(launch.BackoffFirst)},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := map[launch.Key]time.Time{}
			for key, backoff := range launch.Backoffs(tc.failures, tc.successes) {
				got[key] = backoff.Until
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Backoffs (-want +got):\n%s%s", diff, tc.why)
			}
		})
	}
}
