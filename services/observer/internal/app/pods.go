package app

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// podEntry is what is kept of a pod, or of the template of a DaemonSet's pods.
type podEntry struct {
	pod      *Pod
	template bool
	// state, shape and node are as the pod is counted now; an ignored pod has no shape.
	state podState
	shape scheduling.ShapeID
	node  string
	// nominated is the node to which the planner nominated it and for which it waits, empty where it did not.
	nominated string
}

// SetPod takes the newest version of a pod.
func (l *Ledger) SetPod(pod *corev1.Pod) error {
	compact, err := l.Compact(pod)
	if err != nil {
		return err
	}
	return l.SetCompact(compact)
}

// SetCompact takes the newest version of a pod of which Compact made what is to be kept.
func (l *Ledger) SetCompact(pod *Pod) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	// A nominated pod may be one to ignore only until its node is known.
	if state, _ := l.stateOf(pod); state == podIgnored && pod.NominatedNodeName == "" {
		l.drop(pod.UID)
	} else {
		l.set(pod, false)
	}
	return l.settle()
}

// DeletePod forgets a pod.
func (l *Ledger) DeletePod(uid types.UID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(uid)
	return l.settle()
}

// set takes a pod or a template in; settle counts it.
func (l *Ledger) set(pod *Pod, template bool) {
	entry := l.pods[pod.UID]
	if entry != nil && !slices.Equal(claimNames(entry.pod), claimNames(pod)) {
		l.drop(pod.UID) // a template; a pod's volumes never change
		entry = nil
	}
	if entry == nil {
		entry = &podEntry{pod: pod, template: template}
		l.pods[pod.UID] = entry
		if !template && pod.NodeName == "" {
			l.arrived++
		}
		l.claim(entry)
	} else {
		l.unlink(entry)
		entry.pod = pod
	}
	l.link(entry)
	l.stale[entry] = struct{}{}
}

func (l *Ledger) drop(uid types.UID) {
	entry := l.pods[uid]
	if entry == nil {
		return
	}
	l.uncount(entry)
	l.unlink(entry)
	l.disclaim(entry)
	delete(l.pods, uid)
	delete(l.stale, entry)
}

func (l *Ledger) link(entry *podEntry) {
	l.inNamespace.add(entry.pod.Namespace, entry)
	if owner := entry.pod.ownerUID(); owner != "" {
		l.owned.add(owner, entry)
		l.outdateDaemon(entry.pod)
	}
	if node := entry.pod.NominatedNodeName; node != "" {
		l.nominated.add(node, entry)
	}
	if end := entry.pod.ProtectionEnds; end.After(l.now) {
		l.guarded[entry] = end
	}
}

func (l *Ledger) unlink(entry *podEntry) {
	l.inNamespace.remove(entry.pod.Namespace, entry)
	if owner := entry.pod.ownerUID(); owner != "" {
		l.owned.remove(owner, entry)
		l.outdateDaemon(entry.pod)
	}
	if node := entry.pod.NominatedNodeName; node != "" {
		l.nominated.remove(node, entry)
	}
	delete(l.guarded, entry)
}

// outdate marks pods as stale.
func (l *Ledger) outdate(entries map[*podEntry]struct{}) { maps.Copy(l.stale, entries) }

// outdateCarriers marks the pods that carry one of some labels as stale.
func (l *Ledger) outdateCarriers(keys []string) {
	if len(keys) == 0 {
		return
	}
	for _, entry := range l.pods {
		for _, key := range keys {
			if _, carries := entry.pod.Labels[key]; carries {
				l.stale[entry] = struct{}{}
				break
			}
		}
	}
}

// settle counts every stale pod as what it is now. A pod that has no shape is left out, with an error.
func (l *Ledger) settle() error {
	var problems []error
	for len(l.stale) > 0 { // ends: only a new label key adds pods, and there are as many as selectors name
		for entry := range l.stale {
			delete(l.stale, entry)
			if err := l.recount(entry); err != nil {
				problems = append(problems, fmt.Errorf("%s/%s: %w", entry.pod.Namespace, entry.pod.Name, err))
				l.drop(entry.pod.UID)
			}
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errors.Join(problems...)
}

// recount counts a pod as what it is now.
func (l *Ledger) recount(entry *podEntry) error {
	now := *entry
	now.state, now.node = podTemplate, ""
	if !entry.template {
		now.state, now.node = l.stateOf(entry.pod)
	}
	if now.nominated = ""; now.isQueued() && entry.pod.NominatedByPlanner {
		now.nominated = entry.pod.NominatedNodeName
	}
	if now.shape = ""; now.state != podIgnored {
		shape, err := l.shapeOf(entry.pod)
		if err != nil {
			return err
		}
		now.shape = shape.id
		l.use(shape) // before the old one goes, so that one of both stays
	}
	if now == *entry {
		l.release(now.shape)
		return nil
	}
	if entry.state == podArriving && (now.state == podBound || now.state == podPending) && l.shapes[entry.shape].record.GetUnjudged() == "" {
		l.verdicts++
	}
	l.uncount(entry)
	*entry = now
	l.outdateDaemon(entry.pod)
	switch {
	case entry.state == podBound:
		l.countOn(entry.node, entry.shape, 1)
	case entry.isQueued():
		l.queue[entry] = struct{}{}
	}
	l.touch()
	return nil
}

// uncount undoes recount.
func (l *Ledger) uncount(entry *podEntry) {
	if entry.state == podIgnored {
		return
	}
	if entry.state == podBound {
		l.countOn(entry.node, entry.shape, -1)
	}
	delete(l.queue, entry)
	l.release(entry.shape)
	entry.state, entry.shape, entry.node, entry.nominated = podIgnored, "", "", ""
	l.touch()
}

// isQueued reports whether the pod has no room yet.
func (e *podEntry) isQueued() bool { return e.state == podPending || e.state == podArriving }
