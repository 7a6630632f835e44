package facts

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
)

// checkParameters says what is wrong with the parameters of a record that is to carry those of the registry.
func checkParameters(wanted []reason.Parameter, values map[string]string) []error {
	var problems []error
	unknown := maps.Clone(values)
	for _, p := range wanted {
		delete(unknown, p.Name)
		value, has := values[p.Name]
		if !has {
			if !p.Optional {
				problems = append(problems, fmt.Errorf("parameter %s is missing", p.Name))
			}
			continue
		}
		if err := checkValue(p.Type, value); err != nil {
			problems = append(problems, fmt.Errorf("parameter %s is %q and not a %s: %w", p.Name, value, p.Type, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		problems = append(problems, fmt.Errorf("the registry does not have parameter %s for the code and kind", name))
	}
	return problems
}

var (
	errEmpty = errors.New("it is empty")
	errLong  = errors.New("it is too long")
	errForm  = errors.New("it is written in another way")
)

// checkName says why a text is not the name of one thing. Names at VPSie may have spaces within.
func checkName(name string) error {
	if name != strings.TrimSpace(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.Contains(name, ",") {
		return errForm
	}
	return nil
}

// checkValue says why a value is not of a type.
func checkValue(t reason.Type, value string) error {
	switch {
	case len(value) > reason.ValueBytesMax:
		return errLong
	case value == "" && t == reason.Machine:
		return nil
	case value == "":
		return errEmpty
	}
	switch t {
	case reason.Count, reason.Percent, reason.Micros:
		_, err := strconv.ParseUint(value, 10, 63)
		return err
	case reason.Integer:
		_, err := strconv.ParseInt(value, 10, 64)
		return err
	case reason.Time:
		at, err := time.Parse(time.RFC3339, value)
		if err == nil && reason.TimeOf(at) != value {
			err = errForm
		}
		return err
	case reason.Duration:
		_, err := time.ParseDuration(value)
		return err
	case reason.NamespacedName:
		namespace, name, is := strings.Cut(value, "/")
		if !is || namespace == "" || name == "" || strings.ContainsAny(name, "/, ") || strings.ContainsAny(namespace, ", ") {
			return errForm
		}
		return nil
	case reason.NameList:
		names := strings.Split(value, ",")
		if slices.Contains(names, "") {
			return errForm
		}
		if more, is := strings.CutPrefix(names[len(names)-1], "+"); is {
			if _, err := strconv.ParseUint(more, 10, 31); err != nil {
				return err
			}
			names = names[:len(names)-1]
		}
		if len(names) > reason.NamesMax {
			return errLong
		}
		for _, name := range names {
			if err := checkName(name); err != nil {
				return err
			}
		}
		return nil
	case reason.Name, reason.Machine:
		return checkName(value)
	}
	return errors.New("the type is not known")
}
