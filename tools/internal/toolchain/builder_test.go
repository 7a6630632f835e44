package toolchain

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestExecutableName(t *testing.T) {
	tests := map[string]string{
		"k8s.io/kubernetes/cmd/kubectl":      "kubectl",
		"go.etcd.io/etcd/server/v3":          "server",
		"github.com/nats-io/nats-server/v2":  "nats-server",
		"example.com/cmd/v":                  "v",
		"github.com/bufbuild/buf/cmd/buf":    "buf",
		"sigs.k8s.io/controller-tools/v2gen": "v2gen",
	}
	for pkg, want := range tests {
		if got := executableName(pkg); got != want {
			t.Errorf("executableName(%q) = %q, want %q", pkg, got, want)
		}
	}
}

func TestEnsurePrefersAssets(t *testing.T) {
	assets := t.TempDir()
	for _, name := range []string{"kubectl", "etcd"} {
		if err := os.WriteFile(filepath.Join(assets, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b := NewBuilder(Config{Root: t.TempDir(), Cache: t.TempDir(), Assets: assets}, NewProgress(io.Discard))
	paths, err := b.Ensure(t.Context(), []string{"kubectl", "etcd"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kubectl", "etcd"} {
		if want := filepath.Join(assets, name); paths[name] != want {
			t.Errorf("path of %s = %q, want %q", name, paths[name], want)
		}
	}
}

// TestOneProgramIsCalledByManyNames builds a small one.
func TestOneProgramIsCalledByManyNames(t *testing.T) {
	root := t.TempDir()
	folder := filepath.Join(root, "tools", "many")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.mod":  "module example.com/many\n\ngo 1.26.0\n",
		"go.sum":  "",
		"main.go": "package main\n\nimport \"os\"\n\nfunc main() { os.Stdout.WriteString(os.Args[0]) }\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	built := target{source: folder, folder: t.TempDir(), flags: strings.Fields(leanFlags)}
	names := []Program{{Name: "one"}, {Name: "two"}}
	// The second build finds what the first one made.
	for range 2 {
		if err := built.buildMulticall(t.Context(), "many", names); err != nil {
			t.Fatal(err)
		}
	}
	if missing := built.missing(names); len(missing) > 0 {
		t.Errorf("after the build %s are missing", programNames(missing))
	}
	path := filepath.Join(built.folder, "two")
	if out, err := exec.CommandContext(t.Context(), path).Output(); err != nil || string(out) != path {
		t.Errorf("called as %s it takes its name for %s, error %v", path, out, err)
	}
}

// TestFlagsAreTheSameEverywhere: with others, packages that the demo and the control plane share are compiled twice.
func TestFlagsAreTheSameEverywhere(t *testing.T) {
	for _, file := range []string{"test/build/build.go", "Makefile"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "..", file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), leanFlags) {
			t.Errorf("%s does not build with %s", file, leanFlags)
		}
	}
}

func TestLockExcludes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lock")
	unlock, err := lockFile(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := lockFile(short, file); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("second lock: error %v, want that it waits", err)
	}
	unlock()
	again, err := lockFile(t.Context(), file)
	if err != nil {
		t.Fatalf("lock after unlock: %v", err)
	}
	again()
}
