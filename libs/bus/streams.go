package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// FeedBucket is the key-value bucket that holds the feed. It is in memory, so it is gone after
// each restart of the server and has to be provisioned again.
const FeedBucket = "vpsie-feed"

// bucketStream is the stream that holds the feed's bucket.
const bucketStream = "KV_" + FeedBucket

// Names of the streams.
const (
	StreamDecisions   = "DECISIONS"
	StreamFacts       = "FACTS"
	StreamDeadLetters = "DLQ"
)

const (
	// ackWait is how long the server waits for a sign of life of a handler.
	ackWait = 30 * time.Second
	// decisionsAgeMax is how long a wake-up is kept: by then whoever acts has found the intent without it.
	decisionsAgeMax = time.Hour
	// duplicatesWindow is how long a message id is remembered.
	duplicatesWindow = time.Hour
	// markerTTL is how long the feed remembers that a record was deleted.
	markerTTL = time.Minute

	decisionsBytesMax   = 64 << 20
	factsBytesMax       = 128 << 20
	deadLettersBytesMax = 64 << 20
	feedBytesMax        = 128 << 20
)

// Consumer is one handler's place in a topic. A service declares it, Provision makes it, and On
// reads from it.
type Consumer struct {
	// Name is the name of the durable consumer.
	Name  string
	Topic Topic
}

// Streams lists the streams. Limits retention everywhere: a work queue forgets on restart
// which ids it has seen, and an interest stream discards what nobody listens to yet.
func Streams() []jetstream.StreamConfig {
	return []jetstream.StreamConfig{
		{
			Name:        StreamDecisions,
			Description: "Decisions for the service that carries them out.",
			Subjects:    []string{subjectRoot + "decision.>"},
			MaxAge:      decisionsAgeMax,
			MaxBytes:    decisionsBytesMax,
			Duplicates:  duplicatesWindow,
			DenyDelete:  true,
			DenyPurge:   true,
		},
		{
			Name:        StreamFacts,
			Description: "Decisions and what happened to machines.",
			Subjects:    []string{subjectRoot + "fact.>"},
			MaxAge:      7 * 24 * time.Hour,
			MaxBytes:    factsBytesMax,
			Duplicates:  duplicatesWindow,
			DenyDelete:  true,
			DenyPurge:   true,
		},
		{
			Name:        StreamDeadLetters,
			Description: "Messages that could not be decoded or handled, with the error.",
			Subjects:    []string{subjectDeadLetter + ">"},
			MaxAge:      30 * 24 * time.Hour,
			MaxBytes:    deadLettersBytesMax,
			Duplicates:  duplicatesWindow,
		},
	}
}

func feedBucket() jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket:         FeedBucket,
		Description:    "A copy of the cluster in shapes and counts.",
		Storage:        jetstream.MemoryStorage,
		History:        1,
		MaxBytes:       feedBytesMax,
		LimitMarkerTTL: markerTTL,
	}
}

// consumerConfig lets one message through at a time, so that messages are handled in the order in
// which they were published although several replicas may read.
func consumerConfig(c Consumer) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:       c.Name,
		FilterSubject: c.Topic.Filter(),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxAckPending: 1,
		MaxDeliver:    -1,
	}
}

// Provision creates or updates the streams, the given consumers and the feed's bucket. It may be called
// again at any time. It takes nothing away.
func Provision(ctx context.Context, js jetstream.JetStream, consumers []Consumer) error {
	for _, config := range Streams() {
		if _, err := js.CreateOrUpdateStream(ctx, config); err != nil {
			return fmt.Errorf("provision stream %s: %w", config.Name, err)
		}
	}
	for _, c := range consumers {
		if _, err := js.CreateOrUpdateConsumer(ctx, c.Topic.Stream(), consumerConfig(c)); err != nil {
			return fmt.Errorf("provision consumer %s of %s: %w", c.Name, c.Topic.Stream(), err)
		}
	}
	if _, err := js.CreateOrUpdateKeyValue(ctx, feedBucket()); err != nil {
		return fmt.Errorf("provision bucket %s: %w", FeedBucket, err)
	}
	return nil
}

// Difference is how a server differs from what is declared, by name. It does not look at settings.
type Difference struct {
	// Missing are streams, and consumers as stream/consumer, that are to be there and are not.
	Missing []string
	// Leftover are consumers that nobody declares, such as those of an earlier version. Their messages are kept for
	// nobody.
	Leftover []string
}

// Compare tells how the server differs from what Provision makes of the same consumers.
func Compare(ctx context.Context, js jetstream.JetStream, consumers []Consumer) (Difference, error) {
	there := map[string]bool{}
	names := js.StreamNames(ctx)
	for name := range names.Name() {
		there[name] = true
	}
	if err := names.Err(); err != nil {
		return Difference{}, fmt.Errorf("list streams: %w", err)
	}
	var d Difference
	for _, config := range append(Streams(), jetstream.StreamConfig{Name: bucketStream}) {
		if !there[config.Name] {
			d.Missing = append(d.Missing, config.Name)
		}
	}
	declared := map[string]map[string]bool{StreamDecisions: {}, StreamFacts: {}, StreamDeadLetters: {}}
	for _, c := range consumers {
		declared[c.Topic.Stream()][c.Name] = true
	}
	for _, stream := range slices.Sorted(maps.Keys(declared)) {
		found, err := consumersOf(ctx, js, stream)
		if err != nil {
			return Difference{}, err
		}
		for _, name := range slices.Sorted(maps.Keys(declared[stream])) {
			if !found[name] {
				d.Missing = append(d.Missing, stream+"/"+name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(found)) {
			if !declared[stream][name] {
				d.Leftover = append(d.Leftover, stream+"/"+name)
			}
		}
	}
	return d, nil
}

// consumersOf are the names of a stream's durable consumers, none where there is no such stream.
func consumersOf(ctx context.Context, js jetstream.JetStream, name string) (map[string]bool, error) {
	stream, err := js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up stream %s: %w", name, err)
	}
	found := map[string]bool{}
	consumers := stream.ListConsumers(ctx)
	for info := range consumers.Info() {
		if info.Config.Durable != "" { // others end with whoever made them
			found[info.Config.Durable] = true
		}
	}
	if err := consumers.Err(); err != nil {
		return nil, fmt.Errorf("list consumers of stream %s: %w", name, err)
	}
	return found, nil
}
