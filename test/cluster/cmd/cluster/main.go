// Command cluster runs a control plane with KWOK and a NATS server until it is interrupted.
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
	"syscall"

	"github.com/vpsie/vpsie-autoscaler/test/cluster"
)

// auditedNamespace is where the services run, whose writes tests count.
const auditedNamespace = "vpsie-autoscaler"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.SetOutput(stderr)
	dir := flags.String("dir", "", "empty folder for state and logs; a temporary one that is removed at the end when not set")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	options, natsOptions := cluster.Options{Log: stderr, AuditedNamespace: auditedNamespace}, cluster.NATSOptions{Log: stderr}
	if *dir != "" {
		options.Dir = filepath.Join(*dir, "kubernetes")
		natsOptions.Dir = filepath.Join(*dir, "nats")
	}
	c, err := cluster.Start(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	nats, err := cluster.StartNATS(ctx, natsOptions)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, nats.Close()) }()

	fmt.Fprintf(stdout, `
export KUBECONFIG=%s
export NATS_URL=%s
# kubectl: %s
# logs:    %s and %s
# A Node with the annotation %s=%s becomes Ready and runs pods.
# Ctrl-C, or kill %d, stops everything.
`, c.Kubeconfig, nats.URL, c.Kubectl, filepath.Join(c.Dir, "logs"), nats.Dir,
		cluster.NodeAnnotation, cluster.NodeAnnotationValue, os.Getpid())
	return c.Wait(ctx)
}
