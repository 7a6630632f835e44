package burst_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/burst"
)

var (
	noon   = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	policy = burst.Policy{Idle: 100 * time.Millisecond, Max: 10 * time.Second}
)

// play feeds pods that arrive at times after noon to a burst and returns the steps with the time of each, in milliseconds.
func play(arrivals []time.Duration, missing func(arrived int) int, until time.Duration) (early, whole []int64) {
	var b burst.Burst
	for at := time.Duration(0); at <= until; at += 5 * time.Millisecond {
		arrived := 0
		for _, a := range arrivals {
			if a <= at {
				arrived++
			}
		}
		now := noon.Add(at)
		b = b.See(burst.Pressure{Arrived: uint64(arrived), Missing: missing(arrived)}, now)
		step, _ := b.Step(policy, now)
		switch step {
		case burst.Early:
			early = append(early, at.Milliseconds())
		case burst.Whole:
			whole = append(whole, at.Milliseconds())
		}
		b = b.Planned(step, now)
	}
	return early, whole
}

func evenly(n int, over time.Duration) []time.Duration {
	var out []time.Duration
	for i := range n {
		out = append(out, over*time.Duration(i)/time.Duration(n))
	}
	return out
}

func none(int) int { return 0 }

func TestLonePodIsPlannedForAfterTheIdleTime(t *testing.T) {
	early, whole := play(evenly(1, 0), none, 5*time.Second)
	if len(early) != 0 || len(whole) != 1 || whole[0] != 100 {
		t.Errorf("early plans at %v, whole at %v; want one whole plan after 100 ms", early, whole)
	}
}

// TestPodsThatHappenToComeCloseTogetherDoNotWaitForEachOther: unrelated single pods, at gaps as chance makes them.
func TestPodsThatHappenToComeCloseTogetherDoNotWaitForEachOther(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	var arrivals []time.Duration
	for at := time.Duration(0); at < time.Minute; at += time.Duration(dice.ExpFloat64() * float64(300*time.Millisecond)) {
		arrivals = append(arrivals, at)
	}
	_, whole := play(arrivals, none, time.Minute+time.Second)
	var longest time.Duration
	for _, a := range arrivals {
		i, _ := slices.BinarySearch(whole, a.Milliseconds())
		longest = max(longest, time.Duration(whole[i])*time.Millisecond-a)
	}
	if longest > 700*time.Millisecond {
		t.Errorf("a pod waited %s for its plan", longest)
	}
}

func TestBurstIsPlannedOnceAtItsEnd(t *testing.T) {
	early, whole := play(evenly(1000, 1500*time.Millisecond), none, 5*time.Second)
	if len(whole) != 1 || whole[0] < 2000 || whole[0] > 2300 {
		t.Errorf("whole plans at %v; want one, once nothing came for half of the 1.5 s that the burst took", whole)
	}
	if len(early) == 0 || early[0] != 100 || len(early) > 8 {
		t.Errorf("early plans at %v; want the first after 100 ms, and one for each doubling", early)
	}
}

func TestLongBurstIsNotWaitedForForEver(t *testing.T) {
	_, whole := play(evenly(900, 30*time.Second), none, 40*time.Second)
	if len(whole) != 3 && len(whole) != 4 {
		t.Fatalf("whole plans at %v; want one each ten seconds and one at the end", whole)
	}
	if whole[0] != 10_000 {
		t.Errorf("the first whole plan is at %d ms, want 10000", whole[0])
	}
}

func TestRolloutIsPlannedForAsSoonAsItIsComplete(t *testing.T) {
	owed := func(arrived int) int { return 50 - arrived }
	_, whole := play(evenly(50, 400*time.Millisecond), owed, 5*time.Second)
	if len(whole) != 1 || whole[0] < 392 || whole[0] > 430 {
		t.Errorf("whole plans at %v; want one 20 ms after the last pod that the controller owed", whole)
	}
}

func TestStalledRolloutIsBounded(t *testing.T) {
	_, whole := play(evenly(5, 0), func(int) int { return 45 }, 15*time.Second)
	if len(whole) != 1 || whole[0] != 10_000 {
		t.Errorf("whole plans at %v; want one after ten seconds", whole)
	}
}

// TestObserverThatBeginsAnewIsNoBurst: its count of arrivals begins at what waits.
func TestObserverThatBeginsAnewIsNoBurst(t *testing.T) {
	b := burst.Burst{}.See(burst.Pressure{Arrived: 500}, noon).Planned(burst.Whole, noon)
	b = b.See(burst.Pressure{Arrived: 20}, noon.Add(time.Second))
	if step, due := b.Step(policy, noon.Add(time.Second)); step != burst.None || !due.IsZero() {
		t.Errorf("step %v at %v, want none", step, due)
	}
}

func TestHoldSaysWhenToLookAgain(t *testing.T) {
	b := burst.Burst{}.See(burst.Pressure{Arrived: 3}, noon)
	step, due := b.Step(policy, noon.Add(10*time.Millisecond))
	if step != burst.Hold || !due.Equal(noon.Add(100*time.Millisecond)) {
		t.Errorf("step %v until %v, want to hold for the idle time", step, due)
	}
}
