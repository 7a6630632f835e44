// Package bus carries typed events between the services over NATS JetStream.
//
// Messages are hints: whoever receives one reads the custom resources again and derives its
// authority from them, so losing every stream costs latency only. Streams and consumers are
// made by Provision, never by a service. Delivery is at least once and, for one consumer, in order
// and one at a time, whatever number of replicas competes for it.
package bus

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Topic says what a message is about; it selects the stream and is part of the subject.
type Topic string

// Topics of the bus. Decisions wake whoever carries them out, facts tell what happened.
const (
	TopicLaunch   Topic = "decision.launch"
	TopicRetire   Topic = "decision.retire"
	TopicDecision Topic = "fact.decision"
	TopicPhase    Topic = "fact.phase"
)

// Topics returns every topic.
func Topics() []Topic { return []Topic{TopicLaunch, TopicRetire, TopicDecision, TopicPhase} }

// Stream is the name of the stream that holds the topic.
func (t Topic) Stream() string {
	if strings.HasPrefix(string(t), "decision.") {
		return StreamDecisions
	}
	return StreamFacts
}

// Filter matches the subjects of the topic.
func (t Topic) Filter() string { return subjectRoot + string(t) + ".*" }

const (
	subjectRoot       = "vpsie.v1."
	subjectDeadLetter = subjectRoot + "dlq."
)

// Subject is where messages about a NodeGroup are published. The namespace and the name may
// be empty for facts about no NodeGroup.
func Subject(t Topic, namespace, nodeGroup string) string {
	// A dot separates tokens of a subject. The underscore is not legal in Kubernetes names,
	// so two NodeGroups never share a token.
	return subjectRoot + string(t) + "." + strings.ReplaceAll(namespace+"/"+nodeGroup, ".", "_")
}

// Config says where the bus is.
type Config struct {
	URL string `help:"NATS servers, separated by commas." default:"nats://127.0.0.1:4222"`
}

// Validate reports every problem of the configuration at once.
func (c Config) Validate() error {
	var problems []error
	for server := range strings.SplitSeq(c.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		switch {
		case err != nil:
			// The error would quote the URL, which may hold a password.
			problems = append(problems, errors.New("bus-url cannot be parsed; use nats://host:port"))
		case u.Host == "":
			problems = append(problems, fmt.Errorf("bus-url %q has no host; use nats://host:port", u.Redacted()))
		case u.Scheme != "nats" && u.Scheme != "tls":
			problems = append(problems, fmt.Errorf("bus-url %q has scheme %q; use nats or tls", u.Redacted(), u.Scheme))
		}
	}
	return errors.Join(problems...)
}
