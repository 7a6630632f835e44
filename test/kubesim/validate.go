package kubesim

import (
	"fmt"
	"reflect"
	"slices"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// check reports what is wrong with a value by itself.
func (s *structure) check(v reflect.Value, path *field.Path) field.ErrorList {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	switch {
	case v.Kind() == reflect.String:
		return s.checkText(v.String(), path)
	case v.CanInt():
		return s.checkNumber(v.Int(), path)
	case v.Kind() == reflect.Slice && s.Items != nil:
		return s.checkItems(v, path)
	case v.Kind() == reflect.Map:
		if s.MaxProperties != nil && v.Len() > *s.MaxProperties {
			return field.ErrorList{field.TooMany(path, v.Len(), *s.MaxProperties)}
		}
		return nil
	case v.Kind() == reflect.Struct:
		return s.checkMembers(v, path)
	}
	return nil
}

func (s *structure) checkMembers(v reflect.Value, path *field.Path) field.ErrorList {
	var problems field.ErrorList
	for _, m := range s.members {
		f, at := v.Field(m.index), path.Child(m.name)
		if path == nil {
			at = field.NewPath(m.name)
		}
		if m.omitted && f.IsZero() {
			if s.required[m.name] {
				problems = append(problems, field.Required(at, ""))
			}
			continue
		}
		problems = append(problems, m.structure.check(f, at)...)
	}
	return problems
}

// checkText reports the first thing that is wrong with a text, and whether it is none of those allowed.
func (s *structure) checkText(text string, path *field.Path) field.ErrorList {
	var problems field.ErrorList
	switch n := utf8.RuneCountInString(text); {
	case s.MaxLength != nil && n > *s.MaxLength:
		problems = append(problems, field.TooLong(path, text, *s.MaxLength))
	case s.MinLength != nil && n < *s.MinLength:
		problems = append(problems, field.Invalid(path, text, fmt.Sprintf("should be at least %d chars long", *s.MinLength)))
	case s.pattern != nil && !s.pattern.MatchString(text):
		problems = append(problems, field.Invalid(path, text, fmt.Sprintf("should match '%s'", s.Pattern)))
	}
	if s.Enum != nil && !slices.Contains(s.Enum, text) {
		problems = append(problems, field.NotSupported(path, text, s.Enum))
	}
	return problems
}

func (s *structure) checkNumber(n int64, path *field.Path) field.ErrorList {
	switch {
	case s.Minimum != nil && float64(n) < *s.Minimum:
		return field.ErrorList{field.Invalid(path, n, fmt.Sprintf("should be greater than or equal to %v", *s.Minimum))}
	case s.Maximum != nil && float64(n) > *s.Maximum:
		return field.ErrorList{field.Invalid(path, n, fmt.Sprintf("should be less than or equal to %v", *s.Maximum))}
	}
	return nil
}

func (s *structure) checkItems(v reflect.Value, path *field.Path) field.ErrorList {
	var problems field.ErrorList
	switch {
	case s.MinItems != nil && v.Len() < *s.MinItems:
		problems = append(problems, field.Invalid(path, v.Len(), fmt.Sprintf("should have at least %d items", *s.MinItems)))
	case s.MaxItems != nil && v.Len() > *s.MaxItems:
		problems = append(problems, field.TooMany(path, v.Len(), *s.MaxItems))
	}
	seen := map[any]bool{}
	for i := range v.Len() {
		item := v.Index(i)
		problems = append(problems, s.Items.check(item, path.Index(i))...)
		if s.ListType != "set" && s.ListType != "map" {
			continue
		}
		identity := s.identity(item)
		if seen[identity] {
			problems = append(problems, field.Duplicate(path.Index(i), identity))
		}
		seen[identity] = true
	}
	return problems
}

// identity is what may occur only once in a list.
func (s *structure) identity(item reflect.Value) any {
	if s.ListType == "set" {
		return item.Interface()
	}
	text := ""
	for _, m := range s.Items.members {
		if slices.Contains(s.ListMapKeys, m.name) {
			text += fmt.Sprintf("%s=%v ", m.name, item.Field(m.index))
		}
	}
	return text
}

// blocks reports whether a problem keeps the API server from evaluating rules, which may stumble over it.
func blocks(problem *field.Error) bool {
	switch problem.Type {
	case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
		return true
	}
	return false
}
