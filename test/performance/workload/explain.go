package workload

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/json"
)

// explainJSON says in which line or field a mistake is, in words that do not need the source code.
func explainJSON(data []byte, err error) error {
	if known, offset := json.SyntaxErrorOffset(err); known && offset >= 0 && offset <= int64(len(data)) {
		return fmt.Errorf("malformed JSON in line %d: %w", 1+bytes.Count(data[:offset], []byte("\n")), err)
	}
	var mismatch *stdjson.UnmarshalTypeError
	if !errors.As(err, &mismatch) {
		return err
	}
	what := "it"
	if mismatch.Field != "" {
		what = mismatch.Field
	}
	return fmt.Errorf("%s is a JSON %s: %s is expected", what, mismatch.Value, jsonKind(mismatch.Type))
}

func jsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Float64:
		return "a number"
	case reflect.Pointer:
		return jsonKind(t.Elem())
	}
	return "a whole number"
}

// explainQuantities names the amounts of a pod or a type that are no quantities, which the decoder's error does not.
func explainQuantities(entry []byte, err error) error {
	type container struct {
		Name      string `json:"name"`
		Resources struct {
			Requests map[string]any `json:"requests"`
			Limits   map[string]any `json:"limits"`
		} `json:"resources"`
	}
	var either struct {
		Extended map[string]any `json:"extended"`
		Spec     struct {
			InitContainers []container `json:"initContainers"`
			Containers     []container `json:"containers"`
		} `json:"spec"`
	}
	if stdjson.Unmarshal(entry, &either) != nil {
		return err
	}
	wrong := wrongQuantities("extended", either.Extended)
	for _, c := range slices.Concat(either.Spec.InitContainers, either.Spec.Containers) {
		wrong = append(wrong, wrongQuantities("requests of container "+c.Name, c.Resources.Requests)...)
		wrong = append(wrong, wrongQuantities("limits of container "+c.Name, c.Resources.Limits)...)
	}
	if wrong == nil {
		return err
	}
	return errors.New(strings.Join(wrong, "; "))
}

func wrongQuantities(of string, amounts map[string]any) []string {
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(amounts)) {
		amount := fmt.Sprint(amounts[name])
		if _, err := resource.ParseQuantity(amount); err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: %s is %q: a quantity such as 500m or 1Gi is expected", of, name, amount))
		}
	}
	return wrong
}

// place names an entry by its number and, where it has one, its name.
func place(list string, number int, entry []byte, path ...string) string {
	where := fmt.Sprintf("%s[%d]", list, number)
	for _, field := range path {
		var fields map[string]stdjson.RawMessage
		if stdjson.Unmarshal(entry, &fields) != nil {
			return where
		}
		entry = fields[field]
	}
	var name string
	if stdjson.Unmarshal(entry, &name) != nil || name == "" {
		return where
	}
	return fmt.Sprintf("%s %q", where, name)
}

// problems are what is wrong with a file.
type problems struct {
	shown []string
	more  int
}

const problemsMax = 10

func (p *problems) add(where func() string, what string) {
	if len(p.shown) == problemsMax {
		p.more++
		return
	}
	p.shown = append(p.shown, where()+": "+what)
}

func (p *problems) err() error {
	switch {
	case len(p.shown) == 0:
		return nil
	case p.more > 0:
		return fmt.Errorf("%s\nand %d more", strings.Join(p.shown, "\n"), p.more)
	}
	return errors.New(strings.Join(p.shown, "\n"))
}
