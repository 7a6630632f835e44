package app

import (
	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// shapeEntry is a shape that some pod has.
type shapeEntry struct {
	record *feedv1.Shape
	// keys are the label keys that its selectors name.
	keys []string
	uses int
}

// knownShape is a shape as it was just made.
type knownShape struct {
	id     scheduling.ShapeID
	record *feedv1.Shape
	keys   []string
}

// shapeOf makes the shape of a pod. When the pod is the first to refer to a label, those that carry it,
// maybe itself among them, are stale.
func (l *Ledger) shapeOf(pod *Pod) (knownShape, error) {
	c := scheduling.PodContext{Budgets: l.budgetsOf(pod), KeepLabel: l.keys.has, Now: l.now, DefaultSpread: l.defaultSpreadOf(pod)}
	object := objectOf(pod)
	c.Volumes, c.VolumesProblem = scheduling.VolumesOf(object, l.storage)
	shape := scheduling.ShapeOf(object, c)
	keys := keysOf(&shape)
	if fresh := l.keys.learn(keys); len(fresh) > 0 {
		l.outdateCarriers(fresh)
	}
	id, record, err := feed.EncodeShape(&shape)
	return knownShape{id: id, record: record, keys: keys}, err
}

func (l *Ledger) use(shape knownShape) {
	entry := l.shapes[shape.id]
	if entry == nil {
		entry = &shapeEntry{record: shape.record, keys: shape.keys}
		l.shapes[shape.id] = entry
		l.keys.refer(entry.keys, 1)
	}
	entry.uses++
}

func (l *Ledger) release(id scheduling.ShapeID) {
	entry := l.shapes[id]
	if entry == nil {
		return
	}
	if entry.uses--; entry.uses == 0 {
		delete(l.shapes, id)
		l.keys.refer(entry.keys, -1)
	}
}
