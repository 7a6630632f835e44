package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/disruption"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/machine"
)

// Nodes takes each machine from its listing to a Ready Node, and from its retirement to the day
// its object may go. It makes no call to VPSie.
type Nodes struct {
	store     *Store
	catalogue *Catalogue
	brake     Brake
	events    events.EventRecorder
	clock     clock.Clock
	config    Config
	log       *slog.Logger

	// announced are machines that a message told to be retired and that the cache may not show so yet.
	announced sync.Map
	settling  *settling
	// queueing is held while a machine that never joined is chosen to go.
	queueing turnstile
	queues   map[string]*queue
}

// NewNodes returns a reconciler of VPSieNodes.
func NewNodes(store *Store, catalogue *Catalogue, b Brake, recorder events.EventRecorder, c clock.WithTicker, config Config, log *slog.Logger) *Nodes {
	return &Nodes{store: store, catalogue: catalogue, brake: b, events: recorder, clock: c, config: config, log: log, settling: newSettling(), queueing: newTurnstile(), queues: map[string]*queue{}}
}

// Announce says that a message told of a retirement: the next looks at the machine find it, also where the cache is behind.
func (r *Nodes) Announce(key client.ObjectKey) { r.announced.Store(key, true) }

// read reads a machine from the cache, or live as long as the cache lacks a retirement that a message told of: what was
// done for it must not be undone on an older copy.
func (r *Nodes) read(ctx context.Context, key client.ObjectKey) (*v1beta1.VPSieNode, error) {
	n := &v1beta1.VPSieNode{}
	err := r.store.Get(ctx, key, n)
	if _, announced := r.announced.Load(key); !announced {
		return n, err
	}
	if err == nil && n.Spec.Retirement != nil {
		r.announced.Delete(key)
		return n, nil
	}
	n = &v1beta1.VPSieNode{}
	err = r.store.Live.Get(ctx, key, n)
	if ignoreGone(err) == nil && n.Spec.Retirement == nil {
		r.announced.Delete(key) // it is gone, or the retirement was withdrawn
	}
	return n, err
}

// Reconcile takes one machine a step further and returns when to look again; zero means when
// something changes.
func (r *Nodes) Reconcile(ctx context.Context, key client.ObjectKey) (time.Duration, error) {
	n, err := r.read(ctx, key)
	if err != nil {
		return 0, ignoreGone(err)
	}
	if n.DeletionTimestamp == nil && !controllerutil.ContainsFinalizer(n, v1beta1.FinalizerMachine) {
		// Somebody took it off; without it the object could go before the machine.
		if _, err := r.store.Update(ctx, n, func(n *v1beta1.VPSieNode) bool {
			return n.DeletionTimestamp == nil && controllerutil.AddFinalizer(n, v1beta1.FinalizerMachine)
		}); err != nil {
			return 0, ignoreGone(err)
		}
	}
	if fleet.IsRetired(n) {
		wait, err := r.retire(ctx, n)
		return wait, ignoreGone(err)
	}
	switch machine.StateOf(n) {
	case v1beta1.PhaseFailed:
		return r.expire(ctx, n)
	case v1beta1.PhaseDraining:
		// The retirement was withdrawn while the drain went on.
		return r.unlessPaused(ctx, n, func() error {
			return r.abort(ctx, n, disruption.Refusal{Code: reason.NoScaleDownWithdrawn, Message: "the retirement was withdrawn"})
		})
	}
	if n.Status.Identifier == "" {
		return 0, nil
	}
	const withdrawn = "the retirement was withdrawn before the Node was tainted"
	if _, err := r.store.Decide(ctx, n, decided(reason.NoScaleDown, reason.NoScaleDownWithdrawn, withdrawn), machine.RetirementWithdrawn(withdrawn)); err != nil {
		return 0, ignoreGone(err)
	}
	wait, err := r.join(ctx, n)
	return wait, ignoreGone(err)
}

// unlessPaused takes a step, or returns when to try again because everything is paused.
func (r *Nodes) unlessPaused(ctx context.Context, n *v1beta1.VPSieNode, step func() error) (time.Duration, error) {
	err := goOn(ctx, r.brake)
	if err == nil {
		err = step()
	}
	if pause, paused := asPaused(err); paused {
		return pausedPoll, ignoreGone(r.standStill(ctx, n, pause))
	}
	return 0, ignoreGone(err)
}

// expire lets the object of a failed launch go once it has been visible for long enough.
func (r *Nodes) expire(ctx context.Context, n *v1beta1.VPSieNode) (time.Duration, error) {
	since := n.CreationTimestamp.Time
	if a := machine.LastAttempt(n); a != nil {
		since = a.RequestedAt.Time
	}
	keep := failedRetention
	if machine.Answerable(n) != nil {
		keep = machine.AnswerWindow // its machine may turn up, and nothing else knows of it
	}
	if wait := keep - r.clock.Now().Sub(since); wait > 0 && n.Status.Identifier == "" {
		return wait, nil
	}
	return 0, ignoreGone(r.store.Delete(ctx, n, preconditions(n)))
}

// groupPausedPoll is how often a machine that its group's mode keeps is looked at.
const groupPausedPoll = 30 * time.Second

func preconditions(object client.Object) client.Preconditions {
	return client.Preconditions{UID: new(object.GetUID()), ResourceVersion: new(object.GetResourceVersion())}
}
