package sim

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// promptWithin is how long an intent may wait in Kubernetes for the provisioner when the bus tells it nothing.
const promptWithin = time.Minute

// promptness is the invariant that is broken by an intent which waits for longer than promptWithin; empty where something
// else may hinder it.
func (p *plan) promptness() string {
	if p.promptInvariant != "" {
		return p.promptInvariant
	}
	if p.crash != nil {
		return ""
	}
	for _, o := range p.faults {
		if !slices.ContainsFunc(busFaultList(), func(f fault) bool { return f.name == o.fault }) {
			return ""
		}
	}
	return "I16"
}

func launchOf(n *v1beta1.VPSieNode) string     { return "the launch of " + keyOf(n) }
func retirementOf(n *v1beta1.VPSieNode) string { return "the retirement of " + keyOf(n) }

// onStep notes intents, and that they are acted on.
func (j *judge) onStep(before, after *v1beta1.VPSieNode) {
	if before == nil && after.Annotations[v1beta1.AnnotationAdopts] == "" {
		j.intents[launchOf(after)] = time.Now()
	}
	if before != nil && before.Spec.Retirement == nil && after.Spec.Retirement != nil && after.Status.Identifier != "" {
		j.intents[retirementOf(after)] = time.Now().Add(j.replacementMayTake(after))
	}
	if len(after.Status.Launches) > 0 || after.Status.Phase == v1beta1.PhaseFailed || after.DeletionTimestamp != nil {
		j.acted(launchOf(after))
	}
	if after.Spec.Retirement == nil || after.Status.DrainStartedAt != nil || after.DeletionTimestamp != nil {
		j.acted(retirementOf(after))
	}
}

// replacementMayTake is for how long a retirement may wait until the machine's replacement is Ready: until that must have
// joined, which is up to two launch deadlines, one of them until it is requested.
func (j *judge) replacementMayTake(n *v1beta1.VPSieNode) (longest time.Duration) {
	for _, r := range machines(j.world) {
		if n.Spec.Retirement.Kind == v1beta1.RetireReplace && slices.Contains(r.Spec.Replaces, n.Name) && r.Status.ReadyAt == nil {
			longest = max(longest, 2*r.Spec.LaunchDeadline.Duration)
		}
	}
	return longest
}

// acted holds that what is written in Kubernetes is acted on without a message (I16), and whatever else fails beside it (I22).
func (j *judge) acted(intents ...string) {
	invariant := j.world.plan.promptness()
	for _, what := range intents {
		at, waited := j.intents[what]
		delete(j.intents, what)
		if waited && invariant != "" && time.Since(at) > promptWithin {
			j.failLocked(invariant, "%s waited for the provisioner for %s after it could have been acted on", what, time.Since(at))
		}
	}
}

// lookAtIntents judges those that nothing has happened to for too long.
func (j *judge) lookAtIntents() {
	j.mu.Lock()
	defer j.mu.Unlock()
	var old []string
	for what, at := range j.intents {
		if time.Since(at) > promptWithin {
			old = append(old, what)
		}
	}
	slices.Sort(old)
	j.acted(old...)
}

// forget drops the intents of an object that is gone.
func (j *judge) forget(n *v1beta1.VPSieNode) {
	maps.DeleteFunc(j.intents, func(what string, _ time.Time) bool { return strings.HasSuffix(what, " "+keyOf(n)) })
}
