package bus_test

import (
	"strings"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/libs/bus"
)

func TestSubject(t *testing.T) {
	cases := map[string]struct {
		why             string
		topic           bus.Topic
		namespace, name string
		want            string
	}{
		"NodeGroup": {
			why:   "people and readers of other versions look for it by this name",
			topic: bus.TopicLaunch, namespace: "default", name: "workers", want: "vpsie.v1.decision.launch.default/workers",
		},
		"Dots": {
			why:   "a dot would be read as the border of a token",
			topic: bus.TopicRetire, namespace: "team", name: "web.v2", want: "vpsie.v1.decision.retire.team/web_v2",
		},
		"NoNodeGroup": {
			why:   "some decisions are about no NodeGroup",
			topic: bus.TopicDecision, want: "vpsie.v1.fact.decision./",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := bus.Subject(c.topic, c.namespace, c.name); got != c.want {
				t.Errorf("%s: got %s, want %s", c.why, got, c.want)
			}
		})
	}
}

// FuzzSubject checks that every subject is read by the consumers of its topic only.
func FuzzSubject(f *testing.F) {
	f.Add("default", "workers")
	f.Add("a", "b.c-d")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, namespace, name string) {
		subject := bus.Subject(bus.TopicPhase, namespace, name)
		for _, topic := range bus.Topics() {
			token, ok := strings.CutPrefix(subject, strings.TrimSuffix(topic.Filter(), "*"))
			if reads := ok && token != "" && !strings.Contains(token, "."); reads != (topic == bus.TopicPhase) {
				t.Errorf("subject %q is read by readers of %s: %v", subject, topic, reads)
			}
		}
	})
}

func TestConfigValidate(t *testing.T) {
	cases := map[string]struct {
		why, url string
		want     []string // parts of the error, none for a valid configuration
	}{
		"Default":  {why: "the default must work", url: "nats://127.0.0.1:4222"},
		"Several":  {why: "a cluster has several servers", url: "nats://a:4222, tls://b:4222"},
		"NoScheme": {why: "host:port alone is read as a scheme", url: "localhost:4222", want: []string{"has no host"}},
		"HTTP":     {why: "the address of the monitoring page is a common mistake", url: "http://nats:8222", want: []string{`scheme "http"`}},
		"EveryProblem": {
			why: "all problems are told at once", url: "http://nats:8222,nats://",
			want: []string{`scheme "http"`, "has no host"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := bus.Config{URL: c.url}.Validate()
			if (err == nil) != (len(c.want) == 0) {
				t.Fatalf("%s: got error %v", c.why, err)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%s: %q is not in %q", c.why, part, err)
				}
			}
		})
	}
}

func TestConfigErrorHidesPassword(t *testing.T) {
	for _, url := range []string{"http://user:hunter2@nats:8222", "nats://user:hunter2@[nats:4222"} {
		err := bus.Config{URL: url}.Validate()
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error of an invalid URL with a password: %v", err)
		}
	}
}
