package kubesim

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	apiresource "k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// rule is a CEL rule of a schema, in one of the few forms that our definitions use. A definition with
// another form stops New, so that no rule is silently left out.
type rule struct {
	Rule    string `json:"rule"`
	Message string `json:"message"`

	holds func(self, old reflect.Value) bool
	// transition rules look at the state before, so they say nothing about a creation.
	transition bool
}

// The forms of rules.
var (
	sameAsBefore = regexp.MustCompile(`^self\.(\w+) == oldSelf\.(\w+)$`)
	atMost       = regexp.MustCompile(`^self\.(\w+) <= self\.(\w+)$`)
	keysMatch    = regexp.MustCompile(`^self\.all\((\w+), \w+\.matches\('(.+)'\) && !\w+\.contains\('(.+)'\)\)$`)
	notNegative  = regexp.MustCompile(`^!string\(self\)\.startsWith\('-'\)$`)
	asBefore     = regexp.MustCompile(`^has\(self\.(\w+)\) == has\(oldSelf\.(\w+)\) && \(!has\(self\.(\w+)\) \|\| self\.(\w+) == oldSelf\.(\w+)\)$`)
	notBoth      = regexp.MustCompile(`^!\(has\(self\.(\w+)\) && has\(self\.(\w+)\)\)$`)
)

// compile finds the fields of a Go type that a rule speaks of.
func (r *rule) compile(t reflect.Type) {
	if m := atMost.FindStringSubmatch(r.Rule); m != nil {
		low, high := fieldNamed(t, m[1]), fieldNamed(t, m[2])
		r.holds = func(self, _ reflect.Value) bool { return self.Field(low).Int() <= self.Field(high).Int() }
		return
	}
	if m := notBoth.FindStringSubmatch(r.Rule); m != nil {
		one, other := fieldNamed(t, m[1]), fieldNamed(t, m[2])
		r.holds = func(self, _ reflect.Value) bool { return self.Field(one).IsZero() || self.Field(other).IsZero() }
		return
	}
	if m := keysMatch.FindStringSubmatch(r.Rule); m != nil {
		pattern := regexp.MustCompile(m[2])
		r.holds = func(self, _ reflect.Value) bool {
			return !slices.ContainsFunc(self.MapKeys(), func(key reflect.Value) bool {
				return !pattern.MatchString(key.String()) || strings.Contains(key.String(), m[3])
			})
		}
		return
	}
	if notNegative.MatchString(r.Rule) && t == reflect.TypeFor[apiresource.Quantity]() {
		r.holds = func(self, _ reflect.Value) bool {
			q, is := self.Interface().(apiresource.Quantity)
			return is && q.Sign() >= 0
		}
		return
	}
	if r.Rule == "self == oldSelf" {
		r.transition = true
		r.holds = func(self, old reflect.Value) bool { return reflect.DeepEqual(self.Interface(), old.Interface()) }
		return
	}
	if m := asBefore.FindStringSubmatch(r.Rule); m != nil && len(slices.Compact(m[1:])) == 1 {
		optional := fieldNamed(t, m[1])
		r.transition = true
		r.holds = func(self, old reflect.Value) bool {
			before, after := old.Field(optional), self.Field(optional)
			return before.IsZero() && after.IsZero() || reflect.DeepEqual(after.Interface(), before.Interface())
		}
		return
	}
	var fixed []int
	for _, term := range strings.Split(r.Rule, " && ") {
		m := sameAsBefore.FindStringSubmatch(term)
		if m == nil || m[1] != m[2] {
			panic(fmt.Sprintf("kubesim: the form of rule %q is not known", r.Rule))
		}
		fixed = append(fixed, fieldNamed(t, m[1]))
	}
	r.transition = true
	r.holds = func(self, old reflect.Value) bool {
		for _, i := range fixed {
			if !reflect.DeepEqual(self.Field(i).Interface(), old.Field(i).Interface()) {
				return false
			}
		}
		return true
	}
}

// fieldNamed finds a field by its name in JSON.
func fieldNamed(t reflect.Type, name string) int {
	for i := range t.NumField() {
		if tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); tag == name {
			return i
		}
	}
	panic(fmt.Sprintf("kubesim: %v has no field %q", t, name))
}

// judge evaluates the rules of a value and of the structures in it.
func (s *structure) judge(v, old reflect.Value, path *field.Path) field.ErrorList {
	var problems field.ErrorList
	for _, r := range s.Rules {
		if r.transition && !old.IsValid() || r.holds(v, old) {
			continue
		}
		problems = append(problems, field.Invalid(path, "object", r.Message))
	}
	for _, m := range s.members {
		value := reflect.Indirect(v.Field(m.index))
		if !value.IsValid() || len(m.structure.Rules) == 0 && (value.Kind() != reflect.Struct || len(m.structure.members) == 0) {
			continue
		}
		at, before := path.Child(m.name), reflect.Value{}
		if path == nil {
			at = field.NewPath(m.name)
		}
		if old.IsValid() {
			before = reflect.Indirect(old.Field(m.index))
		}
		problems = append(problems, m.structure.judge(value, before, at)...)
	}
	return problems
}
