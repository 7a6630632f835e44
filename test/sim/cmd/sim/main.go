// Command sim plays seeds of the simulation on every processor and adds up what they showed.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// options are what the command line says.
type options struct {
	seeds   int
	from    uint64
	seed    uint64
	faults  string
	length  time.Duration
	workers int
	folder  string
	min     int
	month   bool
	replays int
}

func main() {
	var o options
	flag.IntVar(&o.seeds, "seeds", 1000, "how many seeds to play")
	flag.Uint64Var(&o.from, "from", 1, "the first seed")
	flag.Uint64Var(&o.seed, "seed", 0, "play this seed alone")
	flag.StringVar(&o.faults, "faults", "", "let these faults happen, separated by commas, instead of those that each seed draws")
	flag.DurationVar(&o.length, "length", fullLength, "how long workloads and faults come and go in a seed")
	flag.IntVar(&o.workers, "workers", runtime.NumCPU(), "how many seeds to play at a time")
	flag.StringVar(&o.folder, "folder", "test/sim", "where the simulation's package is")
	flag.IntVar(&o.min, "faults-min", 0, "fail unless this many faults did something")
	flag.BoolVar(&o.month, "month", false, "play one more run, of thirty days")
	flag.IntVar(&o.replays, "replays", 0, "play so many of the seeds, and those that break an invariant, again, and fail unless two plays of each take the same steps")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
		os.Exit(1)
	}
}

// run builds the simulation, plays the seeds in as many processes as there are workers, and prints the sums.
func run(ctx context.Context, o options, out io.Writer) error {
	if o.seed != 0 {
		o.from, o.seeds, o.workers = o.seed, 1, 1
	}
	o.workers = min(o.workers, o.seeds)
	scratch := scratchFolder()
	if err := os.Mkdir(scratch, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	binary, err := build(ctx, o.folder, scratch)
	if err != nil {
		return err
	}
	began := time.Now()
	sums := newSums()
	var monthErr error
	err = share(ctx, o, o.seeds, func(n int) error {
		if n == 0 && o.month {
			_, monthErr = play(ctx, o, binary, filepath.Join(scratch, "month000"), o.from, month, sums, out)
		}
		r, err := play(ctx, o, binary, filepath.Join(scratch, fmt.Sprintf("%08d", n)), o.from+uint64(n), o.length, sums, out)
		if err == nil {
			sums.keepTrace(r)
		}
		return err
	})
	if err == nil {
		err = replay(ctx, o, binary, scratch, sums, out)
	}
	sums.print(out, o, time.Since(began))
	return errors.Join(err, monthErr, sums.verdict(o))
}

// share has the workers take the numbers below n in turn; each stops at its first error.
func share(ctx context.Context, o options, n int, do func(n int) error) error {
	errs := make([]error, o.workers)
	var workers sync.WaitGroup
	var next atomic.Int64
	for i := range o.workers {
		workers.Go(func() {
			for ctx.Err() == nil && errs[i] == nil {
				number := int(next.Add(1)) - 1
				if number >= n {
					return
				}
				errs[i] = do(number)
			}
		})
	}
	workers.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// playsMax bounds how often a seed is played until two plays of it take the same steps. A busy machine may disturb one: two threads of
// a process that the kernel stops for long enough change places. What depends on chance gives other steps each time.
const playsMax = 3

// replay plays the first seeds again, and those that broke an invariant, and fails unless two plays of each take the same steps.
func replay(ctx context.Context, o options, binary, scratch string, sums *sums, out io.Writer) error {
	var seeds []uint64
	for n := range min(o.replays, o.seeds) {
		seeds = append(seeds, o.from+uint64(n))
	}
	if o.replays > 0 {
		seeds = append(seeds, sums.broken...)
	}
	return share(ctx, o, len(seeds), func(n int) error {
		seed := seeds[n]
		traces := []string{sums.traceOf(seed)}
		for len(traces) < playsMax {
			again, err := play(ctx, o, binary, filepath.Join(scratch, fmt.Sprintf("again%03d", n*playsMax+len(traces))), seed, o.length, newSums(), io.Discard)
			if err != nil {
				return err
			}
			if slices.Contains(traces, again.Trace) {
				return nil
			}
			fmt.Fprintf(out, "seed %d took other steps than before when it was played again\n", seed)
			traces = append(traces, again.Trace)
		}
		return fmt.Errorf("seed %d took other steps each time: traces %s", seed, strings.Join(traces, ", "))
	})
}

// scratchFolder names a new folder. Names are of one length, here and in play: longer ones would shift the addresses that
// maps are ordered by.
func scratchFolder() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("sim-%08x", rand.Uint32())) //nolint:gosec // it only has to be new
}

