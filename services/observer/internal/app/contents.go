package app

import (
	"cmp"
	"slices"
	"time"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

const (
	// arrivingMax is how long the scheduler may say nothing of any pod while one waits for it; longer means that it does not run, and that
	// what it would say is not to be guessed.
	arrivingMax = 30 * time.Second
	// overlookedMax is how long it may say nothing of a pod while it says something of others, as it does one by one; longer means that
	// its word on the others cannot be relied on either.
	overlookedMax = 2 * time.Minute
)

// Tracer returns the trace context of the story of so many pods that wait since a time.
type Tracer func(since time.Time, pods int) string

// Contents returns the ledger as the feed's contents. trace is called once for each shape that
// started to wait since the last call. What time alone changes, such as the end of a pod's delay,
// shows in the first call after it, which is the next heartbeat at the latest.
func (l *Ledger) Contents(now time.Time, trace Tracer) *feed.Contents {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = now
	l.outdateCarriers(l.keys.expire(now))
	for entry, end := range l.guarded {
		if !now.Before(end) {
			delete(l.guarded, entry)
			l.stale[entry] = struct{}{}
		}
	}
	_ = l.settle() // a label or a protection less cannot make a shape fail
	c := &feed.Contents{
		Shapes: make(map[scheduling.ShapeID]*feedv1.Shape, len(l.shapes)), Nodes: make(map[string]*scheduling.Node, len(l.nodes)),
		Pending: map[scheduling.ShapeID]*scheduling.Pending{}, DaemonSets: l.daemonShapes(),
		Budgets: map[string]int{}, Namespaces: make(map[string]map[string]string, len(l.namespaces)),
	}
	if now.Before(l.behind) {
		c.Trouble = l.trouble
	}
	for id, entry := range l.shapes {
		c.Shapes[id] = entry.record
	}
	l.withoutTemplates(c)
	for name, entry := range l.nodes {
		if entry.node != nil {
			c.Nodes[name] = entry.contents(l.attachLimits[name])
		}
	}
	for namespace, budgets := range l.budgets {
		for name, budget := range budgets {
			c.Budgets[namespace+"/"+name] = budget.allowed
		}
	}
	for name, labels := range l.namespaces {
		c.Namespaces[name] = labels
	}
	l.pressure(c, now, trace)
	return c
}

// pressure tells the pods that have no node. Pods of a shape are interchangeable: what the scheduler said of one holds for the
// others, and a slow scheduler need not say it for each before one decision can serve them all. Shapes of which it has looked at none are
// told apart, for the planner to judge by itself. All are left out where it does not run, or overlooks one.
func (l *Ledger) pressure(c *feed.Contents, now time.Time, trace Tracer) {
	c.Arrived = l.arrived
	waiting, arriving := map[scheduling.ShapeID][]*podEntry{}, map[scheduling.ShapeID][]*podEntry{}
	for entry := range l.queue {
		switch {
		case now.Before(delayedUntil(entry.pod)):
		case entry.state == podPending:
			waiting[entry.shape] = append(waiting[entry.shape], entry)
		default:
			arriving[entry.shape] = append(arriving[entry.shape], entry)
		}
	}
	if l.verdicts != l.heard {
		l.heard, l.heardAt = l.verdicts, now
	}
	silent, speaks := false, now.Sub(l.heardAt) < arrivingMax
	for id, entries := range arriving {
		switch {
		case len(waiting[id]) > 0:
			waiting[id] = append(waiting[id], entries...)
			delete(arriving, id)
		case l.shapes[id].record.GetUnjudged() != "":
			delete(arriving, id) // another scheduler's, perhaps
		case speaks:
			arriving[id] = slices.DeleteFunc(entries, func(e *podEntry) bool { return now.Sub(e.pod.CreationTimestamp) >= overlookedMax })
			if len(arriving[id]) == 0 {
				delete(arriving, id)
			}
		default:
			silent = silent || slices.ContainsFunc(entries, func(e *podEntry) bool { return now.Sub(e.pod.CreationTimestamp) >= arrivingMax })
		}
	}
	if silent {
		clear(arriving)
	}
	for uid, r := range l.rollouts {
		if now.Sub(r.since) < rolloutMax {
			c.Arriving += max(r.replicas-len(l.owned[uid]), 0)
		}
	}
	for id := range l.traces {
		if waiting[id] == nil && arriving[id] == nil {
			delete(l.traces, id)
		}
	}
	for id, entries := range waiting {
		c.Pending[id] = l.pending(id, entries, trace)
		c.Pending[id].Count = len(entries)
	}
	for id, entries := range arriving {
		c.Pending[id] = l.pending(id, entries, trace)
		c.Pending[id].Arriving = len(entries)
	}
}

// pending names the pods of a shape that have no node: those nominated by the planner, then the others, each the oldest first.
func (l *Ledger) pending(id scheduling.ShapeID, entries []*podEntry, trace Tracer) *scheduling.Pending {
	slices.SortFunc(entries, func(a, b *podEntry) int {
		return cmp.Or(
			a.pod.CreationTimestamp.Compare(b.pod.CreationTimestamp),
			cmp.Compare(a.pod.Namespace, b.pod.Namespace), cmp.Compare(a.pod.Name, b.pod.Name),
		)
	})
	if l.traces[id] == "" {
		l.traces[id] = trace(entries[0].pod.CreationTimestamp, len(entries))
	}
	pending := &scheduling.Pending{Traceparent: l.traces[id]}
	var others []scheduling.PodReference
	for _, entry := range entries {
		pod := scheduling.PodReference{Namespace: entry.pod.Namespace, Name: entry.pod.Name, UID: string(entry.pod.UID), NominatedNode: entry.nominated}
		switch {
		case entry.nominated != "" && len(pending.Sample) < feed.NominatedMax:
			pending.Sample = append(pending.Sample, pod)
		case entry.pod.NominatedNodeName == "" && len(others) < feed.SampleMax:
			others = append(others, pod)
		}
	}
	pending.Sample = append(pending.Sample, others...)
	return pending
}
