package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
)

// TestCodesAreExplained asks for a code in both spellings, for one that does not exist, and for all.
func TestCodesAreExplained(t *testing.T) {
	entry, _ := reason.Lookup(reason.HoldPaused)
	for name, test := range map[string]struct {
		codes          []string
		status         int
		stdout, stderr string
	}{
		"AsRecorded":   {codes: []string{string(reason.HoldPaused)}, stdout: entry.Remedy},
		"AsACondition": {codes: []string{reason.HoldPaused.Condition()}, stdout: entry.Meaning},
		"Unknown":      {codes: []string{"nonsense", string(reason.HoldPaused)}, status: 2, stdout: entry.Meaning, stderr: `"nonsense"`},
		"All":          {stdout: "| `hold.paused` |"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(test.codes, &stdout, &stderr)
			if status != test.status || !strings.Contains(stdout.String(), test.stdout) || !strings.Contains(stderr.String(), test.stderr) || (stderr.Len() > 0) != (test.stderr != "") {
				t.Errorf("status %d, stdout %q, stderr %q", status, stdout.String(), stderr.String())
			}
		})
	}
}
