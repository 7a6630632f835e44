package facts

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"k8s.io/apimachinery/pkg/util/validation"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
)

const (
	// storedBytesMax bounds a fact at rest. The annotations of an object have 256 KiB together, the data of a ConfigMap 1 MiB.
	storedBytesMax = 32 << 10
	// textBytesMax and listMax bound the texts and lists of a fact in its shortest form.
	textBytesMax = 512
	listMax      = 64
)

// errUnstorable says that a fact cannot be kept in Kubernetes in any form.
var errUnstorable = errors.New("fact cannot be stored")

// forms are those in which a fact may be put on record: whole, without what was weighed, and with short texts and lists. The last is
// well-formed and within the bound, whatever the fact says.
func forms(f Fact) iter.Seq[Fact] {
	return func(yield func(Fact) bool) {
		if !yield(f) {
			return
		}
		f.Message = proto.Clone(f.Message)
		if r, is := f.Message.(*busv1.DecisionRecord); is {
			r.Candidates = nil
			if !yield(f) {
				return
			}
			f.Message = proto.Clone(r)
		}
		shorten(f.Message.ProtoReflect())
		yield(f)
	}
}

// shorten cuts the texts and lists of a message.
func shorten(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.IsMap():
			entries := m.Mutable(field).Map()
			entries.Range(func(key protoreflect.MapKey, v protoreflect.Value) bool {
				entries.Set(key, shortened(v))
				return true
			})
		case field.IsList():
			list := m.Mutable(field).List()
			list.Truncate(min(list.Len(), listMax))
			for i := range list.Len() {
				list.Set(i, shortened(list.Get(i)))
			}
		default:
			m.Set(field, shortened(v))
		}
		return true
	})
}

func shortened(v protoreflect.Value) protoreflect.Value {
	switch value := v.Interface().(type) {
	case string:
		if text := strings.ToValidUTF8(value[:min(len(value), textBytesMax)], ""); text != value {
			return protoreflect.ValueOfString(text + "…")
		}
	case protoreflect.Message:
		shorten(value)
	}
	return v
}

// Text is the fullest form of a fact that Kubernetes holds, as Parse reads it; an error for one that is held in none.
func Text(f Fact) (string, error) {
	if problems := validation.IsConfigMapKey(f.ID); len(problems) > 0 {
		return "", fmt.Errorf("%w: id %q: %s", errUnstorable, f.ID, strings.Join(problems, "; "))
	}
	err := errUnstorable
	for form := range forms(f) {
		text, encodeErr := encode(form)
		if encodeErr == nil && len(text) <= storedBytesMax {
			return text, nil
		}
		err = errors.Join(errUnstorable, encodeErr)
	}
	return "", err
}
