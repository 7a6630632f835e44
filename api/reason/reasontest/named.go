package reasontest

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
)

// source is where the codes are declared, from the root of the repository.
const source = "api/reason/reason.go"

// Root is the folder of the repository, seen from the working directory, which is in it.
func Root() (string, error) {
	folder := "."
	for range 10 {
		if _, err := os.Stat(filepath.Join(folder, source)); err == nil {
			return folder, nil
		}
		folder = filepath.Join("..", folder)
	}
	return "", errors.New("no folder above the working directory has " + source)
}

// Declared returns the codes that package reason declares, by the names of their constants.
func Declared() (map[string]reason.Code, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, source), nil, 0)
	if err != nil {
		return nil, fmt.Errorf("read reason codes: %w", err)
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
			text, unquoteErr := strconv.Unquote(literal.Value)
			err = errors.Join(err, unquoteErr)
			codes[spec.Names[0].Name] = reason.Code(text)
		}
		return true
	})
	return codes, err
}

var selector = regexp.MustCompile(`\breason\.([A-Z]\w+)`)

// Named returns the codes that Go files in the folders and below name by their constants, tests aside, by those names.
func Named(folders ...string) (map[string]reason.Code, error) {
	declared, err := Declared()
	if err != nil {
		return nil, err
	}
	named := map[string]reason.Code{}
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path) //nolint:gosec // a file of the repository
			if err != nil {
				return err
			}
			for _, found := range selector.FindAllSubmatch(text, -1) {
				if code, is := declared[string(found[1])]; is {
					named[string(found[1])] = code
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look for reason codes: %w", err)
		}
	}
	return named, nil
}
