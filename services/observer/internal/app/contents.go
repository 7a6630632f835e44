package app

import (
	"cmp"
	"slices"
	"time"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// Contents returns the ledger as the feed's contents. trace is called once for each shape that
// started to wait since the last call, with the time since which it does, and returns the trace
// context of its story.
func (l *Ledger) Contents(now time.Time, trace func(since time.Time, pods int) string) *feed.Contents {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &feed.Contents{
		Shapes: make(map[scheduling.ShapeID]*feedv1.Shape, len(l.shapes)), Nodes: make(map[string]*feed.Node, len(l.nodes)),
		Pending: map[scheduling.ShapeID]*feed.Pending{}, DaemonSets: make(map[string]scheduling.ShapeID, len(l.daemonSets)),
		Budgets: make(map[string]int, len(l.budgets)),
	}
	if now.Before(l.behind) {
		c.Trouble = l.trouble
	}
	for id, entry := range l.shapes {
		c.Shapes[id] = entry.record
	}
	for name, node := range l.nodes {
		copied := *node
		copied.Pods = make(map[scheduling.ShapeID]int, len(l.onNode[name]))
		for id, count := range l.onNode[name] {
			copied.Pods[id] = count
		}
		c.Nodes[name] = &copied
	}
	for name, id := range l.daemonSets {
		c.DaemonSets[name] = id
	}
	for name, budget := range l.budgets {
		c.Budgets[name] = budget.allowed
	}
	l.pressure(c, now, trace)
	return c
}

func (l *Ledger) pressure(c *feed.Contents, now time.Time, trace func(since time.Time, pods int) string) {
	waiting, arriving := map[scheduling.ShapeID][]podEntry{}, map[scheduling.ShapeID][]podEntry{}
	for _, entry := range l.pods {
		switch entry.state {
		case podPending:
			waiting[entry.shape] = append(waiting[entry.shape], entry)
		case podArriving:
			arriving[entry.shape] = append(arriving[entry.shape], entry)
		}
	}
	for id, entries := range arriving {
		// Pods of a shape are interchangeable: what the scheduler said of one holds for the others,
		// and a slow scheduler need not say it for each before one decision can serve them all.
		if len(waiting[id]) > 0 {
			waiting[id] = append(waiting[id], entries...)
			continue
		}
		for _, entry := range entries {
			if now.Sub(entry.since) < arrivingMax {
				c.Arriving++
			}
		}
	}
	for uid, r := range l.rollouts {
		if now.Sub(r.since) < rolloutMax {
			c.Arriving += max(r.replicas-l.owned[uid], 0)
		}
	}
	for id := range l.traces {
		if waiting[id] == nil {
			delete(l.traces, id)
		}
	}
	for id, entries := range waiting {
		slices.SortFunc(entries, func(a, b podEntry) int {
			return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.ref.Namespace, b.ref.Namespace), cmp.Compare(a.ref.Name, b.ref.Name))
		})
		if l.traces[id] == "" {
			l.traces[id] = trace(entries[0].since, len(entries))
		}
		pending := &feed.Pending{Count: len(entries), Oldest: entries[0].since, Traceparent: l.traces[id]}
		for _, entry := range entries[:min(len(entries), feed.SampleMax)] {
			pending.Sample = append(pending.Sample, entry.ref)
		}
		c.Pending[id] = pending
	}
}
