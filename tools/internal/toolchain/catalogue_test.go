package toolchain

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	tests := map[string]struct {
		why   string
		names []string
		want  []string
		err   error
		named []string
	}{
		"ProgramIsItself": {
			names: []string{"kubectl"},
			want:  []string{"kubectl"},
		},
		"GroupIsItsPrograms": {
			names: []string{"codegen"},
			want:  []string{"controller-gen", "buf", "protoc-gen-go", "protoc-gen-go-grpc"},
		},
		"EachOnceInTheOrderAskedFor": {
			why:   "callers print the answers in this order",
			names: []string{"kwok", "cluster", "kwok"},
			want: []string{
				"kwok", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "nats-server",
			},
		},
		"EveryUnknownNameIsReported": {
			why:   "one run should show all typing errors",
			names: []string{"kubelet", "etcd", "nats"},
			err:   ErrUnknownName,
			named: []string{"kubelet", "nats"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Resolve(tc.names)
			if !errors.Is(err, tc.err) {
				t.Fatalf("Resolve(%v): error %v, want %v (%s)", tc.names, err, tc.err, tc.why)
			}
			for _, unknown := range tc.named {
				if !strings.Contains(err.Error(), unknown) {
					t.Errorf("Resolve(%v): error %q does not name %q (%s)", tc.names, err, unknown, tc.why)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("Resolve(%v) = %v, want %v (%s)", tc.names, got, tc.want, tc.why)
			}
		})
	}
}

func TestCatalogueIsConsistent(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range Modules() {
		for _, p := range m.Programs {
			if seen[p.Name] {
				t.Errorf("program %s is listed twice", p.Name)
			}
			seen[p.Name] = true
		}
	}
	for _, g := range Groups() {
		if seen[g.Name] {
			t.Errorf("group %s has the name of a program", g.Name)
		}
		for _, p := range g.Programs {
			if !seen[p] {
				t.Errorf("group %s names the unknown program %s", g.Name, p)
			}
		}
	}
}
