package sim

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

// violation is a broken invariant.
type violation struct {
	Invariant string
	Message   string
	At        time.Time
}

// judge watches every change to the cluster and every call to VPSie, and compares them with what really is.
// The invariants are named as in the design documents' list.
type judge struct {
	// followed counts the pods that were bound where the planner had nominated them.
	followed atomic.Int64
	world    *world

	mu         sync.Mutex
	violations []violation
	// pausedAt is since when the brake is on, zero while it is off.
	pausedAt time.Time
	// ceilings are the maxima of groups as they were, so that a change under way is not held against the actor.
	ceilings map[string][]ceiling
	// breakerAt is since when many nodes fail together, zero while they do not.
	breakerAt time.Time
	// triedAt is when isTrialLocked last said yes to a group.
	triedAt map[string]time.Time
	// swept says that the definition or the namespace of VPSieNodes is going, which is nobody's wish to lose machines.
	swept bool
	// readyAt is when a machine was first called Ready, by our clock, less the time that the write took.
	readyAt map[string]time.Time
	// busyAt is when one of our services last wrote something.
	busyAt time.Time
	writes []string
	// reads are when a process last read the pods of a Node, taints those of Nodes that we drain.
	reads  map[reader]moment
	taints map[string]taint
	// lostAt is since when a Node is not Ready that was, by its name, and since when a machine goes, by its key.
	lostAt map[string]time.Time
	// fedAt is when an observer last wrote the whole cluster to the feed.
	fedAt time.Time
	// intents are what the provisioner has not acted on yet.
	intents map[string]time.Time
	records ledger
}

type ceiling struct {
	at  time.Time
	max int
}

// Slack that the actors have: what they read was true a moment ago.
const (
	ceilingSlack = time.Minute
	brakeSlack   = 5 * time.Second
	breakerSlack = time.Minute
	fenceSlack   = 10 * time.Second
	bootSlack    = 3 * time.Minute
	thawSlack    = time.Minute
	// slowWrite is how long a slow API server keeps a write before it shows.
	slowWrite = 5 * time.Second
)

func newJudge(w *world) *judge {
	return &judge{
		world: w, ceilings: map[string][]ceiling{}, readyAt: map[string]time.Time{}, triedAt: map[string]time.Time{},
		reads: map[reader]moment{}, taints: map[string]taint{}, lostAt: map[string]time.Time{}, fedAt: time.Now(), intents: map[string]time.Time{}, records: newLedger(),
	}
}

func (j *judge) fail(invariant, format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failLocked(invariant, format, args...)
}

func (j *judge) failLocked(invariant, format string, args ...any) {
	v := violation{invariant, fmt.Sprintf(format, args...), time.Now()}
	j.violations = append(j.violations, v)
	j.world.log.add("VIOLATION", v.Invariant+": "+v.Message)
	if len(j.violations) == 1 {
		for _, n := range machines(j.world) {
			j.world.note("state", "%s", describe(n))
		}
	}
}

// describe says what a VPSieNode holds, in a line.
func describe(n *v1beta1.VPSieNode) string {
	text := fmt.Sprintf("%s %s node=%s id=%s", n.Name, n.Status.Phase, n.Status.NodeName, n.Status.Identifier)
	if n.DeletionTimestamp != nil {
		text += " deleted"
	}
	if r := n.Spec.Retirement; r != nil {
		text += " retired:" + string(r.Kind) + "/" + r.Reason
	}
	for _, a := range n.Status.Launches {
		text += fmt.Sprintf(" launch:%s/%s@%s", a.Outcome, a.Reason, a.RequestedAt.UTC().Format("01-02T15:04:05"))
	}
	for name, at := range map[string]*metav1.Time{"ready": n.Status.ReadyAt, "launched": n.Status.LaunchedAt, "drain": n.Status.DrainStartedAt, "delete": n.Status.DeleteRequestedAt} {
		if at != nil {
			text += " " + name + "@" + at.UTC().Format("01-02T15:04:05")
		}
	}
	return text + " " + strings.Join(conditionsOf(n), " | ")
}

func (j *judge) broken() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.violations) > 0
}

