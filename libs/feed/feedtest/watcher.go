package feedtest

import (
	"context"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// watcher hands over entries in order, from a queue without bound: a bucket waits for no reader.
type watcher struct {
	updates chan jetstream.KeyValueEntry
	more    chan struct{} // holds a token while the queue may have entries
	cancel  context.CancelFunc

	mu    sync.Mutex
	queue []jetstream.KeyValueEntry
}

// Updates delivers the entries; it is closed when the watch ends.
func (w *watcher) Updates() <-chan jetstream.KeyValueEntry { return w.updates }

// Stop ends the watch.
func (w *watcher) Stop() error {
	w.cancel()
	return nil
}

func (w *watcher) add(e *entry) {
	w.mu.Lock()
	w.queue = append(w.queue, e)
	w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
}

func (w *watcher) take() []jetstream.KeyValueEntry {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.queue
	w.queue = nil
	return all
}

func (w *watcher) run(ctx context.Context) {
	defer close(w.updates)
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.more:
		}
		for _, e := range w.take() {
			select {
			case w.updates <- e:
			case <-ctx.Done():
				return
			}
		}
	}
}
