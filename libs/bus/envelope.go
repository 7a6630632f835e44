package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/protobuf/proto"

	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

// Headers of a message: CloudEvents in binary mode, W3C trace context, and what caused it.
const (
	headerID          = "ce-id"
	headerType        = "ce-type"
	headerSource      = "ce-source"
	headerTime        = "ce-time"
	headerSchema      = "ce-dataschema"
	headerContentType = "content-type"
	headerCorrelation = "correlation-id"
	headerCausation   = "causation-id"
)

const (
	contentType = "application/protobuf"
	// schema is the version of the messages that we write. Readers accept every minor version.
	schema      = "v1.0"
	schemaMajor = "v1."
)

// errForeign is wrapped by what is wrong with a message itself: no later attempt can help.
var errForeign = errors.New("message cannot be decoded")

var traceContext = propagation.TraceContext{}

type causeKey struct{}

// envelope wraps a message body, with the trace and the correlation of ctx.
func envelope(ctx context.Context, source, id string, m proto.Message) (*message.Message, error) {
	body, err := proto.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w: %w", m.ProtoReflect().Descriptor().FullName(), ErrInvalidMessage, err)
	}
	out := message.NewMessageWithContext(ctx, id, body)
	correlation := telemetry.CorrelationID(ctx)
	if correlation == "" {
		correlation = id
	}
	out.Metadata = message.Metadata{
		headerID:          id,
		headerType:        string(m.ProtoReflect().Descriptor().FullName()),
		headerSource:      source,
		headerTime:        time.Now().UTC().Format(time.RFC3339Nano),
		headerSchema:      schema,
		headerContentType: contentType,
		headerCorrelation: correlation,
	}
	if cause, ok := ctx.Value(causeKey{}).(string); ok {
		out.Metadata[headerCausation] = cause
	}
	traceContext.Inject(ctx, propagation.MapCarrier(out.Metadata))
	return out, nil
}

// received returns ctx with the trace and the correlation of a message, and as what causes
// everything that is published with it.
func received(ctx context.Context, msg *message.Message) context.Context {
	ctx = traceContext.Extract(ctx, propagation.MapCarrier(msg.Metadata))
	if id := msg.Metadata[headerCorrelation]; id != "" {
		ctx = telemetry.WithCorrelationID(ctx, id)
	}
	return context.WithValue(ctx, causeKey{}, msg.Metadata[headerID])
}

// open decodes the body into m, or returns errForeign with what is wrong.
func open(msg *message.Message, m proto.Message) error {
	want := string(m.ProtoReflect().Descriptor().FullName())
	if got := msg.Metadata[headerType]; got != want {
		return fmt.Errorf("%w: type is %q, want %q", errForeign, got, want)
	}
	if got := msg.Metadata[headerSchema]; !strings.HasPrefix(got, schemaMajor) {
		return fmt.Errorf("%w: schema version is %q, want %sx", errForeign, got, schemaMajor)
	}
	if err := proto.Unmarshal(msg.Payload, m); err != nil {
		return fmt.Errorf("%w: decode %s: %w", errForeign, want, err)
	}
	return nil
}
