package toolchain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// waitDelay is how long an interrupted build may take to end by itself.
const waitDelay = 5 * time.Second

// leanFlags leave out what nothing reads: debug information, which the linker drops, and gRPC's traces. Our services and the demo are
// built with the same (test/build, and demo in the Makefile), because a package that is compiled with other flags is compiled again.
const leanFlags = "-trimpath -tags=grpcnotrace -gcflags=all=-dwarf=false"

// collector keeps garbage that the compiler makes until memory is short: its processes are short, and collecting is a quarter of their work.
var collector = []string{"GOGC=off", "GOMEMLIMIT=2GiB"}

var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// Config says where programs are built from and where they are kept.
type Config struct {
	// Root is the folder that holds go.work.
	Root string
	// Cache is the folder for built programs, made when missing. It may be shared between processes.
	Cache string
	// Assets is a folder with ready-made binaries that are preferred, or empty.
	Assets string
}

// Builder builds programs that the cache does not hold yet.
type Builder struct {
	config   Config
	progress *Progress
}

// NewBuilder returns a Builder that tells progress what it does.
func NewBuilder(c Config, progress *Progress) *Builder {
	return &Builder{config: c, progress: progress}
}

// Ensure returns the path of every named program, building those that are missing.
// The names must come from Resolve. Several processes may call it for the same cache.
func (b *Builder) Ensure(ctx context.Context, names []string) (map[string]string, error) {
	paths := make(map[string]string, len(names))
	for _, m := range modules {
		var wanted []Program
		for _, p := range m.Programs {
			if !slices.Contains(names, p.Name) {
				continue
			}
			if asset, ok := b.asset(p); ok {
				paths[p.Name] = asset
				continue
			}
			wanted = append(wanted, p)
		}
		if len(wanted) == 0 {
			continue
		}
		folder, err := b.ensureModule(ctx, m, wanted)
		if err != nil {
			return nil, err
		}
		for _, p := range wanted {
			paths[p.Name] = filepath.Join(folder, p.Name)
		}
	}
	return paths, nil
}

func (b *Builder) asset(p Program) (string, bool) {
	if b.config.Assets == "" || !p.Asset {
		return "", false
	}
	file := filepath.Join(b.config.Assets, p.Name)
	return file, isProgram(file)
}

// ensureModule returns the folder that holds the wanted programs of m.
func (b *Builder) ensureModule(ctx context.Context, m Module, wanted []Program) (string, error) {
	t, err := b.target(ctx, m)
	if err != nil {
		return "", fmt.Errorf("pin module %s: %w", m.Folder, err)
	}
	if len(t.missing(wanted)) == 0 {
		return t.folder, nil
	}
	if err := os.MkdirAll(t.folder, 0o755); err != nil {
		return "", err
	}
	done := b.progress.Watch("wait for another process that builds " + m.Folder)
	unlock, err := lockFile(ctx, t.folder+".lock")
	done(nil)
	if err != nil {
		return "", fmt.Errorf("lock %s: %w", t.folder, err)
	}
	defer unlock()

	// The process that held the lock may have built them.
	missing := t.missing(wanted)
	if len(missing) == 0 {
		return t.folder, nil
	}
	if m.Multicall != "" {
		// What is linked is every one of them.
		missing = m.Programs
	}
	done = b.progress.Start(fmt.Sprintf("build %s for %s", programNames(missing), filepath.Base(t.folder)))
	if m.Multicall != "" {
		err = t.buildMulticall(ctx, m.Multicall, missing)
	} else {
		err = t.build(ctx, missing)
	}
	done(err)
	return t.folder, err
}

// target is one exact build of a module.
type target struct {
	source string
	folder string
	flags  []string
}

