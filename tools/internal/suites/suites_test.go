package suites_test

import (
	"context"
	"os/exec"
	"regexp"
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
{"Action":"output","Package":"q","Test":"TestC","Output":"why it failed\n"}
{"Action":"fail","Package":"q","Test":"TestC"}
{"Action":"output","Package":"q","Output":"FAIL\tq\t0.1s\n"}
{"Action":"fail","Package":"q"}
END
exit 1`

// run runs suites of those names and returns what was printed.
func run(t *testing.T, lanes []suites.Lane, scripts map[string]string) (string, error) {
	t.Helper()
	var out strings.Builder
	err := suites.Run(t.Context(), lanes, func(ctx context.Context, suite string) *exec.Cmd {
		return exec.CommandContext(ctx, "sh", "-c", scripts[suite])
	}, &out)
	return out.String(), err
}

// spaces are what aligns a table.
var spaces = regexp.MustCompile(`[ \t]+`)

func TestRun(t *testing.T) {
	scripts := map[string]string{
		"unit": passing, "broken": failing,
		"sim": "echo '150 runs, 160 simulated hours'",
		"dry": `printf '%s\n' '{"Action":"build-output","ImportPath":"q","Output":"it does not compile\n"}' >&2; exit 2`,
	}
	for name, tc := range map[string]struct {
		lanes        []suites.Lane
		want, absent []string
		failed       string
	}{
		"Passes": {
			lanes: []suites.Lane{{"unit", "sim"}}, absent: []string{"chatter", "PASS", "FAILED"},
			want: []string{"unit: ok p 1.2s", "sim: 150 runs", "unit 3 0 1", "together 153 0 1"},
		},
		"OneFailsAndTheOthersGoOn": {
			lanes: []suites.Lane{{"broken", "unit"}, {"sim"}}, failed: "broken: exit status 1", absent: []string{"chatter"},
			want: []string{"broken: why it failed", "unit: ok", "broken 1 1 0 0 FAILED", "together 154 1 1"},
		},
		"OneDoesNotCompile": {lanes: []suites.Lane{{"dry"}}, failed: "dry: exit status 2", want: []string{"dry: it does not compile"}},
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

// TestLanesRunBesideEachOther: each of two waits for a file that the other one makes.
func TestLanesRunBesideEachOther(t *testing.T) {
	dir := t.TempDir()
	wait := func(mine, other string) string {
		return "cd " + dir + "; touch " + mine + "; while [ ! -e " + other + " ]; do sleep 0.05; done"
	}
	if _, err := run(t, []suites.Lane{{"a"}, {"b"}}, map[string]string{"a": wait("a", "b"), "b": wait("b", "a")}); err != nil {
		t.Error(err)
	}
}
