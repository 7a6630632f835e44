// Package toolchain builds the pinned programs that developing and testing needs.
package toolchain

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrUnknownName is returned for a name that is neither a program nor a group.
var ErrUnknownName = errors.New("unknown program or group")

// Module is a folder below tools/ whose go.mod pins the programs built from it.
type Module struct {
	// Folder is the module's folder, relative to tools/, and the name of its place in the cache.
	Folder string
	// Pin is the module path whose version the programs report.
	Pin string
	// VersionVars are the string variables the linker sets to the version of Pin.
	VersionVars []string
	// MajorMinorVars are prefixes of variables ending in Major and Minor, set likewise.
	MajorMinorVars []string
	// Multicall is the name of a program of the module's own that does what every one of Programs does, each by the name
	// by which it is called. When it is empty each program is built by itself.
	Multicall string
	Programs  []Program
}

// Program is one executable.
type Program struct {
	Name string
	// Package is its main package, empty for one that is a name of a Multicall.
	Package string
	// Asset says that a binary in KUBEBUILDER_ASSETS may stand in for this one.
	Asset bool
}

// modules lists everything that can be built. Each module is resolved on its own,
// because no single build list satisfies all of these programs. What the control plane shares with our services has
// the same versions there as in the workspace, so that it is compiled once for both.
var modules = []Module{
	{
		Folder: "codegen",
		Pin:    "sigs.k8s.io/controller-tools",
		// Generated CRDs carry the generator's version.
		VersionVars: []string{"sigs.k8s.io/controller-tools/pkg/version.version"},
		Programs: []Program{
			{Name: "controller-gen", Package: "sigs.k8s.io/controller-tools/cmd/controller-gen"},
			{Name: "protoc-gen-go", Package: "google.golang.org/protobuf/cmd/protoc-gen-go"},
			{Name: "protoc-gen-go-grpc", Package: "google.golang.org/grpc/cmd/protoc-gen-go-grpc"},
		},
	},
	{
		Folder:   "buf",
		Pin:      "github.com/bufbuild/buf",
		Programs: []Program{{Name: "buf", Package: "github.com/bufbuild/buf/cmd/buf"}},
	},
	{
		Folder: "controlplane",
		Pin:    "k8s.io/kubernetes",
		VersionVars: []string{
			"k8s.io/component-base/version.gitVersion",
			"k8s.io/client-go/pkg/version.gitVersion",
		},
		MajorMinorVars: []string{
			"k8s.io/component-base/version.git",
			"k8s.io/client-go/pkg/version.git",
		},
		Multicall: "controlplane",
		Programs: []Program{
			{Name: "etcd", Asset: true},
			{Name: "kube-apiserver", Asset: true},
			{Name: "kube-controller-manager"},
			{Name: "kube-scheduler"},
			{Name: "kubectl", Asset: true},
			{Name: "kwok"},
		},
	},
	{
		Folder:   "nats",
		Pin:      "github.com/nats-io/nats-server/v2",
		Programs: []Program{{Name: "nats-server", Package: "github.com/nats-io/nats-server/v2"}},
	},
	{
		Folder:      "lint",
		Pin:         "github.com/golangci/golangci-lint/v2",
		VersionVars: []string{"main.version"},
		Programs: []Program{
			{Name: "golangci-lint", Package: "github.com/golangci/golangci-lint/v2/cmd/golangci-lint"},
		},
	},
}

// Group is a name for several programs that are used together.
type Group struct {
	Name     string
	Programs []string
}

var groups = []Group{
	{Name: "codegen", Programs: []string{"controller-gen", "buf", "protoc-gen-go", "protoc-gen-go-grpc"}},
	{Name: "cluster", Programs: []string{
		"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "nats-server", "kwok",
	}},
	{Name: "lint", Programs: []string{"golangci-lint"}},
}

// Modules returns every module, in the order in which they are built.
func Modules() []Module { return slices.Clone(modules) }

// Groups returns every group.
func Groups() []Group { return slices.Clone(groups) }

// Resolve turns names of programs and groups into names of programs, each once and in
// the order asked for. It returns ErrUnknownName with every name it does not know.
func Resolve(names []string) ([]string, error) {
	var programs, unknown []string
	for _, name := range names {
		members := expand(name)
		if len(members) == 0 {
			unknown = append(unknown, name)
		}
		for _, member := range members {
			if !slices.Contains(programs, member) {
				programs = append(programs, member)
			}
		}
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrUnknownName, strings.Join(unknown, ", "))
	}
	return programs, nil
}

func expand(name string) []string {
	for _, g := range groups {
		if g.Name == name {
			return g.Programs
		}
	}
	for _, m := range modules {
		for _, p := range m.Programs {
			if p.Name == name {
				return []string{name}
			}
		}
	}
	return nil
}
