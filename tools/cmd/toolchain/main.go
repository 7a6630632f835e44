// Command toolchain builds pinned programs where they are missing and prints their paths.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/vpsie/vpsie-autoscaler/tools/internal/toolchain"
)

const usage = `usage: toolchain [--cache DIR] [--quiet] NAME...
       toolchain list

Prints NAME=PATH for every program named, and builds those that the cache lacks.
A NAME is a program or a group; "toolchain list" shows them.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "toolchain:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("toolchain", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	cache := flags.String("cache", os.Getenv("VPSIE_TOOLS_CACHE"),
		"folder for built programs; VPSIE_TOOLS_CACHE, or a folder in the user's cache, when empty")
	quiet := flags.Bool("quiet", false, "say nothing while building")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() == 1 && flags.Arg(0) == "list" {
		list(stdout)
		return nil
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return errors.New("name at least one program or group")
	}
	names, err := toolchain.Resolve(flags.Args())
	if err != nil {
		return err
	}
	config, err := configure(*cache)
	if err != nil {
		return err
	}
	if *quiet {
		stderr = io.Discard
	}
	paths, err := toolchain.NewBuilder(config, toolchain.NewProgress(stderr)).Ensure(ctx, names)
	if err != nil {
		return err
	}
	for _, name := range names {
		fmt.Fprintf(stdout, "%s=%s\n", name, paths[name])
	}
	return nil
}

func configure(cache string) (toolchain.Config, error) {
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return toolchain.Config{}, fmt.Errorf("find cache folder: %w", err)
		}
		cache = filepath.Join(user, "vpsie-autoscaler", "bin")
	}
	// Callers run the printed paths from other folders.
	cache, err := filepath.Abs(cache)
	if err != nil {
		return toolchain.Config{}, err
	}
	root, err := findRoot()
	if err != nil {
		return toolchain.Config{}, err
	}
	return toolchain.Config{Root: root, Cache: cache, Assets: os.Getenv("KUBEBUILDER_ASSETS")}, nil
}

// findRoot returns the nearest folder at or above the working one that holds go.work.
func findRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.work at or above %s", start)
		}
	}
}

func list(w io.Writer) {
	for _, m := range toolchain.Modules() {
		for _, p := range m.Programs {
			fmt.Fprintln(w, p.Name)
		}
	}
	for _, g := range toolchain.Groups() {
		fmt.Fprintf(w, "%s = %s\n", g.Name, strings.Join(g.Programs, " "))
	}
}
