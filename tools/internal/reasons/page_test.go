package reasons_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
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

// declared returns the codes that api/reason declares, by the names of their constants.
func declared(t *testing.T) map[string]reason.Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "api", "reason", "reason.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]reason.Code{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Code" || len(spec.Values) != 1 {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			codes[spec.Names[0].Name] = reason.Code(text)
		}
		return true
	})
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
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			into := produced
			if strings.HasSuffix(path, "_test.go") {
				into = tested
			}
			for _, found := range selector.FindAllSubmatch(text, -1) {
				into[string(found[1])] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return tested, produced
}
