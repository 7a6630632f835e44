package servicefx

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

const (
	envPrefix    = "VPSIE_"
	configFlag   = "config"
	fileBytesMax = 1 << 20
)

// ErrHelp says that help was asked for and written.
var ErrHelp = errors.New("help requested")

// Args are the command line without the program's name, and where help is written.
type Args struct {
	Values []string
	Out    io.Writer
	// Exit ends the process once help is written; nil lets Load return ErrHelp.
	Exit func(status int)
}

// OSArgs is the command line of this process.
func OSArgs() Args { return Args{Values: os.Args[1:], Out: os.Stdout, Exit: os.Exit} }

// validator is implemented by configurations that check themselves.
type validator interface{ Validate() error }

// Load reads a configuration struct. Its fields are flags, named like them with hyphens; their tags are help, default,
// enum (the allowed values, separated by commas), negatable (for a bool, which --no-… switches off) and type:"path"; embed, with
// an optional prefix, takes the fields of a struct in. The file named by --config or VPSIE_CONFIG is YAML with the flags' names
// as keys; a key it does not know is an error.
func Load[C any](name Name, args Args) (C, error) {
	var cli struct {
		Config string `help:"YAML file whose keys are the names of the flags." type:"path"`
		Body   C      `embed:""`
	}
	flags := flagsOf(reflect.ValueOf(&cli).Elem(), "")
	if slices.ContainsFunc(args.Values, func(arg string) bool { return arg == "--help" || arg == "-h" }) {
		writeHelp(args.Out, name, flags)
		if args.Exit != nil {
			args.Exit(0)
		}
		return cli.Body, ErrHelp
	}
	if err := read(flags, args.Values); err != nil {
		return cli.Body, fmt.Errorf("read configuration of %s: %w", name, err)
	}
	if v, ok := any(cli.Body).(validator); ok {
		if err := v.Validate(); err != nil {
			return cli.Body, fmt.Errorf("configuration of %s: %w", name, err)
		}
	}
	return cli.Body, nil
}

// read gives the flags their values: from the command line, else the environment, else the file, else their defaults.
func read(flags []*flag, arguments []string) error {
	given, err := parse(flags, arguments)
	if err != nil {
		return err
	}
	file := map[string]string{}
	for _, f := range flags {
		if f.name != configFlag {
			continue
		}
		if err := f.setFirst(given, file); err != nil {
			return err
		}
		if file, err = readFile(f.value.String()); err != nil {
			return err
		}
	}
	known := map[string]bool{}
	var problems []error
	for _, f := range flags {
		known[f.name] = true
		if f.name != configFlag {
			problems = append(problems, f.setFirst(given, file))
		}
	}
	if unknown := slices.DeleteFunc(slices.Sorted(maps.Keys(file)), func(key string) bool { return known[key] }); len(unknown) > 0 {
		problems = append(problems, fmt.Errorf("unknown keys %s; known keys are the flags shown by --help", strings.Join(unknown, ", ")))
	}
	return errors.Join(problems...)
}

// parse reads the command line: --name=value, --name value, and --name or --no-name of a bool.
func parse(flags []*flag, arguments []string) (map[string]string, error) {
	given := map[string]string{}
	for len(arguments) > 0 {
		argument := arguments[0]
		arguments = arguments[1:]
		text, dashes := strings.CutPrefix(argument, "--")
		if !dashes {
			return nil, fmt.Errorf("unexpected argument %s", argument)
		}
		name, value, has := strings.Cut(text, "=")
		f, negated := find(flags, name)
		switch {
		case f == nil:
			return nil, fmt.Errorf("unknown flag --%s", name)
		case negated && has:
			return nil, fmt.Errorf("--%s takes no value", name)
		case f.isBool() && !has:
			value = strconv.FormatBool(!negated)
		case !has && len(arguments) == 0:
			return nil, fmt.Errorf("--%s lacks a value", name)
		case !has:
			value, arguments = arguments[0], arguments[1:]
		}
		given[f.name] = value
	}
	return given, nil
}

// find returns the flag of a name, and whether the name negates it.
func find(flags []*flag, name string) (*flag, bool) {
	for _, f := range flags {
		if f.name == name || f.negatable && "no-"+f.name == name {
			return f, f.name != name
		}
	}
	return nil, false
}

// readFile reads a configuration file; an empty name is none.
func readFile(name string) (map[string]string, error) {
	if name == "" {
		return nil, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open configuration file: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(file, fileBytesMax))
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("read configuration file: %w", err)
	}
	var values map[string]any
	if err := yaml.UnmarshalStrict(raw, &values); err != nil {
		return nil, fmt.Errorf("parse configuration file: %w", err)
	}
	out := map[string]string{}
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(values)) {
		switch value := values[key].(type) {
		case nil:
		case string:
			out[key] = value
		case bool:
			out[key] = strconv.FormatBool(value)
		case float64:
			out[key] = strconv.FormatFloat(value, 'f', -1, 64)
		default:
			problems = append(problems, fmt.Errorf("configuration file: %s is neither a string nor a number", key))
		}
	}
	return out, errors.Join(problems...)
}

func writeHelp(out io.Writer, name Name, flags []*flag) {
	fmt.Fprintf(out, "vpsie-%s: the %s of the VPSie node autoscaler.\n\nFlags, each also the environment variable in brackets and a key of the file:\n", name, name) //nolint:errcheck // nobody reads
	for _, f := range flags {
		fmt.Fprintf(out, "  %s\n        %s\n", f.usage(), f.help) //nolint:errcheck // nobody reads
	}
}
