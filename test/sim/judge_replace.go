package sim

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

// replacementSlack is for how long a process may go on after its look at a replacement that worked then: a round of evictions takes as
// long as the API server has it.
const replacementSlack = 30 * time.Second

// noteLoss keeps since when a Node is not Ready that was, and since when a machine goes that stayed.
func (j *judge) noteLoss(node string, is, was bool) {
	switch {
	case is:
		delete(j.lostAt, node)
	case was:
		j.lostAt[node] = time.Now()
	}
}

// inPlace holds that what is replaced is not touched before what takes its place is Ready (D14).
func (j *judge) inPlace(n *v1beta1.VPSieNode, by, what string) {
	if n == nil || n.DeletionTimestamp != nil || n.Status.DeleteRequestedAt != nil || n.Spec.Retirement == nil || n.Spec.Retirement.Kind != v1beta1.RetireReplace || j.justThawed(by) {
		return
	}
	found := false
	for _, r := range machines(j.world) {
		if r.Namespace != n.Namespace || !slices.Contains(r.Spec.Replaces, n.Name) {
			continue
		}
		found = true
		if !j.takesPods(r) {
			j.failLocked("D14", "%s by %s, and its replacement %s does not work: %s", what, by, r.Name, describe(r))
		}
	}
	if !found && time.Since(j.lostAt[replacementFor(n)]) > replacementSlack {
		j.failLocked("D14", "%s by %s, and nothing replaces %s", what, by, n.Name)
	}
}

// closes judges that a Node is closed for a drain.
func (j *judge) closes(node, by string) {
	j.inPlace(j.machineOn(node), by, "Node "+node+" was closed")
}

// replacementFor is the key under which the loss of what replaces a machine is kept.
func replacementFor(n *v1beta1.VPSieNode) string { return "replacement of " + keyOf(n) }

// takesPods reports whether a machine works and stays, or did a moment ago.
func (j *judge) takesPods(n *v1beta1.VPSieNode) bool {
	node := kubesim.Get[corev1.Node](j.world.cluster.server, "", n.Status.NodeName)
	if n.Status.ReadyAt == nil || n.Status.NodeName == "" || (node == nil || !isReady(node)) && !j.lostLately(n.Status.NodeName) {
		return false
	}
	return n.DeletionTimestamp == nil && n.Spec.Retirement == nil || j.lostLately(keyOf(n))
}

func (j *judge) lostLately(what string) bool {
	at, lost := j.lostAt[what]
	return lost && time.Since(at) <= replacementSlack
}

// noteReplacement keeps since when a machine goes, and with it what was to take others' places.
func (j *judge) noteReplacement(before, after *v1beta1.VPSieNode) {
	goes := func(n *v1beta1.VPSieNode) bool {
		return n == nil || n.DeletionTimestamp != nil || n.Spec.Retirement != nil
	}
	if before == nil {
		return
	}
	j.noteLoss(keyOf(before), !goes(after), !goes(before))
	if after != nil {
		return
	}
	for _, name := range before.Spec.Replaces {
		j.lostAt["replacement of "+before.Namespace+"/"+name] = time.Now()
	}
}

// onKind holds that each of our services retires for what it may decide on alone (I26): to replace what works, and to take away what
// somebody uses, others ask.
func (j *judge) onKind(n *v1beta1.VPSieNode, client string) {
	may := map[string][]v1beta1.RetirementKind{
		Planner:     {v1beta1.RetireScaleDown, v1beta1.RetireRepair},
		Provisioner: {v1beta1.RetireRepair, v1beta1.RetireLaunchFailed, v1beta1.RetireOrphan},
		Observer:    {},
	}
	for service, kinds := range may {
		if strings.HasPrefix(client, service+"-") && !slices.Contains(kinds, n.Spec.Retirement.Kind) {
			j.failLocked("I26", "%s retires %s for %s", client, n.Name, n.Spec.Retirement.Kind)
		}
	}
}
