package toolchain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const gomod = `module example.com/tools

go 1.26.0

tool k8s.io/kubernetes/cmd/kubectl

require single.example/one v0.1.0

require (
	k8s.io/kube-openapi v0.0.1 // indirect
	k8s.io/kubernetes v1.37.2 // indirect
)

replace k8s.io/api => k8s.io/api v0.37.2
`

func TestPinnedVersion(t *testing.T) {
	tests := map[string]struct {
		why  string
		path string
		want string
	}{
		"InABlock":       {path: "k8s.io/kubernetes", want: "v1.37.2"},
		"OnALine":        {path: "single.example/one", want: "v0.1.0"},
		"PrefixIsNot":    {why: "a module path is matched as a whole", path: "k8s.io/kube"},
		"ReplaceIsNot":   {why: "a replacement alone requires nothing", path: "k8s.io/api"},
		"AbsentIsEmpty":  {path: "example.com/absent"},
		"OwnModuleIsNot": {path: "example.com/tools"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := pinnedVersion(gomod, tc.path); got != tc.want {
				t.Errorf("pinnedVersion(%q) = %q, want %q (%s)", tc.path, got, tc.want, tc.why)
			}
		})
	}
}

func TestEveryModuleIsPinned(t *testing.T) {
	for _, m := range Modules() {
		text, err := os.ReadFile(filepath.Join("..", "..", m.Folder, "go.mod"))
		if err != nil {
			t.Errorf("module %s: %v", m.Folder, err)
			continue
		}
		if pinnedVersion(string(text), m.Pin) == "" {
			t.Errorf("module %s does not require %s", m.Folder, m.Pin)
		}
		for _, p := range m.Programs {
			if m.Multicall == "" && !strings.Contains(string(text), p.Package+"\n") {
				t.Errorf("module %s has no tool line for %s, so that tidying would drop it", m.Folder, p.Package)
			}
		}
	}
}

func TestKeyChangesWithEveryInput(t *testing.T) {
	linux := Platform{GoVersion: "go1.26.8", OS: "linux", Arch: "amd64"}
	base := key(source{"mod", "sum", "main"}, linux, []string{"-trimpath"})
	if again := key(source{"mod", "sum", "main"}, linux, []string{"-trimpath"}); again != base {
		t.Fatalf("key is not stable: %s and %s", base, again)
	}
	others := map[string]string{
		"go.mod":     key(source{"mod2", "sum", "main"}, linux, []string{"-trimpath"}),
		"go.sum":     key(source{"mod", "sum2", "main"}, linux, []string{"-trimpath"}),
		"program":    key(source{"mod", "sum", "main2"}, linux, []string{"-trimpath"}),
		"boundary":   key(source{"mods", "um", "main"}, linux, []string{"-trimpath"}),
		"compiler":   key(source{"mod", "sum", "main"}, Platform{GoVersion: "go1.27.0", OS: "linux", Arch: "amd64"}, []string{"-trimpath"}),
		"system":     key(source{"mod", "sum", "main"}, Platform{GoVersion: "go1.26.8", OS: "darwin", Arch: "amd64"}, []string{"-trimpath"}),
		"processor":  key(source{"mod", "sum", "main"}, Platform{GoVersion: "go1.26.8", OS: "linux", Arch: "arm64"}, []string{"-trimpath"}),
		"build flag": key(source{"mod", "sum", "main"}, linux, []string{"-trimpath", "-race"}),
	}
	for input, got := range others {
		if got == base {
			t.Errorf("key ignores a change of %s: a stale program would be used", input)
		}
	}
}

func TestLinkerFlags(t *testing.T) {
	m := Module{VersionVars: []string{"p.gitVersion"}, MajorMinorVars: []string{"p.git"}}
	want := "-s -w -X p.gitVersion=v1.37.2 -X p.gitMajor=1 -X p.gitMinor=37"
	if got := linkerFlags(m, "v1.37.2"); got != want {
		t.Errorf("linkerFlags = %q, want %q", got, want)
	}
}
