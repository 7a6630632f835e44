package cluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// buildPrograms returns the paths of the named programs, building them when needed.
// It runs the toolchain as a command, because tests must not link it.
func buildPrograms(ctx context.Context, log io.Writer, names ...string) (map[string]string, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	var out, trouble bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", append([]string{"run", "./tools/cmd/toolchain"}, names...)...)
	cmd.Dir = root
	// The caller may run with the workspace off or with flags that a workspace refuses.
	cmd.Env = append(os.Environ(), "GOWORK="+filepath.Join(root, "go.work"), "GOFLAGS=", "PWD="+root)
	cmd.Stdout = &out
	cmd.Stderr = io.MultiWriter(log, &trouble)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("build %s: %w\n%s", strings.Join(names, ", "), err, trouble.String())
	}
	programs, err := parsePrograms(&out)
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

// findRoot returns the nearest folder at or above the working one that holds go.work.
func findRoot() (string, error) {
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
