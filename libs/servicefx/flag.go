package servicefx

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// flag is one value of a configuration. It is read without the reflection on methods that other libraries use: with it the
// linker would have to keep every method of every Kubernetes type (docs/adr/0013).
type flag struct {
	name, help, byDefault string
	negatable, isPath     bool
	enum                  []string
	value                 reflect.Value
}

var durationType = reflect.TypeFor[time.Duration]()

// flagsOf lists the flags of a struct.
func flagsOf(v reflect.Value, prefix string) []*flag {
	var out []*flag
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if _, embedded := field.Tag.Lookup("embed"); embedded {
			out = append(out, flagsOf(v.Field(i), prefix+field.Tag.Get("prefix"))...)
			continue
		}
		help, has := field.Tag.Lookup("help")
		if !has || !field.IsExported() {
			continue
		}
		f := &flag{name: prefix + hyphenated(field.Name), help: help, byDefault: field.Tag.Get("default"), isPath: field.Tag.Get("type") == "path", value: v.Field(i)}
		_, f.negatable = field.Tag.Lookup("negatable")
		if enum := field.Tag.Get("enum"); enum != "" {
			f.enum = strings.Split(enum, ",")
		}
		out = append(out, f)
	}
	return out
}

// hyphenated turns ClientIDFile into client-id-file.
func hyphenated(name string) string {
	runes := []rune(name)
	var b strings.Builder
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

func (f *flag) isBool() bool { return f.value.Kind() == reflect.Bool }

// env is the name of the flag's environment variable.
func (f *flag) env() string { return envPrefix + strings.ToUpper(strings.ReplaceAll(f.name, "-", "_")) }

func (f *flag) usage() string {
	name := f.name
	if f.negatable {
		name = "[no-]" + name
	}
	text := "--" + name
	if !f.isBool() {
		text += "=" + strconv.Quote(f.byDefault)
	}
	return text + " ($" + f.env() + ")"
}

// setFirst takes the first value there is: given, in the environment, in the file, or the default.
func (f *flag) setFirst(given, file map[string]string) error {
	if value, has := given[f.name]; has {
		return f.set(value)
	}
	if value, has := os.LookupEnv(f.env()); has {
		return f.set(value)
	}
	if value, has := file[f.name]; has {
		return f.set(value)
	}
	if f.byDefault == "" {
		return nil
	}
	return f.set(f.byDefault)
}

// set reads a value.
func (f *flag) set(text string) error {
	if f.enum != nil && !slices.Contains(f.enum, text) {
		return fmt.Errorf("--%s is %q, and must be one of %s", f.name, text, strings.Join(f.enum, ", "))
	}
	var err error
	switch {
	case f.value.Type() == durationType:
		var d time.Duration
		if d, err = time.ParseDuration(text); err == nil {
			f.value.SetInt(int64(d))
		}
	case f.isBool():
		var is bool
		if is, err = strconv.ParseBool(text); err == nil {
			f.value.SetBool(is)
		}
	case f.value.CanInt():
		var n int64
		if n, err = strconv.ParseInt(text, 10, f.value.Type().Bits()); err == nil {
			f.value.SetInt(n)
		}
	case f.value.Kind() == reflect.String:
		if f.isPath {
			text, err = absolute(text)
		}
		f.value.SetString(text)
	default:
		err = errors.New("values of its type cannot be read")
	}
	if err != nil {
		return fmt.Errorf("--%s: %w", f.name, err)
	}
	return nil
}

// absolute expands a path from the home folder or the working folder; an empty one stays.
func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	if rest, home := strings.CutPrefix(path, "~/"); home {
		folder, err := os.UserHomeDir()
		return filepath.Join(folder, rest), err
	}
	return filepath.Abs(path)
}
