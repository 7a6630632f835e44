// Package servicefxtest compares what a service's --help says with what its README says.
package servicefxtest

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/libs/servicefx"
)

// A flag as --help shows it: its name, its default (none for a switch) and, on the next line, its help.
var shown = regexp.MustCompile(`(?m)^  (--\S*?)(?:="(.*)")? \(\$\w+\)\n +(.+)$`)

// WantFlags fails the test for a flag of C that none of the pages has in its table, with its default and its help.
func WantFlags[C any](t *testing.T, pages ...string) {
	t.Helper()
	var help bytes.Buffer
	if _, err := servicefx.Load[C]("test", servicefx.Args{Values: []string{"--help"}, Out: &help}); !errors.Is(err, servicefx.ErrHelp) {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, page := range pages {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(content)
	}
	flags := shown.FindAllStringSubmatch(help.String(), -1)
	if len(flags) == 0 {
		t.Fatalf("no flags in %q", help.String())
	}
	for _, f := range flags {
		if row := row(f[1], f[2], f[3]); !strings.Contains(text.String(), row) {
			t.Errorf("%v lack the row\n%s", pages, row)
		}
	}
}

func row(name, byDefault, help string) string {
	switch {
	case strings.HasPrefix(name, "--[no-]"):
		byDefault = "on "
	case byDefault != "":
		byDefault = "`" + byDefault + "` "
	}
	return "| `" + name + "` | " + byDefault + "| " + help + " |\n"
}
