package sim

import (
	"maps"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

const (
	// feedSlack is how long the feed may be silent before a decision on it is one on nothing: a planner holds after six
	// seconds, and a pass that began before goes on for five more.
	feedSlack = 20 * time.Second
	// joinSlack is how long a Node may exist without being seen by what deletes its machine.
	joinSlack = time.Minute
	// settleMin is for how long a Node is tainted before its pods are read: five seconds by a clock that may be a tenth off.
	settleMin = 4 * time.Second
	// taintSlack is for how long a process may not know that somebody took the taint off.
	taintSlack = 30 * time.Second
)

// reader is a process that read the pods of a Node.
type reader struct{ client, node string }

// moment is a state of the cluster and when it was so. Many things happen at one instant of virtual time.
type moment struct {
	revision int64
	at       time.Time
}

// taint is since when a Node has our taint, and since when it has it no more.
type taint struct {
	since  moment
	lostAt time.Time
}

// onRead notes that a process reads from the API server what it is about to act on.
func (j *judge) onRead(r kubesim.Request) {
	node, ok := strings.CutPrefix(r.FieldSelector, "spec.nodeName=")
	if r.Verb != "list" || r.Resource.Resource != "pods" || !ok {
		return
	}
	revision := j.world.cluster.server.Revision()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.reads[reader{r.Client, node}] = moment{revision, time.Now()}
}

func isTainted(o client.Object) bool {
	node, ok := o.(*corev1.Node)
	if !ok || node == nil {
		return false
	}
	for _, t := range node.Spec.Taints {
		if t.Key == v1beta1.TaintDraining {
			return true
		}
	}
	return false
}

// noteTaint keeps since when a Node has our taint.
func (j *judge) noteTaint(c kubesim.Change) {
	name := c.Request.Name
	switch is, was := isTainted(c.New), isTainted(c.Old); {
	case c.New == nil:
		delete(j.taints, name)
		maps.DeleteFunc(j.reads, func(r reader, _ moment) bool { return r.node == name })
	case is && !was:
		j.taints[name] = taint{since: moment{c.Revision, time.Now()}}
	case was && !is:
		t := j.taints[name]
		t.lostAt = time.Now()
		j.taints[name] = t
	}
}

// readAfresh holds that what takes pods or a machine away has read the Node's pods after the taint that keeps others out, and
// after everybody has had time to see it (I11).
func (j *judge) readAfresh(by, name, what string, settled bool) {
	node := kubesim.Get[corev1.Node](j.world.cluster.server, "", name)
	if node == nil || time.Since(node.CreationTimestamp.Time) < joinSlack || j.justThawed(by) {
		return
	}
	t, ok := j.taints[name]
	if !ok || !t.lostAt.IsZero() && time.Since(t.lostAt) > taintSlack {
		j.failLocked("I11", "%s by %s, and Node %s has no taint of ours", what, by, name)
		return
	}
	read, ok := j.reads[reader{by, name}]
	switch settle := read.at.Sub(t.since.at); {
	case !ok || read.revision < t.since.revision:
		j.failLocked("I11", "%s by %s, which has not read the pods of Node %s since its taint", what, by, name)
	case settled && settle < settleMin:
		j.failLocked("I11", "%s by %s, which read the pods of Node %s %s after its taint", what, by, name, settle)
	}
}

// justThawed reports whether a process went on a moment ago, with what it had in its hands when it froze.
func (j *judge) justThawed(name string) bool {
	j.world.mu.Lock()
	p := j.world.cluster.clients[name]
	j.world.mu.Unlock()
	return p != nil && p.justThawed()
}

// machineOn is the object of the machine behind a Node, nil when there is none.
func (j *judge) machineOn(node string) *v1beta1.VPSieNode {
	for _, n := range machines(j.world) {
		if nodeNameOf(n) == node {
			return n
		}
	}
	return nil
}

// nodeNameOf is the Node of a machine, which it registers under its host's name.
func nodeNameOf(n *v1beta1.VPSieNode) string {
	if n.Status.NodeName != "" {
		return n.Status.NodeName
	}
	return strings.ToLower(n.Status.Hostname)
}

// onFeed notes that an observer ended a batch of the feed. One that it calls behind is for nobody to decide on.
func (j *judge) onFeed(record []byte) {
	var meta feedv1.Meta
	j.world.must(proto.Unmarshal(record, &meta))
	if !meta.Healthy {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fedAt = time.Now()
}

// decidedKnowing holds that nothing is launched or taken away on a cluster that nobody watches (I3): that no pods are known of is not
// that there are none.
func (j *judge) decidedKnowing(n *v1beta1.VPSieNode, by string) {
	if !strings.HasPrefix(by, Planner+"-") || j.justThawed(by) {
		return
	}
	if silence := time.Since(j.fedAt); silence > feedSlack {
		j.failLocked("I3", "%s is decided on by %s while the feed is silent for %s", n.Name, by, silence)
	}
}
