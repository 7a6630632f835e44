// Package bus carries typed events between the services over NATS JetStream.
//
// Messages are hints: whoever receives one reads the custom resources again and derives its
// authority from them, so losing every stream costs latency only. Streams and consumers are
// made by Provision, never by a service. Delivery is at least once and in order for one
// handler and partition, whatever number of replicas competes for it.
package bus

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"strconv"
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

// Partitions is how many parts every topic has. All messages of a NodeGroup are in one part,
// which is read in order.
const Partitions = 16

const (
	subjectRoot       = "vpsie.v1."
	subjectDeadLetter = subjectRoot + "dlq."
)

// Subject is where messages about a NodeGroup are published. The namespace and the name may
// be empty for facts about no NodeGroup.
func Subject(t Topic, namespace, nodeGroup string) string {
	name := namespace + "/" + nodeGroup
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(name)) // a hash never fails
	// A dot separates tokens of a subject. The underscore is not legal in Kubernetes names,
	// so two NodeGroups never share a token.
	return subjectRoot + string(t) + "." + strconv.Itoa(int(hash.Sum32()%Partitions)) + "." + strings.ReplaceAll(name, ".", "_")
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
