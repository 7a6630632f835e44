package toolchain

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
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
