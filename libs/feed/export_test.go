package feed

import (
	"google.golang.org/protobuf/proto"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// Decode reads one record as a replica does.
func Decode(key string, body []byte) error { return newState().apply(key, body, false) }

// DecodeShape reads the record of a shape.
func DecodeShape(body []byte) (*scheduling.Shape, error) {
	record := &feedv1.Shape{}
	if err := proto.Unmarshal(body, record); err != nil {
		return nil, err
	}
	return decodeShape(record)
}

// Sources returns what a writer tells the unchanged records by.
func (c *Contents) Sources() map[string]any {
	sources := map[string]any{}
	_ = c.visit(func(key string, source any, _ func() proto.Message) error {
		sources[key] = source
		return nil
	})
	return sources
}
