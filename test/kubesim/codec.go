package kubesim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kjson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// media is a media type that objects are encoded in.
type media int

const (
	mediaJSON media = iota
	mediaProtobuf
	mediaCount
)

const (
	jsonType     = "application/json"
	protobufType = "application/vnd.kubernetes.protobuf"
)

// contentType is the header of a reply.
func (m media) contentType(streams bool) string {
	switch {
	case m == mediaJSON:
		return jsonType
	case streams:
		return protobufType + ";stream=watch"
	default:
		return protobufType
	}
}

// accepted chooses the media type of a reply: the first of the header that is known.
func accepted(header string, r *resource) media {
	if r.protobuf && strings.HasPrefix(header, protobufType) {
		return mediaProtobuf
	}
	return mediaJSON
}

// protobufMagic starts everything that is encoded as application/vnd.kubernetes.protobuf.
var protobufMagic = []byte("k8s\x00")

// message is what generated types offer for protocol buffers.
type message interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// encode returns an object on its own: in protocol buffers without the envelope that names its type.
func encode(o runtime.Object, m media) ([]byte, error) {
	if m == mediaJSON {
		b, err := json.Marshal(o)
		if err != nil {
			return nil, fmt.Errorf("encode %T: %w", o, err)
		}
		return b, nil
	}
	typed, ok := o.(message)
	if !ok {
		return nil, fmt.Errorf("encode %T: it has no protocol buffer", o)
	}
	b, err := typed.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", o, err)
	}
	return b, nil
}

// wrap puts the envelope of protocol buffers around an object's bytes.
func wrap(apiVersion, kind string, raw []byte, m media) []byte {
	if m == mediaJSON {
		return raw
	}
	unknown := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: apiVersion, Kind: kind}, Raw: raw}
	size := unknown.Size()
	b := make([]byte, len(protobufMagic)+size)
	copy(b, protobufMagic)
	if _, err := unknown.MarshalToSizedBuffer(b[len(protobufMagic):]); err != nil {
		panic(err) // the buffer is of the size that was asked for
	}
	return b
}

// decode reads an object, or options, from a request's body.
func decode(body []byte, contentType string, into any) error {
	if len(body) == 0 {
		return errors.New("the body is empty")
	}
	if !strings.HasPrefix(contentType, protobufType) {
		if err := kjson.Unmarshal(body, into); err != nil {
			return fmt.Errorf("decode %T: %w", into, err)
		}
		return nil
	}
	raw, found := bytes.CutPrefix(body, protobufMagic)
	typed, ok := into.(message)
	if !found || !ok {
		return fmt.Errorf("decode %T: it is not a protocol buffer", into)
	}
	var unknown runtime.Unknown
	if err := unknown.Unmarshal(raw); err != nil {
		return fmt.Errorf("decode envelope of %T: %w", into, err)
	}
	if err := typed.Unmarshal(unknown.Raw); err != nil {
		return fmt.Errorf("decode %T: %w", into, err)
	}
	return nil
}

// copyOverWire returns what a server would read if the object were sent to it.
func (r *resource) copyOverWire(o client.Object) (client.Object, error) {
	m := mediaJSON
	if r.protobuf {
		m = mediaProtobuf
	}
	b, err := encode(o, m)
	if err != nil {
		return nil, err
	}
	c := r.newObject()
	if err := decode(wrap(r.apiVersion(), r.kind, b, m), m.contentType(false), c); err != nil {
		return nil, err
	}
	return c, nil
}

// frame encodes one event of a watch.
func frame(kind watch.EventType, r *record, m media) ([]byte, error) {
	raw, err := r.bytes(m)
	if err != nil {
		return nil, err
	}
	return frameOf(kind, wrap(r.resource.apiVersion(), r.resource.kind, raw, m), m)
}

// frameOf encodes an event whose object is encoded already.
func frameOf(kind watch.EventType, object []byte, m media) ([]byte, error) {
	if m == mediaJSON {
		b := make([]byte, 0, len(object)+40)
		b = append(b, `{"type":"`...)
		b = append(b, kind...)
		b = append(b, `","object":`...)
		b = append(b, object...)
		return append(b, "}\n"...), nil
	}
	e := metav1.WatchEvent{Type: string(kind), Object: runtime.RawExtension{Raw: object}}
	size := e.Size()
	b := make([]byte, 4+size)
	b[0], b[1], b[2], b[3] = byte(size>>24), byte(size>>16), byte(size>>8), byte(size)
	if _, err := e.MarshalToSizedBuffer(b[4:]); err != nil {
		return nil, fmt.Errorf("encode %s event: %w", kind, err)
	}
	return b, nil
}
