// Package build builds the programs that tests and the demo run as processes.
package build

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// interruptWait is how long an interrupted build may take to end by itself.
const interruptWait = 10 * time.Second

// leanFlags are those of the toolchain, so that packages which our commands and the control plane share are compiled once.
const leanFlags = "-trimpath -tags=grpcnotrace -gcflags=all=-dwarf=false"

// Tools returns the paths of the named third-party programs, building them when needed.
// It runs the toolchain as a command, because tests must not link it.
func Tools(ctx context.Context, log io.Writer, names ...string) (map[string]string, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	out, err := goCommand(ctx, root, log, append([]string{"run", "./tools/cmd/toolchain"}, names...)...)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", strings.Join(names, ", "), err)
	}
	programs, err := parsePrograms(bytes.NewReader(out))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if programs[name] == "" {
			return nil, fmt.Errorf("toolchain did not print the path of %s", name)
		}
	}
	return programs, nil
}

// Commands builds commands of this repository into a folder, which is made when missing, and
// returns their paths by name. Packages are relative to the root, such as ./services/planner/cmd/planner.
func Commands(ctx context.Context, log io.Writer, dir string, packages ...string) (map[string]string, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	programs := map[string]string{}
	for _, pkg := range packages {
		programs[path.Base(pkg)] = filepath.Join(dir, path.Base(pkg))
	}
	began := time.Now()
	fmt.Fprintf(log, "build: %s\n", strings.Join(packages, " "))
	// A path that ends in a separator makes go build write all of them.
	args := append([]string{"build", "-ldflags=-s -w", "-o", dir + string(filepath.Separator)}, packages...)
	if _, err := goCommand(ctx, root, log, args...); err != nil {
		return nil, fmt.Errorf("build %s: %w", strings.Join(packages, ", "), err)
	}
	fmt.Fprintf(log, "build: done after %s\n", time.Since(began).Round(time.Millisecond))
	return programs, nil
}

// lock waits until no other process builds into the folder: suites that start together would compile the same, and write over what another one runs.
func lock(file string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", file, err), f.Close())
		}
	}
}

// goCommand runs go in the workspace, free of the caller's flags, and returns its standard output.
func goCommand(ctx context.Context, root string, log io.Writer, args ...string) ([]byte, error) {
	var out, trouble bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	// The caller may run with the workspace off or with flags that a workspace refuses. Programs are
	// static, as in our images, and carry no version control stamp, which needs a trusted work tree.
	cmd.Env = append(os.Environ(),
		"GOWORK="+filepath.Join(root, "go.work"), "GOFLAGS=-buildvcs=false "+leanFlags, "CGO_ENABLED=0", "PWD="+root,
		// The compiler's processes are short; collecting garbage is a quarter of their work.
		"GOGC=off", "GOMEMLIMIT=2GiB")
	cmd.Stdout = &out
	cmd.Stderr = io.MultiWriter(log, &trouble)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = interruptWait
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, trouble.String())
	}
	return out.Bytes(), nil
}

// parsePrograms reads lines of the form NAME=PATH.
func parsePrograms(r io.Reader) (map[string]string, error) {
	programs := map[string]string{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		name, path, ok := strings.Cut(lines.Text(), "=")
		if !ok || name == "" || !filepath.IsAbs(path) {
			return nil, fmt.Errorf("toolchain: unexpected line %q", lines.Text())
		}
		programs[name] = path
	}
	return programs, lines.Err()
}

// Root returns the nearest folder at or above the working one that holds go.work.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(filepath.Join(dir, "go.work"))
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.work at or above %s", start)
		}
	}
}
