package sim

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/outage"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
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
	world *world

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
	// readyAt is when a machine was first called Ready, by our clock.
	readyAt map[string]time.Time
	// busyAt is when one of our services last wrote something.
	busyAt time.Time
	writes []string
	// readAt is when a process last read the pods of a Node, cordonedAt when the Node was tainted.
	readAt     map[reader]time.Time
	cordonedAt map[string]time.Time
	// fedAt is when the feed was last written.
	fedAt time.Time
	// intents are what the provisioner has not acted on yet.
	intents map[string]time.Time
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
)

func newJudge(w *world) *judge {
	return &judge{
		world: w, ceilings: map[string][]ceiling{}, readyAt: map[string]time.Time{}, triedAt: map[string]time.Time{},
		readAt: map[reader]time.Time{}, cordonedAt: map[string]time.Time{}, fedAt: time.Now(), intents: map[string]time.Time{},
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
		text += " retired:" + r.Reason
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

// beforeCloud judges a call that buys or deletes before it takes effect.
func (j *judge) beforeCloud(c change) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now, w := time.Now(), j.world
	w.log.add("call", c.by.name+" "+c.endpoint+" "+c.identifier)
	if !c.buys && c.identifier == "" {
		j.failLocked("I1", "%s names no machine", c.endpoint)
	}
	j.braked(c.endpoint)
	j.fence(c, now)
	j.holdCeilings()
	if c.buys {
		j.buys(now)
		j.again(now)
	} else {
		j.deletes(c, now)
	}
}

// fence holds that only the elected provisioner calls, and one that was frozen only for as long as it cannot know.
func (j *judge) fence(c change, now time.Time) {
	w := j.world
	w.mu.Lock()
	elected, at, robbed := w.elected[Provisioner], w.electedAt[Provisioner], w.robbedAt[Provisioner]
	w.mu.Unlock()
	slack := fenceSlack
	if !robbed.IsZero() && at.Sub(robbed) < w.plan.leaseDuration {
		slack = w.plan.leaseDuration // it goes on for as long as it would without the API server
	}
	// What a frozen process had asked before it froze may reach the world when it goes on, and no later.
	held := c.by.wasFrozen.Load() && now.Sub(c.by.gate.thawedAt()) < thawSlack
	if elected != nil && elected != c.by && now.Sub(at) > slack && !held {
		j.failLocked("I15", "%s by %s, while %s is elected since %s", c.endpoint, c.by.name, elected.name, now.Sub(at))
	}
}

// buys holds the ceilings of the groups that buy (I4, I20, I28).
func (j *judge) buys(now time.Time) {
	count, buying := map[string]int{}, map[string]bool{}
	for _, n := range machines(j.world) {
		last := len(n.Status.Launches) - 1
		buying[groupOf(n)] = buying[groupOf(n)] || last >= 0 && n.Status.Launches[last].Outcome == v1beta1.LaunchRequested
		if mayBeMachine(n) && !cameLate(n) {
			count[groupOf(n)]++
		}
	}
	for group, n := range count {
		// A group may have more than its maximum after that was lowered, but buy nothing then.
		if limit, known := j.ceilingOf(group, now); known && buying[group] && n > limit {
			j.failLocked("I20", "group %s has or may have %d machines, and its maximum is %d", group, n, limit)
		}
	}
}

// cameLate reports whether VPSie delivered a machine after nobody counted on it any more. Such a one may
// take its group above the maximum until it is used or goes.
func cameLate(n *v1beta1.VPSieNode) bool {
	return n.Status.LaunchedAt != nil && len(n.Status.Launches) > 0 &&
		n.Status.LaunchedAt.Sub(n.Status.Launches[0].RequestedAt.Time) > n.Spec.LaunchDeadline.Duration
}

// ceilingOf is the highest maximum that a group had a moment ago or has.
func (j *judge) ceilingOf(group string, now time.Time) (int, bool) {
	list := j.ceilings[group]
	limit := -1
	for i, c := range list {
		replaced := i+1 < len(list) && now.Sub(list[i+1].at) > ceilingSlack
		if !replaced {
			limit = max(limit, c.max)
		}
	}
	return limit, limit >= 0
}

// deletes holds that a deletion is named, owned, written down and of a drained machine (I1, I2, I6, I17, I30).
func (j *judge) deletes(c change, now time.Time) {
	truth, known := j.machine(c.identifier)
	if !known {
		return // it is gone already, or never was; asking again does no harm
	}
	if truth.Foreign || truth.Role != vpsiesim.RoleSlave {
		j.failLocked("I2", "machine %s (%s) is not ours", truth.Hostname, c.identifier)
	}
	intent, undrained := false, "I30"
	for _, n := range machines(j.world) {
		if n.Status.Identifier != c.identifier {
			continue
		}
		intent = intent || n.Status.DeleteRequestedAt != nil
		if j.swept && n.DeletionTimestamp != nil && n.Spec.Retirement == nil {
			j.failLocked("I17", "machine %s is deleted because its VPSieNode %s went with its namespace or definition", truth.Hostname, n.Name)
		}
		if cameLate(n) {
			undrained = "I6" // nobody counted on it any more, and yet it is used
		}
	}
	if !intent {
		j.failLocked("I1", "no VPSieNode says that machine %s (%s) is to be deleted", truth.Hostname, c.identifier)
	}
	if !truth.DeleteRequestedAt.IsZero() {
		return // VPSie was asked before, and what came to the machine since is not the product's doing
	}
	for _, pod := range kubesim.List[corev1.Pod](j.world.cluster.server, "") {
		if pod.Spec.NodeName == truth.NodeName() && !isOver(pod) && (pod.DeletionTimestamp == nil || j.runs(pod.Spec.NodeName)) {
			j.failLocked(undrained, "machine %s is deleted with pod %s on it", truth.Hostname, pod.Name)
		}
	}
}

// runs reports whether a Node works, so that pods which are told to end there are still ending.
func (j *judge) runs(node string) bool {
	n := kubesim.Get[corev1.Node](j.world.cluster.server, "", node)
	return n != nil && isReady(n)
}

func (j *judge) machine(identifier string) (vpsiesim.Machine, bool) {
	m, ok := j.world.cloud.sim.Model().Machine(identifier)
	return m, ok && m.GoneAt.IsZero()
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
	if c.New == nil && c.Old != nil {
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
		j.readAfresh(c.Request.Client, after.Status.NodeName, "the deletion of "+after.Name+" was decided")
	}
	if c.New != nil && before != nil && before.Spec.Retirement == nil && after.Spec.Retirement != nil {
		j.onRetirement(after, c.Request.Client)
		j.decidedKnowing(after, c.Request.Client)
	}
	if after.Status.ReadyAt != nil && (before == nil || before.Status.ReadyAt == nil) {
		j.readyAt[after.Name] = time.Now()
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
	if n.DeletionTimestamp != nil || n.Spec.Retirement == nil || !strings.HasPrefix(n.Spec.Retirement.Reason, "repair.") {
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
	j.readAfresh(c.Request.Client, pod.Spec.NodeName, "pod "+pod.Name+" was evicted")
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

// onNode holds that Nodes that are not ours are left alone (I2), and that a Node outlives its machine.
func (j *judge) onNode(c kubesim.Change, ours bool) {
	j.watchBreaker()
	if !ours {
		if c.New == nil {
			j.noteCordon(c)
		}
		return
	}
	j.noteCordon(c)
	name := c.Request.Name
	m, known := j.byNode(name)
	if !known {
		return
	}
	if cordoned(c.New) && !cordoned(c.Old) {
		j.braked("Node " + name + " was cordoned by " + c.Request.Client)
	}
	if m.Foreign {
		j.failLocked("I2", "Node %s is not ours and was changed by %s", name, c.Request.Client)
	}
	if c.New == nil && m.GoneAt.IsZero() {
		j.failLocked("I17", "Node %s was deleted while its machine lives", name)
	}
}

func (j *judge) byNode(name string) (vpsiesim.Machine, bool) {
	return j.world.cloud.sim.Model().MachineNamed(name)
}

// watchBreaker notes since when too many nodes fail together: more than three and 45 % of the cluster.
func (j *judge) watchBreaker() {
	total, failing := 0, 0
	for _, node := range kubesim.List[corev1.Node](j.world.cluster.server, "") {
		total++
		// A Node that is not Ready yet is on its way, not failing.
		if !isReady(node) && time.Since(node.CreationTimestamp.Time) > bootSlack {
			failing++
		}
	}
	open := failing > max(3, int(math.Ceil(0.45*float64(total))))
	switch {
	case !open:
		j.breakerAt = time.Time{}
	case j.breakerAt.IsZero():
		j.breakerAt = time.Now()
	}
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
