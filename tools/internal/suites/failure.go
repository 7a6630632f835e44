package suites

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	// reasonLines and reasonWidth bound what the summary repeats of a failed test, failuresMax how many it names: it must fit where only the end of
	// a long log is kept.
	reasonLines, reasonWidth = 2, 300
	failuresMax              = 6
)

// failure is a test that failed, a package that failed outside its tests, or a suite that failed outside its packages.
type failure struct {
	name string
	// printed is what it printed.
	printed []string
}

// reason is what tells most about the failure: the first lines that a test's checks printed, a race or a panic, or else the last lines.
func (f failure) reason() []string {
	var telling []string
	for _, line := range f.printed {
		if strings.Contains(line, "_test.go:") || strings.Contains(line, "DATA RACE") || strings.HasPrefix(line, "panic: ") {
			telling = append(telling, line)
		}
	}
	lines := telling[:min(len(telling), reasonLines)]
	if len(lines) == 0 {
		lines = f.printed[max(0, len(f.printed)-reasonLines):]
	}
	out := make([]string, len(lines))
	for i, line := range lines {
		line = strings.TrimSpace(line)
		out[i] = line[:min(len(line), reasonWidth)]
	}
	return out
}

// leaves are the failures without those of tests that failed because a subtest of theirs did.
func leaves(failures []failure) []failure {
	return slices.DeleteFunc(slices.Clone(failures), func(f failure) bool {
		return slices.ContainsFunc(failures, func(other failure) bool { return strings.HasPrefix(other.name, f.name+"/") })
	})
}

// printFailures names what failed, each with its reason.
func printFailures(out io.Writer, results []Result) {
	left := failuresMax
	for _, r := range results {
		for _, f := range leaves(r.failures) {
			if left--; left < 0 {
				continue
			}
			fmt.Fprintf(out, "failed: %s: %s\n", r.Suite, f.name)
			for _, line := range f.reason() {
				fmt.Fprintf(out, "    %s\n", line)
			}
		}
	}
	if left < 0 {
		fmt.Fprintf(out, "failed: %d more\n", -left)
	}
}
