package sim

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

const (
	// feedSlack is how long the feed may be silent before a decision on it is one on nothing: a planner holds after some
	// seconds, and the pass that it is in goes on for some more.
	feedSlack = 30 * time.Second
	// joinSlack is how long a Node may exist without being seen by what deletes its machine.
	joinSlack = time.Minute
)

// reader is a process that read the pods of a Node.
type reader struct{ client, node string }

// onRead notes that a process reads from the API server what it is about to act on.
func (j *judge) onRead(r kubesim.Request) {
	node, ok := strings.CutPrefix(r.FieldSelector, "spec.nodeName=")
	if r.Verb != "list" || r.Resource.Resource != "pods" || !ok {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.readAt[reader{r.Client, node}] = time.Now()
}

// noteCordon keeps since when a Node has our taint.
func (j *judge) noteCordon(c kubesim.Change) {
	switch {
	case c.New == nil:
		delete(j.cordonedAt, c.Request.Name)
	case cordoned(c.New) && !cordoned(c.Old):
		j.cordonedAt[c.Request.Name] = time.Now()
	}
}

// readAfresh holds that what takes pods or a machine away has read the Node's pods after the taint that keeps others out (I11).
func (j *judge) readAfresh(client, name, what string) {
	node := kubesim.Get[corev1.Node](j.world.cluster.server, "", name)
	if node == nil || time.Since(node.CreationTimestamp.Time) < joinSlack {
		return
	}
	tainted, ok := j.cordonedAt[name]
	if !ok {
		j.failLocked("I11", "%s by %s, and Node %s has no taint of ours", what, client, name)
		return
	}
	if read, ok := j.readAt[reader{client, name}]; !ok || read.Before(tainted) {
		j.failLocked("I11", "%s by %s, which has not read the pods of Node %s since its taint", what, client, name)
	}
}

// onFeed notes that an observer ended a batch of the feed.
func (j *judge) onFeed() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fedAt = time.Now()
}

// decidedKnowing holds that nothing is bought or taken away on a cluster that nobody watches (I3): that no pods are known of is not
// that there are none.
func (j *judge) decidedKnowing(n *v1beta1.VPSieNode, client string) {
	w := j.world
	w.mu.Lock()
	p := w.cluster.clients[client]
	w.mu.Unlock()
	if p == nil || p.service != Planner || p.wasFrozen.Load() && time.Since(p.gate.thawedAt()) < thawSlack {
		return
	}
	if silence := time.Since(j.fedAt); silence > feedSlack {
		j.failLocked("I3", "%s is decided on by %s while the feed is silent for %s", n.Name, client, silence)
	}
}
