package suites

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// Counts are the tests of a suite, subtests included.
type Counts struct{ Tests, Failed, Skipped int }

// event is a line of "go test -json"; "go doc test2json" says what is in it.
type event struct {
	Action, Package, Test, Output string
}

// tally counts tests and keeps what they print until they have ended.
type tally struct {
	counts   Counts
	failures []failure
	// hasFailed names the packages of failed tests.
	hasFailed map[string]bool
	// other are the last lines that were not a test's.
	other []string
	// printed is what each test, and each package by itself, has printed.
	printed map[event][]string
}

func newTally() *tally { return &tally{hasFailed: map[string]bool{}, printed: map[event][]string{}} }

// runs is how the simulation tells how many seeds it played.
var runs = regexp.MustCompile(`^(\d+) runs, `)

// add takes one line of a suite's output and returns those that are worth reading: all of what a failed test printed, how packages ended,
// and whatever is not a test's.
func (t *tally) add(line string) []string {
	line = strings.TrimRight(line, "\n")
	var e event
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
		if found := runs.FindStringSubmatch(line); found != nil {
			n, _ := strconv.Atoi(found[1]) // the pattern has digits only
			t.counts.Tests += n
		}
		t.other = append(t.other, line)
		t.other = t.other[max(0, len(t.other)-reasonLines):]
		return []string{line}
	}
	of := event{Package: e.Package, Test: e.Test}
	switch e.Action {
	case "output":
		t.printed[of] = append(t.printed[of], strings.TrimRight(e.Output, "\n"))
	case "build-output":
		return []string{strings.TrimRight(e.Output, "\n")}
	case "pass", "skip", "fail":
		printed := t.printed[of]
		delete(t.printed, of)
		if e.Test == "" {
			if e.Action == "fail" && !t.hasFailed[e.Package] {
				t.failures = append(t.failures, failure{e.Package, printed})
			}
			return ending(printed, e.Action == "fail")
		}
		t.counts.Tests++
		switch e.Action {
		case "skip":
			t.counts.Skipped++
		case "fail":
			t.counts.Failed++
			t.failures = append(t.failures, failure{e.Test, printed})
			t.hasFailed[e.Package] = true
			return printed
		}
	}
	return nil
}

// ending is what a package printed besides its tests, without what says nothing.
func ending(printed []string, failed bool) []string {
	var out []string
	for _, line := range printed {
		if !failed && (line == "PASS" || strings.HasSuffix(line, "[no test files]") || strings.HasSuffix(line, "[no tests to run]")) {
			continue
		}
		out = append(out, line)
	}
	return out
}
