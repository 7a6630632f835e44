package suites_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the folder of the repository.
const root = "../../.."

// TestUnracedPackagesRunNothingAtTheSameTime: what make test leaves to no race detector must not need one.
func TestUnracedPackagesRunNothingAtTheSameTime(t *testing.T) {
	unraced := unracedPackages(t)
	watched := 0
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		folder := filepath.ToSlash(filepath.Dir(strings.TrimPrefix(path, root)))
		if err != nil || !strings.HasSuffix(path, ".go") || !unraced.MatchString(folder) {
			return err
		}
		watched++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine; take its package from UNRACED in the Makefile", set.Position(n.Pos()))
			case *ast.ImportSpec:
				if n.Path.Value == `"sync"` || strings.HasSuffix(n.Path.Value, `/errgroup"`) {
					t.Errorf("%s imports %s; take its package from UNRACED in the Makefile", set.Position(n.Pos()), n.Path.Value)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if watched == 0 {
		t.Error("UNRACED in the Makefile matches no package")
	}
}

func unracedPackages(t *testing.T) *regexp.Regexp {
	t.Helper()
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^UNRACED = (.*)$`).FindSubmatch(makefile)
	if found == nil {
		t.Fatal("the Makefile has no UNRACED")
	}
	return regexp.MustCompile(strings.ReplaceAll(string(found[1]), "$$", "$"))
}
