package servicefx_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vpsie/vpsie-autoscaler/libs/rpc"
	"github.com/vpsie/vpsie-autoscaler/libs/servicefx"
)

type config struct {
	Service servicefx.Config `embed:""`
	Greeted string           `help:"Whom to greet." default:"nobody"`
}

func (c config) Validate() error { return c.Service.Validate() }

func load(t *testing.T, args ...string) (config, error) {
	t.Helper()
	return servicefx.Load[config]("test", servicefx.Args{Values: args, Out: io.Discard})
}

func TestConfigurationComesFromFlagsEnvironmentFileAndDefaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte("greeted: file\nlease-duration: 20s\nnamespace: file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VPSIE_NAMESPACE", "environment")
	c, err := load(t, "--config="+file, "--greeted=flag")
	if err != nil {
		t.Fatal(err)
	}
	if c.Greeted != "flag" || c.Service.Namespace != "environment" || c.Service.LeaseDuration != 20*time.Second || c.Service.StopTimeout != 25*time.Second {
		t.Errorf("configuration %+v", c)
	}
}

func TestBadConfigurationIsRefusedWithEveryProblem(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte("gretted: typo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args []string
		says []string
	}{
		"UnknownKey":   {[]string{"--config=" + file}, []string{"gretted", "--help"}},
		"UnknownFlag":  {[]string{"--nonsense"}, []string{"nonsense"}},
		"NotADuration": {[]string{"--lease-duration=long"}, []string{"lease-duration"}},
		"EveryProblem": {[]string{"--namespace=", "--lease-duration=1s", "--stop-timeout=0s"}, []string{"namespace", "lease-duration", "stop-timeout"}},
		"UnknownLevel": {[]string{"--log-level=loud"}, []string{"log-level"}},
		"MissingFile":  {[]string{"--config=" + file + ".absent"}, []string{"absent"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, tc.args...)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, part := range tc.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error lacks %q: %v", part, err)
				}
			}
		})
	}
}

func TestProblemsOfAFileAreToldInOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte("d: [1]\nb: [1]\na: [1]\nc: [1]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		_, err := load(t, "--config="+file)
		if err == nil || !regexp.MustCompile(`(?s): a is .*: b is .*: c is .*: d is `).MatchString(err.Error()) {
			t.Fatalf("the problems of a, b, c and d are told as: %v", err)
		}
	}
}

// every has a flag of each kind.
type every struct {
	Text     string        `help:"A text." default:"a"`
	Count    int32         `help:"A number." default:"5"`
	Wait     time.Duration `help:"A time." default:"1s"`
	Quiet    bool          `help:"Off unless asked for."`
	Nominate bool          `help:"On unless switched off." default:"true" negatable:""`
	Level    string        `help:"One of several." default:"low" enum:"low,high"`
	Inner    struct {
		ClientIDFile string `help:"A file." type:"path"`
		URL          string `help:"An address."`
	} `embed:"" prefix:"vpsie-"`
}

func TestFlagsOfEveryKind(t *testing.T) {
	read := func(args ...string) (every, error) {
		return servicefx.Load[every]("test", servicefx.Args{Values: args, Out: io.Discard})
	}
	got, err := read()
	if want := (every{Text: "a", Count: 5, Wait: time.Second, Nominate: true, Level: "low"}); err != nil || got != want {
		t.Errorf("without flags %+v, %v", got, err)
	}
	t.Setenv("VPSIE_VPSIE_URL", "http://a")
	got, err = read("--text", "b c", "--count=-7", "--wait=2m", "--quiet", "--no-nominate", "--level=high", "--vpsie-client-id-file=/x/../y")
	want := every{Text: "b c", Count: -7, Wait: 2 * time.Minute, Quiet: true, Level: "high"}
	want.Inner.ClientIDFile, want.Inner.URL = "/y", "http://a"
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if got, err := read("--quiet=true", "--nominate=false"); err != nil || !got.Quiet || got.Nominate {
		t.Errorf("%+v, %v", got, err)
	}
	for _, args := range [][]string{{"stray"}, {"--no-quiet"}, {"--no-nominate=true"}, {"--count"}, {"--count=3000000000"}, {"--quiet=perhaps"}, {"--level=middle"}} {
		if _, err := read(args...); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	var out bytes.Buffer
	status := -1
	_, err := servicefx.Load[every]("test", servicefx.Args{Values: []string{"--help"}, Out: &out, Exit: func(s int) { status = s }})
	if !errors.Is(err, servicefx.ErrHelp) || status != 0 {
		t.Errorf("status %d, %v", status, err)
	}
	for _, text := range []string{"--[no-]nominate ($VPSIE_NOMINATE)", `--wait="1s"`, "Off unless asked for.", "$VPSIE_CONFIG"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("the help lacks %s: %s", text, out.String())
		}
	}
}

// TestOps asks a running operations endpoint what an operator asks.
func TestOps(t *testing.T) {
	var log bytes.Buffer
	ready := servicefx.NewReadiness()
	missing := errors.New("not yet")
	ready.Add("feed", func() error { return missing })
	ops := servicefx.NewOps(servicefx.Config{}, rpc.TCP{}, ready, slog.New(slog.NewTextHandler(&log, nil)))
	get := func(path string) (int, string) {
		t.Helper()
		rec := httptest.NewRecorder()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		ops.Handler().ServeHTTP(rec, req)
		return rec.Code, rec.Body.String()
	}
	if code, body := get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "feed: not yet") {
		t.Errorf("/readyz = %d %q, want what is missing", code, body)
	}
	if code, _ := get("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz = %d while something outside is missing, want 200", code)
	}
	missing = nil
	if code, _ := get("/readyz"); code != http.StatusOK {
		t.Errorf("/readyz = %d, want 200", code)
	}
	if code, body := get("/metrics"); code != http.StatusOK || !strings.Contains(body, "go_goroutines") {
		t.Errorf("/metrics = %d without Go's metrics", code)
	}
	if code, _ := get("/debug/pprof/"); code != http.StatusOK {
		t.Errorf("/debug/pprof/ = %d, want 200", code)
	}
}

func TestTasksSayWhereTheyRun(t *testing.T) {
	type elected interface{ NeedLeaderElection() bool }
	if task, ok := servicefx.LeaderTask(nil).(elected); !ok || !task.NeedLeaderElection() {
		t.Error("a leader's task runs on every replica")
	}
	if task, ok := servicefx.ReplicaTask(nil).(elected); !ok || task.NeedLeaderElection() {
		t.Error("a replica's task waits for the election")
	}
}
