package facts

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
)

const (
	// queueMax bounds what waits to be put on record.
	queueMax = 4096
	// batchMax bounds what is put on record at once: while the bus is away, each write is of a whole ConfigMap.
	batchMax = 64
	// recordAgain is how soon it is tried again after neither the bus nor Kubernetes took a fact.
	recordAgain = time.Second
)

// Recorder is what a queue needs of an outbox.
type Recorder interface {
	// Record returns once the facts are on record.
	Record(ctx context.Context, facts ...Fact) error
	// Displace puts on record what an object has no room for any more, or drops and counts it.
	Displace(ctx context.Context, facts ...Fact)
}

var _ Recorder = (*Outbox)(nil)

// Queue puts facts on record in the background, in order, and announces them then. What it holds is lost with the process, so nothing
// of it was announced yet, unless an object carries it. Its methods are safe for concurrent use.
type Queue struct {
	outbox  Recorder
	store   client.Writer
	log     *slog.Logger
	entries chan entry

	mu sync.Mutex
	// carried are the facts of objects that wait, by id.
	carried map[string]bool
}

type entry struct {
	fact     *Fact
	carriers []client.ObjectKey
	told     func()
}

// NewQueue returns a queue that does nothing until Run.
func NewQueue(o Recorder, store client.Writer, log *slog.Logger) *Queue {
	return &Queue{outbox: o, store: store, log: log, entries: make(chan entry, queueMax), carried: map[string]bool{}}
}

// Record takes a fact and calls told once it is on record. It reports false, and does nothing, when there is no room.
func (q *Queue) Record(f Fact, told func()) bool { return q.add(entry{fact: &f, told: told}) }

// Tell calls told once everything that was taken before is on record. It reports false when there is no room.
func (q *Queue) Tell(told func()) bool { return q.add(entry{told: told}) }

// Carried takes a fact that VPSieNodes carry, and takes it off them once it is on record. Where there is no room it stays with them: whoever
// sees it there calls again. A fact that waits already is not taken again.
func (q *Queue) Carried(f Fact, carriers ...client.ObjectKey) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.carried[f.ID] && q.add(entry{fact: &f, carriers: carriers}) {
		q.carried[f.ID] = true
	}
}

// Displace puts on record what an object has no room for any more, at once: it must not wait here with no object to carry it.
func (q *Queue) Displace(ctx context.Context, facts ...Fact) { q.outbox.Displace(ctx, facts...) }

func (q *Queue) add(e entry) bool {
	select {
	case q.entries <- e:
		return true
	default:
		return false
	}
}

// Run puts facts on record until ctx ends.
func (q *Queue) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-q.entries:
			batch := q.batch(e)
			if !q.record(ctx, batch) {
				return nil
			}
			for _, e := range batch {
				if e.fact != nil {
					q.detach(ctx, e)
				}
				if e.told != nil {
					e.told()
				}
			}
		}
	}
}

// batch is an entry and what waits behind it.
func (q *Queue) batch(e entry) []entry {
	batch := []entry{e}
	for len(batch) < batchMax {
		select {
		case e := <-q.entries:
			batch = append(batch, e)
		default:
			return batch
		}
	}
	return batch
}

// record does not give up before ctx ends, and reports whether the facts are on record.
func (q *Queue) record(ctx context.Context, batch []entry) bool {
	var facts []Fact
	for _, e := range batch {
		if e.fact != nil {
			facts = append(facts, *e.fact)
		}
	}
	for failing := false; ; failing = true {
		err := q.outbox.Record(ctx, facts...)
		if err == nil {
			return true
		}
		if !failing {
			q.log.WarnContext(ctx, "facts not recorded; recording is repeated before they are announced", telemetry.KeyDecision, facts[0].ID, telemetry.KeyCount, len(facts), telemetry.KeyError, err)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(recordAgain):
		}
	}
}

// detach takes a fact off the objects that carry it. Where that fails it is put on record again later, which changes nothing.
func (q *Queue) detach(ctx context.Context, e entry) {
	for _, key := range e.carriers {
		carrier := &v1beta1.VPSieNode{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
		body, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1beta1.AnnotationRecordPrefix + e.fact.ID: nil}}})
		if err == nil {
			err = q.store.Patch(ctx, carrier, client.RawPatch(types.MergePatchType, body))
		}
		if client.IgnoreNotFound(err) != nil {
			q.log.WarnContext(ctx, "recorded fact not removed from its object; it is recorded again later", telemetry.KeyVPSieNode, key.String(), telemetry.KeyError, err)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.carried, e.fact.ID)
}