// build compiles the simulation, on a runtime that plays a seed the same way each time if this Go release allows that.
func build(ctx context.Context, folder, scratch string) (binary string, err error) {
	binary = filepath.Join(scratch, "sim.test")
	args, environment := []string{"test", "-c", "-o", binary}, os.Environ()
	source, err := runtimeSource(ctx)
	if err != nil {
		return "", err
	}
	overlay, err := writeOverlay(source, scratch)
	if err != nil {
		fmt.Fprintf(os.Stderr, "sim: %v: what a seed draws stays the same, but goroutines that can run at the same instant are ordered by chance; "+
			"adapt the edits in cmd/sim/runtime.go to this release\n", err)
	} else {
		args, environment = append(args, "-overlay", overlay), buildEnvironment()
	}
	c := exec.CommandContext(ctx, "go", append(args, ".")...)
	c.Dir, c.Env, c.Stderr, c.WaitDelay = folder, environment, os.Stderr, time.Minute
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("build simulation: %w", err)
	}
	return binary, nil
}

// month is a run in which leaks and growth would show that an hour hides.
const month = 30 * 24 * time.Hour

const (
	// fullLength is how long workloads and faults come and go in a seed, which goes on for an hour at least.
	fullLength = 50 * time.Minute
	secondsMin = 3600
	// livesMin is how many machines come and go in each run.
	livesMin = 10
)

// play plays a seed in a process of its own, so that nothing is left over from another one, which may write to folder only.
// Its goroutines share one processor: that is faster than many.
func play(ctx context.Context, o options, binary, folder string, seed uint64, length time.Duration, sums *sums, out io.Writer) (result, error) {
	// The run's own watchdog shows the last steps; a loop that it cannot interrupt is ended from here.
	ctx, cancel := context.WithTimeout(ctx, hang(length)+2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, binary, "-test.run=^TestSeeds$", "-test.timeout=0", "-test.v", "-report", "-seeds=1",
		"-from="+strconv.FormatUint(seed, 10), "-faults="+o.faults, "-length="+length.String(), "-hang="+hang(length).String())
	if err := os.Mkdir(folder, 0o700); err != nil {
		return result{}, err
	}
	defer os.RemoveAll(folder)
	c.Dir, c.Env, c.WaitDelay = folder, append(slices.Clone(playEnvironment), "TMPDIR="+folder), time.Minute
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGQUIT) }
	stdout, err := c.StdoutPipe()
	if err != nil {
		return result{}, err
	}
	c.Stderr = c.Stdout
	if err := c.Start(); err != nil {
		return result{}, fmt.Errorf("start simulation: %w", err)
	}
	var r result
	var unread error
	last := tail{}
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadString('\n')
		if text, ok := strings.CutPrefix(line, "RESULT "); ok {
			unread = json.Unmarshal([]byte(text), &r)
		} else {
			last.add(line)
		}
		if err != nil {
			break
		}
	}
	if err := errors.Join(c.Wait(), unread); err != nil && len(r.Violations) == 0 {
		return result{}, fmt.Errorf("seed %d ended badly (%w):\n%s", seed, err, last.text())
	}
	sums.add(r)
	r.print(out, o, length)
	return r, nil
}

// hang is how long a run may take before it counts as caught in a loop.
func hang(length time.Duration) time.Duration { return 2*time.Minute + length/100 }

// tail keeps the last lines of a run, for one that ends without a result.
type tail struct{ lines []string }

const tailMax = 20_000

func (t *tail) add(line string) {
	t.lines = append(t.lines, line)
	t.lines = t.lines[max(0, len(t.lines)-tailMax):]
}

func (t *tail) text() string { return strings.Join(t.lines, "") }

