package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// FeedBucket is the key-value bucket that holds the feed. It is in memory, so it is gone after
// each restart of the server and has to be provisioned again.
const FeedBucket = "vpsie-feed"

// Names of the streams.
const (
	StreamDecisions   = "DECISIONS"
	StreamFacts       = "FACTS"
	StreamDeadLetters = "DLQ"
)

const (
	// ackWait is how long the server waits for a sign of life of a handler.
	ackWait = 30 * time.Second
	// duplicatesWindow is how long a message id is remembered.
	duplicatesWindow = time.Hour
	// markerTTL is how long the feed remembers that a record was deleted.
	markerTTL = time.Minute

	decisionsBytesMax   = 64 << 20
	factsBytesMax       = 128 << 20
	deadLettersBytesMax = 64 << 20
	feedBytesMax        = 128 << 20
)

// Durable is one handler's place in one partition of a topic.
type Durable struct {
	Handler   string
	Topic     Topic
	Partition int
}

// Name is the name of the consumer.
func (d Durable) Name() string { return d.Handler + "-" + strconv.Itoa(d.Partition) }

// Filter matches the subjects of the partition.
func (d Durable) Filter() string {
	return subjectRoot + string(d.Topic) + "." + strconv.Itoa(d.Partition) + ".*"
}

// Stream is the stream that holds the topic.
func (d Durable) Stream() string {
	if strings.HasPrefix(string(d.Topic), "decision.") {
		return StreamDecisions
	}
	return StreamFacts
}

// durables lists the consumers of all services: those that bus.On will look for.
func durables() []Durable {
	var all []Durable
	for partition := range Partitions {
		all = append(all,
			Durable{"provisioner-launch", TopicLaunch, partition},
			Durable{"provisioner-retire", TopicRetire, partition},
		)
	}
	return all
}

// streams lists the streams. Limits retention everywhere: a work queue forgets on restart
// which ids it has seen, and an interest stream discards what nobody listens to yet.
func streams() []jetstream.StreamConfig {
	return []jetstream.StreamConfig{
		{
			Name:        StreamDecisions,
			Description: "Wake-up calls for those who carry decisions out.",
			Subjects:    []string{subjectRoot + "decision.>"},
			MaxAge:      72 * time.Hour,
			MaxBytes:    decisionsBytesMax,
			Duplicates:  duplicatesWindow,
			DenyDelete:  true,
			DenyPurge:   true,
		},
		{
			Name:        StreamFacts,
			Description: "What was decided and what happened.",
			Subjects:    []string{subjectRoot + "fact.>"},
			MaxAge:      7 * 24 * time.Hour,
			MaxBytes:    factsBytesMax,
			Duplicates:  duplicatesWindow,
			DenyDelete:  true,
			DenyPurge:   true,
		},
		{
			Name:        StreamDeadLetters,
			Description: "What could not be understood or was refused, with the reason.",
			// The advisories are the server's own word on what was given up.
			Subjects: []string{
				subjectDeadLetter + ">",
				"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES." + StreamDecisions + ".*",
				"$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED." + StreamDecisions + ".*",
			},
			MaxAge:     30 * 24 * time.Hour,
			MaxBytes:   deadLettersBytesMax,
			Duplicates: duplicatesWindow,
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

func consumerConfig(d Durable) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:       d.Name(),
		FilterSubject: d.Filter(),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxAckPending: 1,
		MaxDeliver:    -1,
	}
}

// Provision creates or updates the streams, consumers and the feed's bucket. It may be called
// again at any time.
func Provision(ctx context.Context, js jetstream.JetStream) error {
	for _, config := range streams() {
		if _, err := js.CreateOrUpdateStream(ctx, config); err != nil {
			return fmt.Errorf("provision stream %s: %w", config.Name, err)
		}
	}
	for _, d := range durables() {
		if _, err := js.CreateOrUpdateConsumer(ctx, d.Stream(), consumerConfig(d)); err != nil {
			return fmt.Errorf("provision consumer %s of %s: %w", d.Name(), d.Stream(), err)
		}
	}
	if _, err := js.CreateOrUpdateKeyValue(ctx, feedBucket()); err != nil {
		return fmt.Errorf("provision bucket %s: %w", FeedBucket, err)
	}
	return nil
}

// Provisioned reports whether everything that Provision makes is there. It is cheap and does
// not look at settings.
func Provisioned(ctx context.Context, js jetstream.JetStream) (bool, error) {
	want := map[string]bool{"KV_" + FeedBucket: true}
	for _, config := range streams() {
		want[config.Name] = true
	}
	names := js.StreamNames(ctx)
	for name := range names.Name() {
		delete(want, name)
	}
	if err := names.Err(); err != nil {
		return false, fmt.Errorf("list streams: %w", err)
	}
	if len(want) > 0 {
		return false, nil
	}
	missing := map[string]map[string]bool{}
	for _, d := range durables() {
		if missing[d.Stream()] == nil {
			missing[d.Stream()] = map[string]bool{}
		}
		missing[d.Stream()][d.Name()] = true
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		stream, err := js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("look up stream %s: %w", name, err)
		}
		// A number would not do: a consumer that is left of an earlier version would stand in for one that is missing.
		consumers := stream.ConsumerNames(ctx)
		for consumer := range consumers.Name() {
			delete(missing[name], consumer)
		}
		if err := consumers.Err(); err != nil {
			return false, fmt.Errorf("list consumers of stream %s: %w", name, err)
		}
		if len(missing[name]) > 0 {
			return false, nil
		}
	}
	return true, nil
}
