package feed_test

import (
	"testing"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/feed/feedtest"
)

func TestBuckets(t *testing.T) {
	t.Run("NATS", func(t *testing.T) {
		feedtest.Conformance(t, func(t *testing.T) feed.Bucket {
			_, js := startServer(t)
			bucket, err := feed.OpenBucket(js, bus.FeedBucket)(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return bucket
		})
	})
	t.Run("Memory", func(t *testing.T) {
		feedtest.Conformance(t, func(*testing.T) feed.Bucket { return feedtest.NewMemory() })
	})
}
