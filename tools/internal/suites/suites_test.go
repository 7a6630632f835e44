package suites_test

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/tools/internal/suites"
)

// passing is what a suite prints that passes: one test with a subtest, and one that is skipped.
const passing = `cat <<"END"
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"chatter of a test that passes\n"}
{"Action":"pass","Package":"p","Test":"TestA/Sub"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t1.2s\n"}
{"Action":"pass","Package":"p"}
END
`

// failing is what one prints that fails.
const failing = `cat <<"END"
{"Action":"output","Package":"q","Test":"TestC/Sub","Output":"chatter before\n"}
{"Action":"output","Package":"q","Test":"TestC/Sub","Output":"    c_test.go:7: why it failed\n"}
{"Action":"fail","Package":"q","Test":"TestC/Sub"}
{"Action":"fail","Package":"q","Test":"TestC"}
{"Action":"output","Package":"q","Output":"FAIL\tq\t0.1s\n"}
{"Action":"fail","Package":"q"}
END
exit 1`

// run runs suites of those names and returns what was printed.
func run(t *testing.T, lanes []suites.Lane, scripts map[string]string) (string, error) {
	t.Helper()
	var out strings.Builder
	err := suites.Run(t.Context(), lanes, func(ctx context.Context, _ suites.Lane, suite, pattern string) *exec.Cmd {
		if pattern != "" {
			suite += " " + pattern
		}
		return exec.CommandContext(ctx, "sh", "-c", scripts[suite])
	}, &out)
	return out.String(), err
}

func lane(names ...string) suites.Lane { return suites.Lane{Suites: names} }

// spaces are what aligns a table.
var spaces = regexp.MustCompile(`[ \t]+`)

func TestRun(t *testing.T) {
	scripts := map[string]string{
		"unit": passing, "broken": failing,
		"sim": "echo '150 runs, 160 simulated hours'",
		"exits": `printf '%s\n' '{"Action":"output","Package":"q","Output":"panic: in an init function\n"}
{"Action":"fail","Package":"q"}'; exit 1`,
		"seeds": "echo 'a run'; echo 'seed 7'; echo 'broke I1'; exit 1",
		"dry":   `printf '%s\n' '{"Action":"build-output","ImportPath":"q","Output":"it does not compile\n"}' >&2; exit 2`,
	}
	for name, tc := range map[string]struct {
		lanes        []suites.Lane
		want, absent []string
		failed       string
	}{
		"Passes": {
			lanes: []suites.Lane{lane("unit", "sim")}, absent: []string{"chatter", "PASS", "FAILED"},
			want: []string{"unit: ok p 1.2s", "sim: 150 runs", "unit 3 0 1", "together 153 0 1"},
		},
		"OneFailsAndTheOthersGoOn": {
			lanes: []suites.Lane{lane("broken", "unit"), lane("sim")}, failed: "broken: exit status 1", absent: []string{"chatter of", "failed: broken: q"},
			want: []string{
				"broken: c_test.go:7: why it failed", "unit: ok", "broken 2 2 0 0 FAILED", "together 155 2 1",
				"\nfailed: broken: TestC/Sub\n c_test.go:7: why it failed\n",
			},
		},
		"OneDoesNotCompile": {lanes: []suites.Lane{lane("dry")}, failed: "dry: exit status 2", want: []string{"dry: it does not compile", "failed: dry: without a failed test"}},
		"APackageFailsOutsideItsTests": {
			lanes: []suites.Lane{lane("exits")}, failed: "exits: exit status 1", want: []string{"failed: exits: q\n panic: in an init function\n"},
		},
		"ASuiteTellsWithoutEvents": {
			lanes: []suites.Lane{lane("seeds")}, failed: "seeds: exit status 1", want: []string{"failed: seeds: without a failed test\n seed 7\n broke I1\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := run(t, tc.lanes, scripts)
			if tc.failed == "" && err != nil || tc.failed != "" && (err == nil || !strings.Contains(err.Error(), tc.failed)) {
				t.Errorf("error %v, want %q", err, tc.failed)
			}
			for _, text := range tc.want {
				if !strings.Contains(spaces.ReplaceAllString(out, " "), text) {
					t.Errorf("%q is missing in\n%s", text, out)
				}
			}
			for _, text := range tc.absent {
				if strings.Contains(out, text) {
					t.Errorf("%q is in\n%s", text, out)
				}
			}
		})
	}
}