// onChange judges a change to the cluster, while no other can happen.
func (j *judge) onChange(c kubesim.Change) {
	j.mu.Lock()
	defer j.mu.Unlock()
	ours := j.isOurs(c.Request.Client)
	if ours && c.Request.Resource.Resource != "events" {
		j.busyAt = time.Now()
		j.writes = append(j.writes, fmt.Sprintf("%s %s %s %s/%s/%s", time.Now().UTC().Format("15:04:05"), c.Request.Client, c.Request.Verb, c.Request.Resource.Resource, c.Request.Name, c.Request.Subresource))
		j.writes = j.writes[max(0, len(j.writes)-20):]
	}
	j.onShown(c)
	switch c.Request.Resource.Resource {
	case "vpsienodes":
		j.onMachine(c, ours)
	case "nodegroups":
		if g, ok := c.New.(*v1beta1.NodeGroup); ok {
			list := j.ceilings[keyOf(g)]
			if len(list) == 0 || list[len(list)-1].max != int(g.Spec.MaxNodes) {
				j.ceilings[keyOf(g)] = append(list, ceiling{time.Now(), int(g.Spec.MaxNodes)})
			}
		}
	case "configmaps":
		if c.Request.Name == pauseName {
			j.pausedAt = time.Time{}
			if c.New != nil {
				j.pausedAt = time.Now()
			}
		}
	case "pods":
		if ours {
			j.onPod(c)
			j.onNomination(c)
		}
	case "nodes":
		j.onNode(c, ours)
	}
}

func (j *judge) isOurs(client string) bool {
	return strings.HasPrefix(client, Observer+"-") || strings.HasPrefix(client, Planner+"-") || strings.HasPrefix(client, Provisioner+"-")
}

func (j *judge) onMachine(c kubesim.Change, ours bool) {
	before, _ := c.Old.(*v1beta1.VPSieNode)
	after, _ := c.New.(*v1beta1.VPSieNode)
	j.onAct(c, before, after)
	j.noteReplacement(before, after)
	if c.New == nil && c.Old != nil {
		j.forget(before)
		j.onGone(before, ours)
		return
	}
	if before == nil || before.Status.Identifier != after.Status.Identifier {
		j.onClaim(after)
	}
	if (before == nil || before.Status.DeleteRequestedAt == nil) && after.Status.DeleteRequestedAt != nil {
		j.onDeletionDecided(after)
	}
	if ours && before != nil && before.Status.DeleteRequestedAt == nil && after.Status.DeleteRequestedAt != nil {
		j.readAfresh(c.Request.Client, nodeNameOf(after), "the deletion of "+after.Name+" was decided", true)
		j.inPlace(before, c.Request.Client, "the deletion of "+after.Name+" was decided")
	}
	if after.Spec.Retirement != nil && (before == nil || before.Spec.Retirement == nil) {
		j.onKind(after, c.Request.Client)
	}
	if c.New != nil && before != nil && before.Spec.Retirement == nil && after.Spec.Retirement != nil {
		j.onRetirement(after, c.Request.Client)
		j.decidedKnowing(after, c.Request.Client)
	}
	if after.Status.ReadyAt != nil && (before == nil || before.Status.ReadyAt == nil) {
		j.readyAt[after.Name] = time.Now()
		if said := after.Status.ReadyAt.Time; said.After(time.Now().Add(-slowWrite)) {
			j.readyAt[after.Name] = said // the write was on its way since
		}
	}
	if before == nil && ours {
		j.onIntent(after)
		j.decidedKnowing(after, c.Request.Client)
	}
	j.onStep(before, after)
}

// onGone holds that an object outlives its machine (I7): only a confirmed absence lets it go.
func (j *judge) onGone(n *v1beta1.VPSieNode, ours bool) {
	if !ours {
		return // a person took it away by force
	}
	if m, alive := j.machine(n.Status.Identifier); alive && n.Status.Identifier != "" && !j.swept {
		j.failLocked("I7", "VPSieNode %s is gone while its machine %s lives", n.Name, m.Hostname)
	}
	if n.Status.Identifier == "" && mayBeMachine(n) {
		j.failLocked("I7", "VPSieNode %s is gone while its request is open", n.Name)
	}
}

// onClaim holds that a machine is ours and nobody else's (I2, I29).
func (j *judge) onClaim(n *v1beta1.VPSieNode) {
	id := n.Status.Identifier
	if id == "" {
		return
	}
	for _, other := range machines(j.world) {
		if other.Status.Identifier == id && other.UID != n.UID {
			j.failLocked("I29", "machine %s is claimed by %s and %s", id, other.Name, n.Name)
		}
	}
	if m, ok := j.world.cloud.sim.Model().Machine(id); !ok || m.Foreign {
		j.failLocked("I2", "VPSieNode %s claims machine %s, which is not ours", n.Name, id)
	}
}

