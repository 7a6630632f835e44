package toolchain

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// heartbeat is the time between two signs of life of a build.
const heartbeat = 15 * time.Second

// Progress tells a person what takes so long. Its lines are safe to write concurrently.
type Progress struct {
	mu  sync.Mutex // guards out
	out io.Writer
}

// NewProgress returns a Progress that writes lines to out.
func NewProgress(out io.Writer) *Progress { return &Progress{out: out} }

// Start announces a task, reports every heartbeat that it still runs, and returns what ends it.
func (p *Progress) Start(task string) (done func(error)) {
	p.line("%s ...", task)
	end := p.Watch(task)
	began := time.Now()
	return func(err error) {
		end(err)
		if err != nil {
			p.line("%s: failed after %s", task, elapsed(began))
			return
		}
		p.line("%s: done in %s", task, elapsed(began))
	}
}

// Watch is Start for a task that is usually over at once: it says nothing before the first heartbeat.
func (p *Progress) Watch(task string) (done func(error)) {
	began := time.Now()
	stop := make(chan struct{})
	var beating sync.WaitGroup
	beating.Go(func() {
		ticker := time.NewTicker(heartbeat)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				p.line("%s: %s so far", task, elapsed(began))
			}
		}
	})
	return func(error) {
		close(stop)
		beating.Wait()
	}
}

func (p *Progress) line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "toolchain: "+format+"\n", args...)
}

func elapsed(since time.Time) time.Duration { return time.Since(since).Round(time.Second) }
