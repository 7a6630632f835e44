// Command demo starts the whole product on real parts and tells what it does, as it happens.
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

	"golang.org/x/term"

	"github.com/vpsie/vpsie-autoscaler/test/stack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var o stack.Options
	flags.StringVar(&o.Kubeconfig, "kubeconfig", "", "cluster to use, as \"make cluster\" leaves it, instead of a new one")
	flags.StringVar(&o.Dir, "dir", "", "empty folder for state and logs; a temporary one that is removed at the end when not set")
	keep := flags.Bool("keep", wantsToStay(), "stay up after the story, until Ctrl-C; the default in a terminal and with DEMO_KEEP=1")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	o.Log = stderr
	s, err := stack.Start(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && ctx.Err() == nil {
			s.KeepFiles()
			fmt.Fprintf(stderr, "demo: state and logs are kept in %s\n", s.Dir)
		}
		err = errors.Join(err, s.Stop())
	}()
	err = tell(ctx, s, stdout)
	if *keep && ctx.Err() == nil {
		if err != nil {
			fmt.Fprintln(stderr, "demo:", err)
		}
		lookAround(s, stdout)
		<-ctx.Done()
	}
	return err
}

// wantsToStay reports whether somebody is there to look around.
func wantsToStay() bool {
	if keep, set := os.LookupEnv("DEMO_KEEP"); set {
		return keep == "1"
	}
	return term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))
}

// lookAround says what can be done with the running product.
func lookAround(s *stack.Stack, out io.Writer) {
	fmt.Fprintf(out, `
Everything stays up until Ctrl-C. In another terminal:

  export KUBECONFIG=%[1]s
  alias kubectl=%[2]s
  kubectl get ng,vn,nodes -A
  kubectl -n %[3]s scale deployment/%[4]s --replicas=40    # pods wait, machines are launched
  kubectl -n %[3]s get events --watch
  kubectl -n %[3]s describe ng/%[5]s

The simulated cloud's admin API, which lists what it can do at its root:

  curl %[6]s/
  curl %[6]s/admin/truth
  curl -X POST %[6]s/admin/faults -d '{"kind":"status500","durationSeconds":60}'

Logs are in %[7]s.
`, s.Kubeconfig, s.Kubectl, namespace, deployment, group, s.Sim.URL, filepath.Join(s.Dir, "logs"))
}
