package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// The command in cmd/sim sets these; go test alone runs a few seeds.
var (
	seeds  = flag.Int("seeds", 2, "how many seeds to run")
	from   = flag.Uint64("from", 1, "the first seed")
	names  = flag.String("faults", "", "let these faults happen, separated by commas, instead of those that the seed draws")
	length = flag.Duration("length", fullLength, "how long workloads and faults come and go")
	report = flag.Bool("report", false, "print a line of JSON for each seed")
	hang   = flag.Duration("hang", 3*time.Minute, "how long a run may take; one that takes longer is caught in a loop")
)

func TestMain(m *testing.M) {
	flag.Parse()
	// What libraries start once must not start in a bubble.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	// The library's error handlers remember the time of the last error, which differs by decades in a bubble.
	utilruntime.ErrorHandlers = nil
	os.Exit(m.Run())
}

// TestSeeds plays whole runs, each with the workloads and the faults that its seed draws.
func TestSeeds(t *testing.T) {
	for i := range uint64(*seeds) {
		seed := *from + i
		t.Run(fmt.Sprint(seed), func(t *testing.T) { judged(t, play(t, planFor(t, seed))) })
	}
}

// planFor is a seed's plan, with the faults that the command line names.
func planFor(t *testing.T, seed uint64) plan {
	t.Helper()
	p := makePlan(seed, *length)
	if *names == "" {
		return p
	}
	drawn := p.faults
	p.faults = nil
	for i, name := range strings.Split(*names, ",") {
		if name == "none" {
			continue
		}
		if _, ok := faultNamed(name); !ok {
			t.Fatalf("there is no fault %q; there are %s", name, strings.Join(faultNames(), ", "))
		}
		o := occurrence{at: time.Duration(i+1) * 7 * time.Minute, length: 8 * time.Minute}
		if i < len(drawn) {
			o = drawn[i]
		}
		o.fault = name
		p.faults = append(p.faults, o)
	}
	return p
}

// memoryMax bounds a run that allocates while time stands still, before the watchdog comes.
const memoryMax = 6 << 30

// play runs a plan in a bubble, with random bytes that come from its seed. What the Go runtime decides differs from one play to
// the next; the command in cmd/sim takes that out too.
func play(t *testing.T, p plan) (r result) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, p.seed)
	// A collector that works when it likes would interrupt; a run calls it itself.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memoryMax))
	runtime.GC()
	folder, log := t.TempDir(), newRing()
	watchdog := time.AfterFunc(*hang, func() {
		panic(fmt.Sprintf("seed %d hangs after these steps:\n%s", p.seed, strings.Join(log.last(stepsMax), "\n")))
	})
	defer watchdog.Stop()
	synctest.Test(t, func(*testing.T) { r = run(p, folder, log) })
	return r
}

// judged reports what a run broke.
func judged(t *testing.T, r result) {
	t.Helper()
	if *report {
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("\nRESULT %s\n", line)
	}
	for _, v := range r.Violations {
		t.Errorf("seed %d breaks %s", r.Seed, v)
	}
	if len(r.Violations) > 0 {
		t.Logf("the last steps of seed %d, faults %v:\n%s", r.Seed, r.Faults, strings.Join(r.Steps, "\n"))
	}
}

// TestFaultsAreNamedOnce also keeps the list above the floor that was promised.
func TestFaultsAreNamedOnce(t *testing.T) {
	list := faultNames()
	if len(list) < 45 || len(slices.Compact(list)) != len(faults()) {
		t.Errorf("%d faults, of which %d have a name of their own", len(faults()), len(list))
	}
}