// failed is what a suite prints of which one test failed, with these lines.
func failed(test string, lines ...string) string {
	out := "cat <<\"END\"\n"
	for _, line := range lines {
		out += `{"Action":"output","Package":"q","Test":"` + test + `/Sub","Output":"` + line + `\n"}` + "\n"
	}
	for _, name := range []string{test + "/Sub", test} {
		out += `{"Action":"fail","Package":"q","Test":"` + name + `"}` + "\n"
	}
	return out + "{\"Action\":\"fail\",\"Package\":\"q\"}\nEND\nexit 1"
}

// TestPatienceThatRanOut has tests fail that waited for too long, and others; only the first are repeated, alone.
func TestPatienceThatRanOut(t *testing.T) {
	const waited = "a_test.go:1: " + suites.WaitMark + "the pod runs: deadline exceeded"
	for name, tc := range map[string]struct {
		first, again string
		repeated, ok bool
	}{
		"PassesAlone":     {failed("TestA", waited), passing, true, true},
		"FailsAgain":      {failed("TestA", waited), failed("TestA", waited), true, false},
		"RunsNothing":     {failed("TestA", waited), "true", true, false},
		"AnotherReason":   {failed("TestA", "a_test.go:1: want 1, got 2"), passing, false, false},
		"Verdict":         {failed("TestA", waited, "clean.go:1: "+suites.VerdictMark+"a leak"), passing, false, false},
		"Race":            {failed("TestA", waited, "WARNING: DATA RACE"), passing, false, false},
		"OneIsAnotherOne": {strings.TrimSuffix(failed("TestA", waited), "exit 1") + failing, passing, false, false},
		"Many": {
			strings.TrimSuffix(failed("TestA", waited), "exit 1") + strings.TrimSuffix(failed("TestB", waited), "exit 1") + failed("TestC", waited), passing, false, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := run(t, []suites.Lane{lane("s")}, map[string]string{"s": tc.first, "s ^(TestA)$": tc.again})
			if (err == nil) != tc.ok || strings.Contains(out, "repeated alone, because") != tc.repeated || strings.Contains(out, "passed when repeated alone: TestA") != tc.ok {
				t.Errorf("error %v, want it repeated %v and passed %v:\n%s", err, tc.repeated, tc.ok, out)
			}
		})
	}
}

// TestPatternReachesGoTest hands a pattern through make and the shell.
func TestPatternReachesGoTest(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("Makefile", []byte("a:\n\t@printf '%s,' $(TESTFLAGS)\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := suites.Make(t.Context(), lane("a"), "a", "^(TestA|TestB)$").Output()
	if err != nil || string(out) != "-json,-run,^(TestA|TestB)$," {
		t.Errorf("go test is told %q, error %v", out, err)
	}
}

// TestLanesRunBesideEachOther: each of two waits for a file that the other one makes.
func TestLanesRunBesideEachOther(t *testing.T) {
	dir := t.TempDir()
	wait := func(mine, other string) string {
		return "cd " + dir + "; touch " + mine + "; while [ ! -e " + other + " ]; do sleep 0.05; done"
	}
	if _, err := run(t, []suites.Lane{lane("a"), lane("b")}, map[string]string{"a": wait("a", "b"), "b": wait("b", "a")}); err != nil {
		t.Error(err)
	}
}

// TestVariablesBelongToTheirTarget also hands them to make.
func TestVariablesBelongToTheirTarget(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("Makefile", []byte("a b:\n\t@echo $@ $(X) $(Y)\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	lane := suites.ParseLane(" a X=1 Y=2 b", false)
	var said []string
	for _, suite := range lane.Suites {
		out, err := suites.Make(t.Context(), lane, suite, "").Output()
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, strings.TrimSpace(string(out)))
	}
	if got := strings.Join(said, ", "); got != "a 1 2, b" {
		t.Errorf("make did %s", got)
	}
}

// TestOnlyLanesBehindYield looks at the priority that a suite finds.
func TestOnlyLanesBehindYield(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("Makefile", []byte("niceness:\n\t@nice\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	niceness := func(l suites.Lane) int {
		out, err := suites.Make(t.Context(), l, "niceness", "").Output()
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(out)))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	front, behind := niceness(suites.Lane{}), niceness(suites.Lane{Behind: true})
	// Nobody is nicer than 19.
	if behind <= front && front < 19 {
		t.Errorf("niceness %d in front and %d behind", front, behind)
	}
}

// TestMarksAreThoseThatTestsPrint: tests do not link this module, so nothing but this compares the two.
func TestMarksAreThoseThatTestsPrint(t *testing.T) {
	for file, mark := range map[string]string{"scenario.go": suites.WaitMark, "clean.go": suites.VerdictMark} {
		text, err := os.ReadFile("../../../test/stack/stacktest/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), `"`+mark) {
			t.Errorf("%s prints no %q", file, mark)
		}
	}
}