// result is what a run says of its seed.
type result struct {
	Seed       uint64
	Violations []string
	Steps      []string
	Faults     []string
	Hits       map[string]int
	Lives      int
	Followed   int
	Launched   int
	Calls      int
	Seconds    float64
	Trace      string
}

func (r result) print(out io.Writer, o options, length time.Duration) {
	if len(r.Violations) == 0 && o.seed == 0 {
		return
	}
	fmt.Fprintf(out, "seed %d: faults %s\n", r.Seed, strings.Join(r.Faults, ", "))
	if len(r.Violations) > 0 {
		fmt.Fprintf(out, "the last steps:\n\t%s\n", strings.Join(r.Steps, "\n\t"))
	}
	for _, v := range r.Violations {
		fmt.Fprintf(out, "seed %d breaks %s\n", r.Seed, v)
	}
	if o.seed != 0 || len(r.Violations) > 0 {
		fmt.Fprintf(out, "seed %d: trace %s; a play with the same trace took the same steps\n", r.Seed, r.Trace)
	}
	if len(r.Violations) > 0 {
		fmt.Fprintf(out, "it plays again with: make sim SEED=%d FAULTS='%s' LENGTH=%s\n", r.Seed, o.faults, length)
	}
}

// sums are the results of all seeds. It is safe for concurrent use.
type sums struct {
	mu     sync.Mutex
	seeds  int
	broken []uint64
	hits   map[string]int
	lives  int
	// followed are the pods that were bound where the planner had nominated them.
	followed int
	fewest   int
	launched int
	calls    int
	seconds  float64
	short    float64
	traces   map[uint64]string
}

func newSums() *sums { return &sums{hits: map[string]int{}, fewest: -1, traces: map[uint64]string{}} }

func (s *sums) keepTrace(r result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.traces[r.Seed] = r.Trace
}

func (s *sums) traceOf(seed uint64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.traces[seed]
}

func (s *sums) add(r result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seeds++
	if len(r.Violations) > 0 {
		s.broken = append(s.broken, r.Seed)
	}
	for name, n := range r.Hits {
		s.hits[name] += n
	}
	s.lives, s.launched, s.calls, s.seconds, s.followed = s.lives+r.Lives, s.launched+r.Launched, s.calls+r.Calls, s.seconds+r.Seconds, s.followed+r.Followed
	if s.fewest < 0 || r.Lives < s.fewest {
		s.fewest = r.Lives
	}
	if s.short == 0 || r.Seconds < s.short {
		s.short = r.Seconds
	}
}

func (s *sums) print(out io.Writer, o options, took time.Duration) {
	acted := 0
	for _, n := range s.hits {
		if n > 0 {
			acted++
		}
	}
	if o.seed == 0 {
		fmt.Fprintf(out, "%-32s %s\n", "fault", "times it did something")
		for _, name := range slices.Sorted(maps.Keys(s.hits)) {
			fmt.Fprintf(out, "%-32s %d\n", name, s.hits[name])
		}
	}
	fmt.Fprintf(out, "%d runs, %.0f simulated hours (at least %.1f a seed), %d machines launched, %d lives (at least %d a seed), %d pods bound where nominated, %d calls to VPSie, %d faults did something; %d broke an invariant; %s\n",
		s.seeds, s.seconds/3600, s.short/3600, s.launched, s.lives, max(s.fewest, 0), s.followed, s.calls, acted, len(s.broken), took.Round(time.Second))
}

func (s *sums) verdict(o options) error {
	if len(s.broken) > 0 {
		slices.Sort(s.broken)
		return fmt.Errorf("seeds %v break an invariant", s.broken)
	}
	want := o.seeds
	if o.month {
		want++
	}
	if s.seeds != want {
		return fmt.Errorf("%d of %d runs were played", s.seeds, want)
	}
	if o.length >= fullLength && (s.fewest < livesMin || s.short < max(o.length.Seconds(), secondsMin)) {
		return fmt.Errorf("a run had %d lives or took %.0f s; each has to have %d lives and %.0f s", s.fewest, s.short, livesMin, max(o.length.Seconds(), secondsMin))
	}
	acted := 0
	for _, n := range s.hits {
		if n > 0 {
			acted++
		}
	}
	if acted < o.min {
		return fmt.Errorf("%d faults did something, fewer than %d", acted, o.min)
	}
	return nil
}
