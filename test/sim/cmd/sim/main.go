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
	flag.Uint64Var(&o.seed, "seed", 0, "play this seed alone and show its steps")
	flag.StringVar(&o.faults, "faults", "", "let these faults happen, separated by commas, instead of those that each seed draws")
	flag.DurationVar(&o.length, "length", time.Hour, "how long workloads and faults come and go in a seed")
	flag.IntVar(&o.workers, "workers", runtime.NumCPU(), "how many seeds to play at a time")
	flag.StringVar(&o.folder, "folder", "test/sim", "where the simulation's package is")
	flag.IntVar(&o.min, "faults-min", 0, "fail unless this many faults did something")
	flag.BoolVar(&o.month, "month", false, "play one more run, of thirty days")
	flag.IntVar(&o.replays, "replays", 0, "play so many of the seeds once more, and fail unless each takes the same steps")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
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
	errs := make([]error, o.workers+1)
	var workers sync.WaitGroup
	var next atomic.Int64
	for i := range o.workers {
		workers.Go(func() {
			if i == 0 && o.month {
				_, errs[o.workers] = play(ctx, o, binary, o.from, month, sums, out)
			}
			for ctx.Err() == nil && errs[i] == nil {
				n := int(next.Add(1)) - 1
				if n >= o.seeds+o.replays {
					return
				}
				errs[i] = playOrReplay(ctx, o, binary, n, sums, out)
			}
		})
	}
	workers.Wait()
	sums.print(out, o, time.Since(began))
	return errors.Join(append(errs, sums.verdict(o))...)
}

// scratchFolder names a new folder. Names are of one length, here and in play: longer ones would shift the addresses that
// maps are ordered by.
func scratchFolder() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("sim-%08x", rand.Uint32())) //nolint:gosec // it only has to be new
}

// build compiles the simulation, on a runtime that plays a seed the same way each time if this Go release allows that.
func build(ctx context.Context, folder, scratch string) (binary string, err error) {
	binary = filepath.Join(scratch, "sim.test")
	args := []string{"test", "-c", "-o", binary}
	overlay, err := writeOverlay(ctx, scratch)
	if err != nil {
		fmt.Fprintf(os.Stderr, "sim: %v: what a seed draws stays the same, but goroutines that can run at the same instant are ordered by chance; "+
			"adapt the edits in cmd/sim/runtime.go to this release\n", err)
	} else {
		args = append(args, "-overlay", overlay)
	}
	c := exec.CommandContext(ctx, "go", append(args, ".")...)
	c.Dir, c.Env, c.Stderr = folder, buildEnvironment(), os.Stderr
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("build simulation: %w", err)
	}
	return binary, nil
}

// playOrReplay plays the nth seed, or plays an early one again when all have had their turn.
func playOrReplay(ctx context.Context, o options, binary string, n int, sums *sums, out io.Writer) error {
	if n < o.seeds {
		r, err := play(ctx, o, binary, o.from+uint64(n), o.length, sums, out)
		sums.keepTrace(r)
		return err
	}
	seed := o.from + uint64(n-o.seeds)
	again, err := play(ctx, o, binary, seed, o.length, newSums(), io.Discard)
	if err != nil {
		return err
	}
	if first := sums.traceOf(seed); first != again.Trace {
		return fmt.Errorf("seed %d took other steps when it was played again: trace %s, then %s", seed, first, again.Trace)
	}
	return nil
}

// month is a run in which leaks and growth would show that an hour hides.
const month = 30 * 24 * time.Hour

// livesMin is how many machines come and go in each run.
const livesMin = 10

// plays counts what was started.
var plays atomic.Int64

// play plays a seed in a process of its own, so that nothing is left over from another one. Its goroutines share one processor:
// that is faster than many.
func play(ctx context.Context, o options, binary string, seed uint64, length time.Duration, sums *sums, out io.Writer) (result, error) {
	c := exec.CommandContext(ctx, binary, "-test.run=^TestSeeds$", "-test.timeout=0", "-test.v", "-report", "-seeds=1",
		"-from="+strconv.FormatUint(seed, 10), "-faults="+o.faults, "-length="+length.String(), "-hang="+hang(length).String())
	c.Dir = filepath.Join(filepath.Dir(binary), fmt.Sprintf("%08d", plays.Add(1)))
	if err := os.Mkdir(c.Dir, 0o700); err != nil {
		return result{}, err
	}
	defer os.RemoveAll(c.Dir)
	c.Env = append(slices.Clone(playEnvironment), "TMPDIR="+c.Dir)
	stdout, err := c.StdoutPipe()
	if err != nil {
		return result{}, err
	}
	c.Stderr = c.Stdout
	if err := c.Start(); err != nil {
		return result{}, fmt.Errorf("start simulation: %w", err)
	}
	var r result
	last := tail{}
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadString('\n')
		if text, ok := strings.CutPrefix(line, "RESULT "); ok {
			if err := json.Unmarshal([]byte(text), &r); err != nil {
				return result{}, fmt.Errorf("read result: %w", err)
			}
			sums.add(r)
			r.print(out, o, length)
		} else {
			last.add(line)
		}
		if err != nil {
			break
		}
	}
	if err := c.Wait(); err != nil && len(r.Violations) == 0 {
		return result{}, fmt.Errorf("seed %d ended without a result (%w):\n%s", seed, err, last.text())
	}
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
	Bought     int
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
	mu      sync.Mutex
	seeds   int
	broken  []uint64
	hits    map[string]int
	lives   int
	fewest  int
	bought  int
	calls   int
	seconds float64
	short   float64
	traces  map[uint64]string
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
	s.lives, s.bought, s.calls, s.seconds = s.lives+r.Lives, s.bought+r.Bought, s.calls+r.Calls, s.seconds+r.Seconds
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
	fmt.Fprintf(out, "%d runs, %.0f simulated hours (at least %.1f a seed), %d machines bought, %d lives (at least %d a seed), %d calls to VPSie, %d faults did something; %d broke an invariant; %s\n",
		s.seeds, s.seconds/3600, s.short/3600, s.bought, s.lives, max(s.fewest, 0), s.calls, acted, len(s.broken), took.Round(time.Second))
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
	if o.length >= time.Hour && (s.fewest < livesMin || s.short < o.length.Seconds()) {
		return fmt.Errorf("a run had %d lives in %.0f s; each has to have %d in %s", s.fewest, s.short, livesMin, o.length)
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
