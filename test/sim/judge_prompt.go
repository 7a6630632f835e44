package sim

import (
	"strings"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// promptWithin is how long an intent may wait in Kubernetes for the provisioner when the bus tells it nothing.
const promptWithin = time.Minute

// promptness is the invariant that an intent which waits longer breaks, empty where something else may hinder it.
func (p *plan) promptness() string {
	if p.prompt != "" {
		return p.prompt
	}
	for _, o := range p.faults {
		if !strings.HasPrefix(o.fault, "bus-") && !strings.HasPrefix(o.fault, "feed-") {
			return ""
		}
	}
	return "I16"
}

// onStep holds that what is written in Kubernetes is acted on without a message (I16), and whatever else fails beside it (I22).
func (j *judge) onStep(before, after *v1beta1.VPSieNode) {
	invariant := j.world.plan.promptness()
	if invariant == "" {
		return
	}
	launch, retirement := "the launch of "+keyOf(after), "the retirement of "+keyOf(after)
	if before == nil && after.Annotations[v1beta1.AnnotationAdopts] == "" {
		j.intents[launch] = time.Now()
	}
	if before != nil && before.Spec.Retirement == nil && after.Spec.Retirement != nil {
		j.intents[retirement] = time.Now()
	}
	if len(after.Status.Launches) > 0 || after.DeletionTimestamp != nil {
		delete(j.intents, launch)
	}
	if after.Spec.Retirement == nil || after.Status.DrainStartedAt != nil || after.DeletionTimestamp != nil {
		delete(j.intents, retirement)
	}
	for what, at := range j.intents {
		if waited := time.Since(at); waited > promptWithin {
			delete(j.intents, what)
			j.failLocked(invariant, "%s waits for the provisioner since %s", what, waited)
		}
	}
}