// onDeletionDecided holds the breaker on correlated failure (I9) at the moment that has no way back.
func (j *judge) onDeletionDecided(n *v1beta1.VPSieNode) {
	if n.DeletionTimestamp != nil || n.Spec.Retirement == nil || n.Spec.Retirement.Kind != v1beta1.RetireRepair {
		return
	}
	if _, alive := j.machine(n.Status.Identifier); !alive {
		return // it vanished; only its object goes
	}
	if !j.breakerAt.IsZero() && time.Since(j.breakerAt) > breakerSlack && !j.isTrialLocked(n) {
		j.failLocked("I9", "machine of %s is replaced (%s) while many nodes fail since %s", n.Name, n.Spec.Retirement.Reason, time.Since(j.breakerAt))
	}
}

// isTrialLocked reports whether the machine, on which nothing can run since its Node does not exist, is the one of its group that may go in
// so much time although many fail together.
func (j *judge) isTrialLocked(n *v1beta1.VPSieNode) bool {
	if n.Spec.Retirement.Reason != string(reason.RepairNodeMissing) || kubesim.Get[corev1.Node](j.world.cluster.server, "", n.Status.NodeName) != nil {
		return false
	}
	if last, tried := j.triedAt[groupOf(n)]; tried && time.Since(last) < outage.TrialInterval-breakerSlack {
		return false
	}
	j.triedAt[groupOf(n)] = time.Now()
	return true
}

// onPod holds that protections are sacred (I26): what nobody may evict, our services do not.
func (j *judge) onPod(c kubesim.Change) {
	pod, ok := c.Old.(*corev1.Pod)
	if !ok || pod.DeletionTimestamp != nil {
		return
	}
	if c.New != nil && c.New.GetDeletionTimestamp() == nil {
		return
	}
	j.braked("pod " + pod.Name + " was evicted by " + c.Request.Client)
	// The machine of a Node that joined late goes in any case, so nobody waits for the taint.
	n := j.machineOn(pod.Spec.NodeName)
	j.readAfresh(c.Request.Client, pod.Spec.NodeName, "pod "+pod.Name+" was evicted", n == nil || n.Status.DeleteRequestedAt == nil)
	j.inPlace(n, c.Request.Client, "pod "+pod.Name+" was evicted")
	if pod.Annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false" && !j.askedByPerson(pod.Spec.NodeName) {
		j.failLocked("I26", "protected pod %s on %s was evicted by %s", pod.Name, pod.Spec.NodeName, c.Request.Client)
	}
	if c.Request.Subresource != "eviction" {
		j.failLocked("I26", "pod %s was deleted past the Eviction API by %s", pod.Name, c.Request.Client)
	}
}

// braked holds that nothing is done while the brake is on (I27).
func (j *judge) braked(what string) {
	if !j.pausedAt.IsZero() && time.Since(j.pausedAt) > brakeSlack {
		j.failLocked("I27", "%s although the brake is on since %s", what, time.Since(j.pausedAt))
	}
}

func cordoned(o client.Object) bool {
	n, ok := o.(*corev1.Node)
	return ok && n != nil && n.Annotations[v1beta1.AnnotationCordoned] != ""
}

func (j *judge) askedByPerson(node string) bool {
	for _, n := range machines(j.world) {
		if n.DeletionTimestamp != nil && (n.Status.NodeName == node || strings.EqualFold(n.Status.Hostname, node)) {
			return true
		}
	}
	return false
}

func groupOf(n *v1beta1.VPSieNode) string { return n.Namespace + "/" + n.Spec.NodeGroup }

// mayBeMachine reports whether a machine exists, or may come to exist, because of an intent.
func mayBeMachine(n *v1beta1.VPSieNode) bool {
	if n.Status.Identifier != "" {
		return true
	}
	if len(n.Status.Launches) == 0 {
		return false
	}
	switch n.Status.Launches[len(n.Status.Launches)-1].Outcome {
	case v1beta1.LaunchRequested, v1beta1.LaunchAccepted, v1beta1.LaunchUnknown:
		return true
	}
	return false
}
