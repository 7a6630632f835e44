package process_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/test/process"
)

func TestFreePortNeverRepeats(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		port, err := process.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] {
			t.Fatalf("port %d was given out twice", port)
		}
		seen[port] = true
		if port < 20000 || port >= 32000 {
			t.Errorf("port %d may be given to a client by the system", port)
		}
	}
}

func TestEarlyDeathQuotesTheLog(t *testing.T) {
	p, err := process.Start(process.Options{
		Name: "unlucky", Path: "/bin/sh", Args: []string{"-c", "echo $REASON is taken >&2; exit 3"},
		Env: []string{"REASON=port"}, LogFile: filepath.Join(t.TempDir(), "log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	never := process.HTTPProbe("unlucky", "http://127.0.0.1:1/", nil)
	err = process.Await(t.Context(), never, p)
	if err == nil || !strings.Contains(err.Error(), "port is taken") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error = %v, want the exit status and the end of the log", err)
	}
}