func (b *Builder) target(ctx context.Context, m Module) (target, error) {
	folder := filepath.Join(b.config.Root, "tools", m.Folder)
	names := []string{"go.mod", "go.sum"}
	if m.Multicall != "" {
		names = append(names, "main.go")
	}
	files := make([]string, 3)
	for i, name := range names {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return target{}, err
		}
		files[i] = string(text)
	}
	s := source{files[0], files[1], files[2]}
	version := pinnedVersion(s.gomod, m.Pin)
	if version == "" {
		return target{}, fmt.Errorf("go.mod does not require %s", m.Pin)
	}
	p, err := platform(ctx, folder)
	if err != nil {
		return target{}, err
	}
	flags := append([]string{"-mod=readonly", "-buildvcs=false", "-ldflags=" + linkerFlags(m, version)}, strings.Fields(leanFlags)...)
	name := fmt.Sprintf("%s-%s-%s", m.Folder, version, key(s, p, flags))
	return target{
		source: folder,
		folder: filepath.Join(b.config.Cache, name),
		flags:  flags,
	}, nil
}

func (t target) missing(wanted []Program) []Program {
	var missing []Program
	for _, p := range wanted {
		if !isProgram(filepath.Join(t.folder, p.Name)) {
			missing = append(missing, p)
		}
	}
	return missing
}

// build compiles programs aside and moves them into place, so that a program that exists is complete.
func (t target) build(ctx context.Context, programs []Program) error {
	packages := make([]string, len(programs))
	for i, p := range programs {
		packages[i] = p.Package
	}
	// One build for all: their packages overlap, and linking one leaves room to compile another.
	return t.aside(ctx, packages, func(aside string) error {
		for _, p := range programs {
			if err := os.Rename(filepath.Join(aside, executableName(p.Package)), filepath.Join(t.folder, p.Name)); err != nil {
				return err
			}
		}
		return nil
	})
}

// buildMulticall compiles the module's own program and lets every program be a name of it.
func (t target) buildMulticall(ctx context.Context, name string, programs []Program) error {
	return t.aside(ctx, []string{"."}, func(aside string) error {
		if err := os.Rename(filepath.Join(aside, name), filepath.Join(t.folder, name)); err != nil {
			return err
		}
		for _, p := range programs {
			if err := os.Symlink(name, filepath.Join(t.folder, p.Name)); err != nil && !errors.Is(err, os.ErrExist) {
				return err
			}
		}
		return nil
	})
}

// aside builds packages into a folder that place empties.
func (t target) aside(ctx context.Context, packages []string, place func(aside string) error) error {
	aside := t.folder + ".build"
	// A killed build leaves its folder behind.
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	defer os.RemoveAll(aside)
	if err := os.MkdirAll(aside, 0o755); err != nil {
		return err
	}
	args := slices.Concat([]string{"build", "-o", aside + string(filepath.Separator)}, t.flags, packages)
	if out, err := goCommand(ctx, t.source, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", strings.Join(packages, ", "), err, bytes.TrimSpace(out))
	}
	return place(aside)
}

func platform(ctx context.Context, folder string) (Platform, error) {
	cmd := goCommand(ctx, folder, "env", "GOVERSION", "GOOS", "GOARCH")
	out, err := cmd.Output()
	if err != nil {
		return Platform{}, fmt.Errorf("go env: %w\n%s", err, stderrOf(err))
	}
	fields := strings.Fields(string(out))
	if len(fields) != 3 {
		return Platform{}, fmt.Errorf("go env: unexpected output %q", out)
	}
	return Platform{GoVersion: fields[0], OS: fields[1], Arch: fields[2]}, nil
}

// goCommand runs go in a module that stands outside the workspace, free of the caller's flags.
func goCommand(ctx context.Context, folder string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0", "PWD="+folder)
	cmd.Env = append(cmd.Env, collector...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = waitDelay
	return cmd
}

func stderrOf(err error) string {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(bytes.TrimSpace(exit.Stderr))
	}
	return ""
}

// executableName is the name go build gives a program: the last element of its path that is not a major version.
func executableName(pkg string) string {
	base := path.Base(pkg)
	if majorVersion.MatchString(base) {
		base = path.Base(path.Dir(pkg))
	}
	return base
}

func isProgram(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func programNames(programs []Program) string {
	names := make([]string, len(programs))
	for i, p := range programs {
		names[i] = p.Name
	}
	return strings.Join(names, ", ")
}
