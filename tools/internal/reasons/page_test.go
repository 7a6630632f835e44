package reasons_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/reason/reasontest"
	"github.com/vpsie/vpsie-autoscaler/tools/internal/reasons"
)

// root is the folder of the repository.
const root = "../../.."

func TestPageIsUpToDate(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "reasons.md"))
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != reasons.Page() {
		t.Error("docs/reasons.md is not what the registry says; run make generate")
	}
}

func declared(t *testing.T) map[string]reason.Code {
	t.Helper()
	codes, err := reasontest.Declared()
	if err != nil {
		t.Fatal(err)
	}
	return codes
}

// TestEveryCodeIsExplained: a code without meaning, remedy or kind helps nobody.
func TestEveryCodeIsExplained(t *testing.T) {
	codes := declared(t)
	if len(codes) == 0 {
		t.Fatal("no code is declared in api/reason/reason.go")
	}
	for name, code := range codes {
		e, known := reason.Lookup(code)
		if !known || len(e.Kinds) == 0 || e.Meaning == "" || e.Remedy == "" {
			t.Errorf("%s (%s) lacks an entry, a kind, a meaning or a remedy in api/reason/registry.go", name, code)
		}
	}
	seen := map[reason.Code]bool{}
	for _, e := range reason.Entries {
		if seen[e.Code] {
			t.Errorf("%s has two entries", e.Code)
		}
		seen[e.Code] = true
		for _, text := range []string{e.Meaning, e.Remedy} {
			if !strings.HasSuffix(text, ".") || strings.Contains(text, "|") {
				t.Errorf("%s: %q is no sentence for a table", e.Code, text)
			}
		}
	}
	if len(seen) != len(codes) {
		t.Errorf("%d entries for %d codes", len(seen), len(codes))
	}
}

// TestEveryCodeIsTested: for each code there is a test that produces it, and code that does.
func TestEveryCodeIsTested(t *testing.T) {
	tested, produced := used(t)
	for name, code := range declared(t) {
		if !tested[name] {
			t.Errorf("no test of services, libs or test names reason.%s (%s)", name, code)
		}
		if !produced[name] {
			t.Errorf("nothing produces reason.%s (%s)", name, code)
		}
	}
}

var selector = regexp.MustCompile(`\breason\.([A-Z]\w+)`)

// used returns the constants of package reason that tests name, and those that other code does.
func used(t *testing.T) (tested, produced map[string]bool) {
	t.Helper()
	tested, produced = map[string]bool{}, map[string]bool{}
	for _, folder := range []string{"services", "libs", "test"} {
		each(t, filepath.Join(root, folder), func(path, text string) {
			if !strings.HasSuffix(path, ".go") {
				return
			}
			into := produced
			if strings.HasSuffix(path, "_test.go") {
				into = tested
			}
			for _, found := range selector.FindAllStringSubmatch(text, -1) {
				into[found[1]] = true
			}
		})
	}
	return tested, produced
}

var (
	condition = regexp.MustCompile(`\b[A-Z]\w+=(?:False|Unknown) ([A-Z]\w+)`)
	literal   = regexp.MustCompile(`"([A-Z]\w+)"`)
)

// TestDocumentedConditions: a reason that documentation names in a condition is one that code gives.
func TestDocumentedConditions(t *testing.T) {
	given := map[string]bool{}
	for _, e := range reason.Entries {
		given[e.Code.Condition()] = true
	}
	for _, folder := range []string{"libs", "services"} {
		each(t, filepath.Join(root, folder), func(path, text string) {
			if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				for _, found := range literal.FindAllStringSubmatch(text, -1) {
					given[found[1]] = true
				}
			}
		})
	}
	documented := 0
	for _, folder := range []string{"README.md", "docs", "services"} {
		each(t, filepath.Join(root, folder), func(path, text string) {
			if !strings.HasSuffix(path, ".md") {
				return
			}
			for _, found := range condition.FindAllStringSubmatch(text, -1) {
				documented++
				if !given[found[1]] {
					t.Errorf("%s: code gives no condition the reason of %q", path, found[0])
				}
			}
		})
	}
	if documented == 0 {
		t.Error("no condition is documented")
	}
}

// each calls f with the text of every file in a folder and below.
func each(t *testing.T, folder string, f func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // a file of the repository
		f(path, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
