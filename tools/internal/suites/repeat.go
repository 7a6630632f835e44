package suites

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

const (
	// WaitMark is in what a test prints whose patience ran out. Suites run beside each other, so that may be the machine's doing and not the code's.
	WaitMark = "waited that "
	// VerdictMark is in what a test prints about what must never be so, whatever the machine does. Such a test is not repeated.
	VerdictMark = "found after the test: "
	// repeatedMax is how many tests of a suite are repeated. When more fail, something is broken.
	repeatedMax = 2
)

// isWait reports whether a test failed because its patience ran out, and found nothing else.
func (f failure) isWait() bool {
	waited := false
	for _, line := range f.printed {
		if strings.Contains(line, VerdictMark) || strings.Contains(line, "DATA RACE") || strings.HasPrefix(line, "panic: ") {
			return false
		}
		waited = waited || strings.Contains(line, WaitMark)
	}
	return waited
}

// repeatable returns the top-level tests of a suite that are worth a second try, none where anything failed that is not.
func (r Result) repeatable() []string {
	var names []string
	for _, f := range leaves(r.failures) {
		if !f.isWait() {
			return nil
		}
		name, _, _ := strings.Cut(f.name, "/")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) > repeatedMax {
		return nil
	}
	return names
}

// repeat runs tests again whose patience ran out, with nothing beside them. What passes then has passed, and the table says that it was repeated.
func repeat(ctx context.Context, lane Lane, r *Result, command Command, say func(suite, line string)) {
	names := r.repeatable()
	if r.Err == nil || len(names) == 0 || ctx.Err() != nil {
		return
	}
	say(r.Suite, "repeated alone, because patience ran out: "+strings.Join(names, ", "))
	again := newTally()
	err := runOne(command(ctx, lane, r.Suite, "^("+strings.Join(names, "|")+")$"), again, func(line string) { say(r.Suite, line) })
	if err == nil && again.counts.Tests-again.counts.Skipped < len(names) {
		err = fmt.Errorf("%d of %d repeated tests ran", again.counts.Tests-again.counts.Skipped, len(names))
	}
	if err != nil {
		return
	}
	r.Err, r.repeated = nil, names
}
