package kubesim

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// structure is the part of a CustomResourceDefinition's schema that says more than the Go types do.
type structure struct {
	Properties           map[string]*structure `json:"properties"`
	Items                *structure            `json:"items"`
	AdditionalProperties *structure            `json:"additionalProperties"`
	Required             []string              `json:"required"`
	Default              json.RawMessage       `json:"default"`
	Enum                 []string              `json:"enum"`
	Pattern              string                `json:"pattern"`
	Minimum              *float64              `json:"minimum"`
	Maximum              *float64              `json:"maximum"`
	MinLength            *int                  `json:"minLength"`
	MaxLength            *int                  `json:"maxLength"`
	MinItems             *int                  `json:"minItems"`
	MaxItems             *int                  `json:"maxItems"`
	MaxProperties        *int                  `json:"maxProperties"`
	ListType             string                `json:"x-kubernetes-list-type"`
	ListMapKeys          []string              `json:"x-kubernetes-list-map-keys"`
	Rules                []*rule               `json:"x-kubernetes-validations"`

	required map[string]bool
	pattern  *regexp.Regexp
	members  []member // of a structure, in the order of its Go type
}

// member is a property and the Go field that holds it.
type member struct {
	name      string
	index     int
	structure *structure
	// omitted when zero, so that zero means absent.
	omitted bool
}

// followSchema takes defaults and validation of a custom resource from its definition.
func (r *resource) followSchema() {
	root := schemaOf(r.gvr.Resource, r.gvr.Version)
	root.compile(reflect.TypeOf(r.prototype).Elem())
	r.defaults = func(o client.Object) { root.setDefaults(reflect.ValueOf(o).Elem()) }
	r.validate = func(o, old client.Object) field.ErrorList {
		var before reflect.Value
		if old != nil {
			before = reflect.ValueOf(old).Elem()
		}
		v := reflect.ValueOf(o).Elem()
		problems := root.check(v, nil)
		if slices.ContainsFunc(problems, blocks) {
			return append(problems, field.Invalid(nil, nil,
				"some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"))
		}
		return append(problems, root.judge(v, before, nil)...)
	}
}

// schemaOf reads a schema from the definitions of this program.
func schemaOf(plural, version string) *structure {
	for _, text := range definitions() {
		var definition struct {
			Spec struct {
				Names    struct{ Plural string }
				Versions []struct {
					Name   string
					Schema struct{ OpenAPIV3Schema *structure }
				}
			}
		}
		if err := yaml.Unmarshal(text, &definition); err != nil {
			panic(fmt.Errorf("read definition of %s: %w", plural, err))
		}
		for _, v := range definition.Spec.Versions {
			if definition.Spec.Names.Plural == plural && v.Name == version {
				return v.Schema.OpenAPIV3Schema
			}
		}
	}
	panic(fmt.Sprintf("kubesim: there is no definition of %s %s", plural, version))
}

// compile connects the schema with the Go type that holds what it describes.
func (s *structure) compile(t reflect.Type) {
	s.required = map[string]bool{}
	for _, name := range s.Required {
		s.required[name] = true
	}
	if s.Pattern != "" {
		s.pattern = regexp.MustCompile(s.Pattern)
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case s.Items != nil:
		s.Items.compile(t.Elem())
	case s.AdditionalProperties != nil:
		s.AdditionalProperties.compile(t.Elem())
	case s.Properties != nil:
		for i := range t.NumField() {
			name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			if p := s.Properties[name]; p != nil && name != "metadata" {
				p.compile(t.Field(i).Type)
				s.members = append(s.members, member{name: name, index: i, structure: p, omitted: isOmitted(t.Field(i).Type, options)})
			}
		}
	}
	for _, one := range s.Rules {
		one.compile(t)
	}
}

// isOmitted reports whether a field with these options of its JSON tag is not written when it is zero.
func isOmitted(t reflect.Type, options string) bool {
	return strings.Contains(options, "omitzero") || strings.Contains(options, "omitempty") && t.Kind() != reflect.Struct
}

// setDefaults completes a value.
func (s *structure) setDefaults(v reflect.Value) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	if s.Items != nil {
		for i := range v.Len() {
			s.Items.setDefaults(v.Index(i))
		}
	}
	for _, m := range s.members {
		f := v.Field(m.index)
		if m.omitted && f.IsZero() {
			if m.structure.Default == nil {
				continue
			}
			if err := json.Unmarshal(m.structure.Default, f.Addr().Interface()); err != nil {
				panic(fmt.Errorf("default of %s: %w", m.name, err))
			}
		}
		m.structure.setDefaults(f)
	}
}
