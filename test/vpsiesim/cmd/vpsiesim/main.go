// Command vpsiesim serves a simulated VPSie cloud on loopback.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

const (
	readHeaderTimeout = 10 * time.Second
	stopTimeout       = 5 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "vpsiesim:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	config      vpsiesim.Config
	listen      string
	adminListen string
	kubeconfig  string
	seedFile    string
	allowRemote bool
	verbose     bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{}
	switches := vpsiesim.DefaultSwitches()
	o.config.Switches = &switches
	set := func(name string) func(string) error {
		return func(value string) (err error) {
			switches, err = switches.Set(name, value)
			return err
		}
	}
	fs := flag.NewFlagSet("vpsiesim", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the cloud's API")
	fs.StringVar(&o.adminListen, "admin-listen", "127.0.0.1:0", "address of the admin API")
	fs.BoolVar(&o.allowRemote, "allow-remote", false, "allow addresses other than loopback")
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", "cluster in which machines register Nodes; none without it")
	fs.StringVar(&o.config.Token, "token", vpsiesim.DefaultToken, "long-lived API token")
	fs.StringVar(&o.config.ClientID, "client-id", "", "client id of the login")
	fs.StringVar(&o.config.ClientSecret, "client-secret", "", "client secret of the login; empty refuses logins")
	fs.StringVar(&o.config.AccountPassword, "account-password", vpsiesim.DefaultAccountPassword, "password that deleting a VM needs")
	fs.Uint64Var(&o.config.RandomSeed, "seed", 0, "seed of names and random choices")
	fs.StringVar(&o.seedFile, "seed-file", "", "JSON file with more datacenters, offers and clusters")
	fs.BoolVar(&o.verbose, "verbose", false, "log every call to stderr")
	fs.Func("list-delay", "time until a launched machine is listed (default 1s)", set("listDelay"))
	fs.Func("boot-delay", "time from listed to registered (default 3s)", set("bootDelay"))
	fs.Func("delete-delay", "time until a deleted machine leaves the list (default 1s)", set("deleteDelay"))
	fs.Func("latency", "time every call takes (default 0s)", set("latency"))
	fs.Func("worker-cap", "most workers in a cluster (default "+strconv.Itoa(switches.WorkerCap)+")", set("workerCap"))
	fs.Func("switch", "name=value of any switch; may be repeated", func(s string) error {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return errors.New("want name=value")
		}
		return set(name)(value)
	})
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	return o, o.load()
}

// load reads the files that the flags name.
func (o *options) load() error {
	if o.seedFile != "" {
		f, err := os.Open(o.seedFile)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		seed := vpsiesim.DefaultSeed()
		if err := seed.Add(f); err != nil {
			return fmt.Errorf("seed file %q: %w", o.seedFile, err)
		}
		o.config.Seed = &seed
	}
	if o.kubeconfig != "" {
		booter, err := vpsiesim.NewKubeBooterFromFile(o.kubeconfig)
		if err != nil {
			return err
		}
		o.config.Booter = booter
	}
	return o.config.Validate()
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	o.config.Log = slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: level}))
	api, err := listen(o.listen, o.allowRemote)
	if err != nil {
		return err
	}
	admin, err := listen(o.adminListen, o.allowRemote)
	if err != nil {
		_ = api.Close()
		return err
	}
	sim := vpsiesim.New(o.config)
	defer sim.Close()
	if err := json.NewEncoder(stdout).Encode(addresses{API: "http://" + api.Addr().String(), Admin: "http://" + admin.Addr().String()}); err != nil {
		return fmt.Errorf("print addresses: %w", err)
	}
	return serve(ctx, map[net.Listener]http.Handler{api: sim.Handler(), admin: sim.AdminHandler()})
}

// addresses is the first line of output.
type addresses struct {
	API   string `json:"api"`
	Admin string `json:"admin"`
}

// serve runs until ctx ends or a server breaks.
func serve(ctx context.Context, handlers map[net.Listener]http.Handler) error {
	failed := make(chan error, len(handlers))
	var servers []*http.Server
	for listener, handler := range handlers {
		s := &http.Server{Handler: handler, ReadHeaderTimeout: readHeaderTimeout}
		servers = append(servers, s)
		go func() { failed <- s.Serve(listener) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stopping, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	for _, s := range servers {
		if s.Shutdown(stopping) != nil {
			_ = s.Close() // a call that a fault holds must not keep the process
		}
	}
	return err
}

// listen opens an address, which must be loopback unless remote clients are allowed.
func listen(address string, allowRemote bool) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	if ip := net.ParseIP(host); !allowRemote && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("address %q is not loopback; use --allow-remote to allow it", address)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", address, err)
	}
	return l, nil
}
