package feed

import (
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/fx"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
)

// Module provides the way to the feed's bucket on NATS.
var Module = fx.Module("feed", fx.Provide(func(js jetstream.JetStream) Open { return OpenBucket(js, bus.FeedBucket) }))
