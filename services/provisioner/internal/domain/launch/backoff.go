package launch

import (
	"slices"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
)

// How long refusals keep further requests back: the first wait doubles with each refusal in a row.
const (
	BackoffFirst = 30 * time.Second
	BackoffMax   = 10 * time.Minute
)

// Failure is one launch that VPSie refused or that brought no machine.
type Failure struct {
	Cluster  string
	Offering int64
	At       time.Time
	Code     reason.Code
	Message  string
	// WholeCluster says that the cluster gets no machine of any size.
	WholeCluster bool
}

// Key is what a backoff holds back; offering 0 means every size of the cluster.
type Key struct {
	Cluster  string
	Offering int64
}

// Backoff keeps requests back until a time.
type Backoff struct {
	Until   time.Time
	Code    reason.Code
	Message string
}

// Backoffs derives what is held back from the failures that are on record and from the newest
// success of each size, so that it survives a restart. A refusal of the whole cluster holds every
// size back.
func Backoffs(failures []Failure, successes map[Key]time.Time) map[Key]Backoff {
	type streak struct {
		count int
		last  Failure
	}
	streaks := map[Key]streak{}
	failures = slices.Clone(failures)
	slices.SortStableFunc(failures, func(a, b Failure) int { return a.At.Compare(b.At) })
	for _, f := range failures {
		key := Key{Cluster: f.Cluster, Offering: f.Offering}
		if !f.At.After(successes[key]) {
			continue
		}
		if f.WholeCluster {
			key.Offering = 0
		}
		s := streaks[key]
		// Refusals within one batch are one experience.
		if s.count == 0 || f.At.Sub(s.last.At) > BackoffFirst/2 {
			s.count++
		}
		s.last = f
		streaks[key] = s
	}
	backoffs := make(map[Key]Backoff, len(streaks))
	for key, s := range streaks {
		wait := BackoffMax
		if s.count < 6 {
			wait = min(BackoffFirst<<(s.count-1), BackoffMax)
		}
		backoffs[key] = Backoff{Until: s.last.At.Add(wait), Code: s.last.Code, Message: s.last.Message}
	}
	return backoffs
}
