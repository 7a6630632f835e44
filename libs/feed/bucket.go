package feed

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Bucket is what the feed needs of a key-value bucket: NATS's own, or feedtest's in memory. Its
// errors, options and entries are those of the jetstream package.
type Bucket interface {
	Get(ctx context.Context, key string) (jetstream.KeyValueEntry, error)
	Put(ctx context.Context, key string, value []byte) (uint64, error)
	Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	Purge(ctx context.Context, key string, opts ...jetstream.KVDeleteOpt) error
	WatchAll(ctx context.Context, opts ...jetstream.WatchOpt) (jetstream.KeyWatcher, error)
	// LastSequence is the number of the newest write to the bucket, whoever made it.
	LastSequence(ctx context.Context) (uint64, error)
}

// Open finds the feed's bucket; it never creates one.
type Open func(ctx context.Context) (Bucket, error)

// OpenBucket finds a bucket of NATS by name.
func OpenBucket(js jetstream.JetStream, name string) Open {
	return func(ctx context.Context) (Bucket, error) {
		kv, err := js.KeyValue(ctx, name)
		if err != nil {
			return nil, err
		}
		return bucket{kv}, nil
	}
}

type bucket struct{ jetstream.KeyValue }

func (b bucket) LastSequence(ctx context.Context) (uint64, error) {
	status, err := b.Status(ctx)
	if err != nil {
		return 0, err
	}
	s, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok {
		return 0, fmt.Errorf("status is a %T", status)
	}
	return s.StreamInfo().State.LastSeq, nil
}
