// Package suites runs suites of tests beside each other and counts their tests.
package suites

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// killAfter is how long a suite that was told to end may take to do so.
const killAfter = 30 * time.Second

// behindNiceness is how much a lane in the background yields, as nice counts: another one gets nine times its share of a processor.
const behindNiceness = "10"

// Lane is a list of suites that run one after the other.
type Lane struct {
	Suites []string
	// Behind says that the suites get the time of processors that other lanes leave: they compute, where others wait for what takes its time.
	Behind bool
}

// ParseLane reads make targets that are separated by spaces, each with the variables that follow it, as in "test-chaos CHAOS_COUNT=3 test-load".
func ParseLane(text string, behind bool) Lane {
	lane := Lane{Behind: behind}
	for _, word := range strings.Fields(text) {
		if last := len(lane.Suites) - 1; last >= 0 && strings.Contains(word, "=") {
			lane.Suites[last] += " " + word
			continue
		}
		lane.Suites = append(lane.Suites, word)
	}
	return lane
}

// Command returns the command that runs a suite of a lane: all of its tests, or those whose names a pattern matches. It prints what "go test -json"
// does, and other lines.
type Command func(ctx context.Context, lane Lane, suite, pattern string) *exec.Cmd

// Make runs a suite as a make target. It ends with everything that it has started.
func Make(ctx context.Context, lane Lane, suite, pattern string) *exec.Cmd {
	args := append([]string{"make", "--no-print-directory"}, strings.Fields(suite)...)
	if lane.Behind {
		args = append([]string{"nice", "-n", behindNiceness}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	flags := "-json"
	if pattern != "" {
		flags += " -run '" + strings.ReplaceAll(pattern, "$", "$$") + "'" // make expands what it finds in its environment
	}
	cmd.Env = append(os.Environ(), "TESTFLAGS="+flags)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = killAfter
	return cmd
}

// Run runs the lanes beside each other, tells what goes on line by line, each with the name of its suite, and prints a table at the end.
// A suite that fails stops no other one, so that one run shows everything that is broken. A few tests whose patience ran out are repeated at the
// end, alone. The error names the suites that failed.
func Run(ctx context.Context, lanes []Lane, command Command, out io.Writer) error {
	began := time.Now()
	var mu sync.Mutex
	say := func(suite, line string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, "%s: %s\n", suite, line)
	}
	results := make([][]Result, len(lanes))
	var work sync.WaitGroup
	for i, lane := range lanes {
		work.Go(func() {
			for _, suite := range lane.Suites {
				tally := newTally()
				started := time.Now()
				err := runOne(command(ctx, lane, suite, ""), tally, func(line string) { say(suite, line) })
				if err != nil && len(tally.failures) == 0 {
					tally.failures = []failure{{"without a failed test", tally.other}}
				}
				results[i] = append(results[i], Result{Suite: suite, Counts: tally.counts, Took: time.Since(started), Err: err, failures: tally.failures})
			}
		})
	}
	work.Wait()
	for i, lane := range lanes {
		for j := range results[i] {
			repeat(ctx, lane, &results[i][j], command, say)
		}
	}
	all := slices.Concat(results...)
	printTable(out, all, time.Since(began))
	var failed error
	for _, r := range all {
		if r.Err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", r.Suite, r.Err))
		}
	}
	return errors.Join(failed, ctx.Err())
}

// runOne hands what a suite prints to the tally, and what is worth reading to say.
func runOne(cmd *exec.Cmd, tally *tally, say func(string)) error {
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reader.Close()
	cmd.Stdout, cmd.Stderr = writer, writer
	err = cmd.Start()
	writer.Close()
	if err != nil {
		return err
	}
	lines := bufio.NewReader(reader)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			for _, text := range tally.add(line) {
				say(text)
			}
		}
		if err != nil {
			break // all who could write have ended
		}
	}
	return cmd.Wait()
}
