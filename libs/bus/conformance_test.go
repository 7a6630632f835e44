package bus_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/bus/bustest"
	"github.com/vpsie/vpsie-autoscaler/libs/bus/natstest"
)

// TestConformance is Watermill's own suite: what it expects of every transport.
func TestConformance(t *testing.T) {
	t.Run("JetStream", func(t *testing.T) {
		server := natstest.StartServer(t)
		admin := server.Connect()
		provision(t, admin)
		open := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
			transport := bus.NewJetStream(server.Connect(), discard)
			transport.RetryDelay = 10 * time.Millisecond
			transport.CloseTimeout = time.Second
			s := &suite{Transport: transport, group: group, initialize: func(c bus.Consumer) error {
				_, err := admin.CreateOrUpdateConsumer(t.Context(), c.Topic.Stream(), jetstream.ConsumerConfig{
					Durable: c.Name, FilterSubject: c.Topic.Filter(), AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 1,
				})
				return err
			}}
			return s, s
		}
		tests.TestPubSub(t, tests.Features{
			ConsumerGroups: true, GuaranteedOrder: true, Persistent: true,
			// Every message is synced to disk twice; ten thousand of them prove nothing more.
			ForceShort: true,
		}, func(t *testing.T) (message.Publisher, message.Subscriber) { return open(t, "suite") }, open)
	})
	t.Run("Memory", func(t *testing.T) {
		memory := bustest.NewMemory()
		memory.CloseTimeout = time.Second
		open := func(_ *testing.T, group string) (message.Publisher, message.Subscriber) {
			s := &suite{Transport: memory, group: group, initialize: func(bus.Consumer) error { return nil }}
			return s, s
		}
		tests.TestPubSub(t, tests.Features{
			ConsumerGroups: true, GuaranteedOrder: true, Persistent: true,
		}, func(t *testing.T) (message.Publisher, message.Subscriber) { return open(t, "suite") }, open)
	})
}

// suite is a transport as Watermill's suite knows one: topics are free, and one subscriber
// serves many. It has each topic be a topic of the bus.
type suite struct {
	bus.Transport
	group      string
	initialize func(c bus.Consumer) error

	mu   sync.Mutex
	subs []message.Subscriber
}

func (s *suite) consumer(topic string) bus.Consumer {
	topic = strings.ReplaceAll(topic, ".", "_")
	return bus.Consumer{Name: s.group + "-" + topic, Topic: bus.Topic("fact." + topic)}
}

func (s *suite) Publish(topic string, messages ...*message.Message) error {
	return s.Transport.Publish(strings.TrimSuffix(s.consumer(topic).Topic.Filter(), "*")+"x", messages...)
}

func (s *suite) SubscribeInitialize(topic string) error { return s.initialize(s.consumer(topic)) }

func (s *suite) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	c := s.consumer(topic)
	sub := s.Subscriber(c)
	s.mu.Lock()
	s.subs = append(s.subs, sub)
	s.mu.Unlock()
	return sub.Subscribe(ctx, c.Topic.Filter())
}

// Close leaves the transport open, which all subscribers of the suite share.
func (s *suite) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.subs {
		if err := sub.Close(); err != nil {
			return err
		}
	}
	return nil
}
