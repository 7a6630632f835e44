package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// runMain makes the test binary be the command.
const runMain = "PLAN_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

const types = `[{"name":"a","vcpu":2,"memGiB":4,"pods":110,"reservedMilliCPU":100,"reservedMiB":256,"priceHour":0.04,"zones":["z1"],"arch":"amd64"}]`

const pods = `{"apiVersion":"v1","kind":"PodList","items":[
	{"metadata":{"name":"x"},"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"1","memory":"1Gi"}}}]}},
	{"metadata":{"name":"<y>"},"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"3","memory":"1Gi"}}}]}}]}`

// command runs the command on files with these texts, and returns what it prints and its exit status.
func command(t *testing.T, types, pods string) (out, messages string, status int) {
	t.Helper()
	dir := t.TempDir()
	args := []string{"-types", filepath.Join(dir, "types.json"), "-pods", filepath.Join(dir, "pods.json")}
	for file, text := range map[string]string{args[1]: types, args[3]: pods} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), runMain+"=1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

func TestPlanPrintsOneResult(t *testing.T) {
	out, messages, status := command(t, types, pods)
	if status != 0 || messages != "" {
		t.Fatalf("exit status %d and message %q, want neither", status, messages)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(out), &fields); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	var names []string
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	if want := []string{"costPerHour", "lowerBoundPerHour", "nodes", "peakMiB", "seed", "unplaced", "wallSeconds"}; !slices.Equal(names, want) {
		t.Errorf("fields %v, want %v", names, want)
	}
	for name, want := range map[string]string{
		"nodes": `[{"type":"a","zone":"z1","pods":["x"]}]`, "costPerHour": "0.04", "seed": "0",
	} {
		if got := string(fields[name]); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if unplaced := string(fields["unplaced"]); !strings.HasPrefix(unplaced, `[{"pod":"<y>","reason":"too small for the pod`) {
		t.Errorf("unplaced is %s, want <y> and why", unplaced)
	}
	var result struct{ LowerBoundPerHour, WallSeconds, PeakMiB float64 }
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		t.Fatal(err)
	}
	if result.LowerBoundPerHour <= 0 || result.LowerBoundPerHour > 0.04 || result.WallSeconds <= 0 || result.WallSeconds > 60 || result.PeakMiB < 1 {
		t.Errorf("result %+v, want a bound up to the cost, some time and some memory", result)
	}
}

func TestPlanRefusesWhatItCannotRead(t *testing.T) {
	for name, tc := range map[string]struct{ types, pods, want string }{
		"NoTypes":        {"", pods, "types.json: no such file"},
		"NoPods":         {types, "", "pods.json: no such file"},
		"MalformedTypes": {"[{]", pods, "types.json: cannot be read as an array of machine types: malformed JSON in line 1"},
		"MalformedPods":  {types, "{", "pods.json: cannot be read as a PodList: malformed JSON in line 1"},
		"WrongPod":       {types, strings.Replace(pods, `"1Gi"`, `"much"`, 1), `items[0] "x": requests of container c: memory is "much"`},
	} {
		t.Run(name, func(t *testing.T) {
			out, messages, status := command(t, tc.types, tc.pods)
			if status != 2 || out != "" || !strings.Contains(messages, tc.want) {
				t.Errorf("exit status %d, output %q and message %q, want 2, none, and one with %q", status, out, messages, tc.want)
			}
		})
	}
}

func TestPlanExplainsItsArguments(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{{nil, "TYPES="}, {[]string{"-types", "a", "-pods", "b", "c"}, `"c" is not understood`}} {
		var out, messages bytes.Buffer
		if err := run(tc.args, &out, &messages); err == nil || !strings.Contains(err.Error(), tc.want) || out.Len() > 0 {
			t.Errorf("%v: error %v and output %q, want one with %q and none", tc.args, err, out.String(), tc.want)
		}
	}
}
