package sim

import (
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/outage"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// onNode holds that Nodes that are not ours are left alone (I2), and that a Node outlives its machine.
func (j *judge) onNode(c kubesim.Change, ours bool) {
	j.watchBreaker()
	j.noteTaint(c)
	is, _ := c.New.(*corev1.Node)
	was, _ := c.Old.(*corev1.Node)
	j.noteLoss(c.Request.Name, is != nil && isReady(is), was != nil && isReady(was))
	if !ours {
		return
	}
	name := c.Request.Name
	m, known := j.byNode(name)
	if !known {
		return
	}
	if isTainted(c.New) && !isTainted(c.Old) {
		j.closes(name, c.Request.Client)
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
	awaited := map[string]bool{}
	for _, n := range machines(j.world) {
		awaited[nodeNameOf(n)] = n.Status.ReadyAt == nil && time.Now().Before(outage.JoinDeadline(n))
	}
	total, failing := 0, 0
	for _, node := range kubesim.List[corev1.Node](j.world.cluster.server, "") {
		total++
		// A Node that is not Ready yet is on its way, not failing, until its launch deadline.
		if !isReady(node) && !awaited[node.Name] && time.Since(node.CreationTimestamp.Time) > bootSlack {
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
