package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEditsFitThisRelease notices a Go release whose runtime reads otherwise before a seed is replayed in vain.
func TestEditsFitThisRelease(t *testing.T) {
	folder := t.TempDir()
	list, err := writeOverlay(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	listed, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range edits {
		text, err := os.ReadFile(filepath.Join(folder, e.file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), e.new) {
			t.Errorf("%s lacks %q", e.file, e.new)
		}
		if !strings.Contains(string(listed), filepath.Join(folder, e.file)) {
			t.Errorf("the overlay lacks %s", e.file)
		}
	}
}
