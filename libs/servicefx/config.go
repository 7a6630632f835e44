// Package servicefx is the base every service starts from: configuration, logs, traces,
// metrics, health, the Kubernetes manager with leader election, and an orderly stop.
package servicefx

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"sigs.k8s.io/yaml"
)

// Config is what every service can be told. Values come, in falling precedence, from flags,
// environment variables (VPSIE_ and the flag in capitals), the configuration file, defaults.
type Config struct {
	LogLevel   string `help:"Least severe log level: debug, info, warn or error." default:"info" enum:"debug,info,warn,error"`
	OpsAddress string `help:"Address of health, readiness, metrics and pprof." default:"127.0.0.1:0"`
	Kubeconfig string `help:"Kubeconfig file; empty uses the pod's service account." type:"path"`
	// Namespace holds the Lease.
	Namespace     string        `help:"Namespace of the service's Lease." default:"vpsie-autoscaler"`
	LeaseDuration time.Duration `help:"How long a dead leader blocks its successor." default:"10s"`
	StopTimeout   time.Duration `help:"How long an orderly stop may take." default:"25s"`
}

// Validate reports every problem of the configuration at once.
func (c Config) Validate() error {
	var problems []error
	if c.Namespace == "" {
		problems = append(problems, errors.New("namespace is empty: the Lease needs one; set --namespace"))
	}
	if c.LeaseDuration < 3*time.Second {
		problems = append(problems, fmt.Errorf("lease-duration %s is under 3s: a slow API server would cost the leader its Lease; raise it", c.LeaseDuration))
	}
	if c.StopTimeout <= 0 {
		problems = append(problems, fmt.Errorf("stop-timeout %s must be positive", c.StopTimeout))
	}
	return errors.Join(problems...)
}

// Args are the command line without the program's name, and where help is written.
type Args struct {
	Values []string
	Out    io.Writer
}

// validator is implemented by configurations that check themselves.
type validator interface{ Validate() error }

// Load reads a configuration struct of kong tags. The file named by --config or VPSIE_CONFIG
// is YAML with the flags' names as keys; a key it does not know is an error.
func Load[C any](name Name, args Args) (C, error) {
	var cli struct {
		Config kong.ConfigFlag `help:"YAML file with the flags' names as keys." env:"VPSIE_CONFIG" type:"path"`
		Body   C               `embed:""`
	}
	var file fileResolver
	parser, err := kong.New(&cli,
		kong.Name("vpsie-"+string(name)),
		kong.Description("The "+string(name)+" of the VPSie node autoscaler."),
		kong.DefaultEnvars("VPSIE"),
		kong.Configuration(file.load),
		kong.Writers(args.Out, args.Out),
	)
	if err != nil {
		return cli.Body, fmt.Errorf("describe configuration of %s: %w", name, err)
	}
	if _, err := parser.Parse(args.Values); err != nil {
		return cli.Body, fmt.Errorf("read configuration of %s: %w", name, err)
	}
	if unknown := file.unknown(parser.Model); len(unknown) > 0 {
		return cli.Body, fmt.Errorf("read configuration of %s: unknown keys %s; known keys are the flags shown by --help", name, strings.Join(unknown, ", "))
	}
	if v, ok := any(cli.Body).(validator); ok {
		if err := v.Validate(); err != nil {
			return cli.Body, fmt.Errorf("configuration of %s: %w", name, err)
		}
	}
	return cli.Body, nil
}

// OSArgs is the command line of this process.
func OSArgs() Args { return Args{Values: os.Args[1:], Out: os.Stdout} }

type fileResolver struct{ values map[string]any }

func (f *fileResolver) load(r io.Reader) (kong.Resolver, error) {
	raw, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("read configuration file: %w", err)
	}
	if err := yaml.UnmarshalStrict(raw, &f.values); err != nil {
		return nil, fmt.Errorf("parse configuration file: %w", err)
	}
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		for _, key := range flag.Envs {
			if _, set := os.LookupEnv(key); set {
				return nil, nil //nolint:nilnil // kong asks resolvers first, and the environment goes before the file
			}
		}
		if value, ok := f.values[flag.Name]; ok {
			return value, nil
		}
		return nil, nil //nolint:nilnil // kong's way of saying that the file is silent on a flag
	}), nil
}

func (f *fileResolver) unknown(model *kong.Application) []string {
	known := map[string]bool{}
	for _, flag := range model.Flags {
		known[flag.Name] = true
	}
	var unknown []string
	for key := range f.values {
		if !known[key] {
			unknown = append(unknown, key)
		}
	}
	sort.Strings(unknown)
	return unknown
}
