package build

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestParsePrograms(t *testing.T) {
	tests := map[string]struct {
		why  string
		text string
		want map[string]string
		fail bool
	}{
		"PathsByName": {
			text: "etcd=/cache/etcd\nkube-apiserver=/cache/a=b/kube-apiserver\n",
			want: map[string]string{"etcd": "/cache/etcd", "kube-apiserver": "/cache/a=b/kube-apiserver"},
		},
		"NothingIsNothing": {want: map[string]string{}},
		"OtherOutputIsRefused": {
			why:  "a warning mixed into the output must not become a program",
			text: "etcd=/cache/etcd\ngo: warning\n",
			fail: true,
		},
		"RelativePathIsRefused": {
			why:  "it would depend on the working folder of whoever runs it",
			text: "etcd=cache/etcd\n",
			fail: true,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parsePrograms(strings.NewReader(tc.text))
			if (err != nil) != tc.fail {
				t.Fatalf("parsePrograms(%q): error %v, want failure: %v (%s)", tc.text, err, tc.fail, tc.why)
			}
			if !maps.Equal(got, tc.want) {
				t.Errorf("parsePrograms(%q) = %v, want %v (%s)", tc.text, got, tc.want, tc.why)
			}
		})
	}
}

// TestOneBuildsAtATime looks at the lock as another process would.
func TestOneBuildsAtATime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "commands.lock")
	unlock, err := lock(file)
	if err != nil {
		t.Fatal(err)
	}
	another, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer another.Close()
	take := func() error { return syscall.Flock(int(another.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
	if err := take(); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("another build begins beside this one: error %v", err)
	}
	unlock()
	if err := take(); err != nil {
		t.Errorf("after the build: %v", err)
	}
}
