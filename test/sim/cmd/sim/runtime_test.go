package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEditsFitThisRelease notices a Go release whose runtime reads otherwise before a seed is replayed in vain.
func TestEditsFitThisRelease(t *testing.T) {
	source, err := runtimeSource(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writeOverlay(source, t.TempDir()); err != nil {
		t.Error(err)
	}
}

func TestForeignRuntimeIsRefused(t *testing.T) {
	source := t.TempDir()
	for _, e := range edits {
		if err := os.WriteFile(filepath.Join(source, e.file), []byte("package runtime\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := writeOverlay(source, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "0 times, want once") {
		t.Errorf("overlay %q, error %v; want what is missing", list, err)
	}
}
