package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// edit replaces text that occurs once in a file of the Go runtime.
type edit struct{ file, old, new string }

// edits take out of the Go runtime what orders goroutines by chance or by the time of day, so that a seed plays the
// same way each time. What concerns bubbles is drawn from a generator that starts anew with each of them.
var edits = []edit{
	// Maps, math/rand and what else asks the runtime.
	{"rand.go", "\tglobalRand.state.Init(*seed)\n", "\t*seed = [32]byte{1}\n\tglobalRand.state.Init(*seed)\n"},
	{"rand.go", "func rand() uint64 {\n", `func rand() uint64 {
	if getg().bubble != nil {
		return uint64(bubbleRand())<<32 | uint64(bubbleRand())
	}
	if globalRand.init {
		return splitmix(&outsideState)
	}
`},
	{"rand.go", "// rand32 is uint32(rand())", `var (
	bubbleState, outsideState uint64
	bubbleTicks               uint32
)

// splitmix is the generator SplitMix64.
//
//go:nosplit
func splitmix(state *uint64) uint64 {
	*state += 0x9e3779b97f4a7c15
	z := *state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

//go:nosplit
func bubbleRand() uint32 { return uint32(splitmix(&bubbleState) >> 32) }

// rand32 is uint32(rand())`},
	{"synctest.go", "\tbubble.now = synctestBaseTime\n", "\tbubble.now = synctestBaseTime\n\tbubbleState, bubbleTicks = 0, 0\n"},
	// Which of the cases of a select that are ready goes first, and which of the timers of the same instant.
	{"select.go", "\t\tj := cheaprandn(uint32(norder + 1))\n", `		j := cheaprandn(uint32(norder + 1))
		if getg().bubble != nil {
			j = bubbleRand() % uint32(norder+1)
		}
`},
	{"time.go", "\t\t\tt.rand = cheaprand()\n", "\t\t\tt.rand = bubbleRand()\n"},
	// A mutex is handed over when somebody has waited for a millisecond of the real time.
	{"sema.go", "func internal_sync_nanotime() int64 {\n", `func internal_sync_nanotime() int64 {
	if getg().bubble != nil {
		return 1
	}
`},
	// A goroutine is interrupted after some real time, and its processor is taken away while it is in the kernel.
	{"proc.go", "const forcePreemptNS = 10 * 1000 * 1000 // 10ms\n", "const forcePreemptNS = 60 * 1000 * 1000 * 1000\n"},
	{
		"proc.go", "if syst := int64(pp.syscalltick); !sysretake && int64(pd.syscalltick) != syst {",
		"if syst := int64(pp.syscalltick); !sysretake {",
	},
	// Every 61st goroutine comes from the global queue; what is outside of bubbles must not count.
	{"proc.go", "\tif pp.schedtick%61 == 0 && !sched.runq.empty() {\n", "\tif bubbleTicks%61 == 0 && !sched.runq.empty() {\n"},
	{"proc.go", "\tmp.curg = gp\n\tgp.m = mp\n\tgp.syncSafePoint", `	if gp.bubble != nil {
		bubbleTicks++
	}
	mp.curg = gp
	gp.m = mp
	gp.syncSafePoint`},
	// Threads race while a goroutine is bound to one, and each that is made shifts the addresses by which maps are ordered:
	// the main goroutine's until all packages are initialized, and the one that listens for signals.
	{"proc.go", "\tlockOSThread()\n\n\tif mp != &m0 {\n", "\tif mp != &m0 {\n"},
	{"proc.go", "\tneedUnlock := true\n\tdefer func() {\n", "\tneedUnlock := false\n\tdefer func() {\n"},
	{"proc.go", "\tneedUnlock = false\n\tunlockOSThread()\n", "\tneedUnlock = false\n"},
	{"signal_unix.go", "func sigenable(sig uint32) {\n", "func sigenable(sig uint32) {\n\tif true {\n\t\treturn\n\t}\n"},
	{"signal_unix.go", "func sigdisable(sig uint32) {\n", "func sigdisable(sig uint32) {\n\tif true {\n\t\treturn\n\t}\n"},
	{"signal_unix.go", "func sigignore(sig uint32) {\n", "func sigignore(sig uint32) {\n\tif true {\n\t\treturn\n\t}\n"},
}

// experiments have the heap begin at the same address in each process (ADR 9), and encoding/json decode faster (ADR 10).
const experiments = "norandomizedheapbase64,jsonv2"

// buildEnvironment is what to build with next to the overlay.
func buildEnvironment() []string {
	experiments := experiments
	if own := os.Getenv("GOEXPERIMENT"); own != "" {
		experiments = own + "," + experiments
	}
	return append(os.Environ(), "GOEXPERIMENT="+experiments)
}

// playEnvironment leaves all goroutines one processor, and nothing that interrupts them, allocates or frees by chance. It is all
// that a play sees of the environment.
var playEnvironment = []string{"GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1,memprofilerate=0"}

// runtimeSource is where the Go release that is in use has the text of its runtime.
func runtimeSource(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("look up GOROOT: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(root)), "src", "runtime"), nil
}

// writeOverlay edits the runtime of source, writes the edited files into folder, and one for go test's -overlay that names them.
// It fails if the text of this Go release is not the one that the edits are made for.
func writeOverlay(source, folder string) (string, error) {
	texts := map[string]string{}
	for _, e := range edits {
		text, ok := texts[e.file]
		if !ok {
			read, err := os.ReadFile(filepath.Join(source, e.file))
			if err != nil {
				return "", err
			}
			text = string(read)
		}
		if n := strings.Count(text, e.old); n != 1 {
			return "", fmt.Errorf("runtime/%s of this Go release has the text %q %d times, want once", e.file, e.old, n)
		}
		texts[e.file] = strings.Replace(text, e.old, e.new, 1)
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for file, text := range texts {
		edited := filepath.Join(folder, file)
		if err := os.WriteFile(edited, []byte(text), 0o600); err != nil {
			return "", err
		}
		overlay.Replace[filepath.Join(source, file)] = edited
	}
	listed, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	list := filepath.Join(folder, "overlay.json")
	return list, os.WriteFile(list, listed, 0o600)
}
