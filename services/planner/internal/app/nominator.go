package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/sabotage"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

const (
	// nominationsMax bounds the nominations that are written before it is looked at whether others are wanted by now.
	nominationsMax = 200
	// nominatorsMax is how many nominations are written at a time: while pods are called unschedulable one by one, the API server is
	// busy with that, and the nominations are what the pods wait for.
	nominatorsMax = 32
	// nominationShown is how long after a nomination was written the feed may take to show it.
	nominationShown = 2 * time.Second
	// nominationTimeout bounds one write; what is late is planned anew.
	nominationTimeout = 5 * time.Second
	// refusalsLogged is how long a refusal of nominations is not repeated in the log.
	refusalsLogged = time.Minute
)

// PodNominator writes status.nominatedNodeName of pods. It is the only one that does so beside kube-scheduler. Each write is on the
// condition that the pod is nominated as the plan saw it, so that a nomination of the scheduler's own is never overwritten.
type PodNominator struct {
	pods    client.SubResourceWriter
	metrics *Metrics
	clock   clock.WithTicker
	log     *slog.Logger

	mu      sync.Mutex
	wanted  []scaling.Nomination
	changed chan struct{}
	// written is what was last written of each pod, by UID: the feed takes a moment to show it.
	written map[string]writtenNomination
	refused time.Time
}

type writtenNomination struct {
	scaling.Nomination
	at    time.Time
	state nominationState
}

type nominationState int

const (
	nominationUnderway nominationState = iota
	nominationLanded
	// nominationRefused is of a pod that was not as the plan saw it.
	nominationRefused
)

var _ Nominator = (*PodNominator)(nil)

// NewPodNominator returns a nominator that does nothing until Run. Its writer's limit is the budget of writes, one a pod.
func NewPodNominator(pods client.SubResourceWriter, metrics *Metrics, c clock.WithTicker, log *slog.Logger) *PodNominator {
	return &PodNominator{pods: pods, metrics: metrics, clock: c, log: log, changed: make(chan struct{}, 1), written: map[string]writtenNomination{}}
}

// Want replaces the nominations that are to be written. Those that were written a moment ago are not repeated.
func (n *PodNominator) Want(nominations []scaling.Nomination) {
	n.mu.Lock()
	n.dropOld()
	n.wanted = n.wanted[:0:0]
	for _, nomination := range nominations {
		if last, done := n.written[nomination.Pod.UID]; done && last.Nomination == nomination {
			continue
		}
		n.wanted = append(n.wanted, nomination)
	}
	n.mu.Unlock()
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// Amend shows waiting pods as nominated where they are and the feed does not show it yet: a plan without that would nominate others to the same
// room. It also names the Nodes to which nominations are being written. What it is given is only read.
func (n *PodNominator) Amend(pending map[scheduling.ShapeID]*scheduling.Pending) (amended map[scheduling.ShapeID]*scheduling.Pending, underway map[string]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dropOld()
	amended, underway = maps.Clone(pending), map[string]bool{}
	for id, pods := range pending {
		copied := false
		for i, pod := range pods.Sample {
			last, is := n.written[pod.UID]
			switch {
			case !is || last.state == nominationRefused:
				continue
			case pod.NominatedNode == last.Node && last.Node != "":
				delete(n.written, pod.UID) // the feed shows from now on what becomes of it
				continue
			case last.state == nominationUnderway && last.Node != "":
				underway[last.Node] = true
			}
			if !copied {
				copied, pods = true, new(*pods)
				pods.Sample = slices.Clone(pods.Sample)
				amended[id] = pods
			}
			pods.Sample[i].NominatedNode = last.Node
		}
	}
	return amended, underway
}

// dropOld forgets what was written so long ago that the feed shows it. The caller holds the lock.
func (n *PodNominator) dropOld() {
	now := n.clock.Now()
	maps.DeleteFunc(n.written, func(_ string, last writtenNomination) bool {
		return last.state != nominationUnderway && now.Sub(last.at) >= nominationShown
	})
}

// Run writes what is wanted until ctx ends.
func (n *PodNominator) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.changed:
		}
		for ctx.Err() == nil && n.round(ctx) {
		}
	}
}

// round writes some of what is wanted and reports whether there is more.
func (n *PodNominator) round(ctx context.Context) bool {
	batch, more := n.next()
	var writers errgroup.Group
	writers.SetLimit(nominatorsMax)
	for _, nomination := range batch {
		writers.Go(func() error {
			n.write(ctx, nomination)
			return nil
		})
	}
	_ = writers.Wait() // each writer has handled its own error
	return more
}

// next takes some of what is wanted, notes it as written, and reports whether there is more.
func (n *PodNominator) next() (batch []scaling.Nomination, more bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := min(len(n.wanted), nominationsMax)
	batch, n.wanted = n.wanted[:count], n.wanted[count:]
	now := n.clock.Now()
	for _, nomination := range batch {
		n.written[nomination.Pod.UID] = writtenNomination{Nomination: nomination, at: now}
	}
	return batch, len(n.wanted) > 0
}

// forget has a nomination that could not be written written again when it is next wanted.
func (n *PodNominator) forget(nomination scaling.Nomination) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.written, nomination.Pod.UID)
}

// note says what became of a nomination.
func (n *PodNominator) note(nomination scaling.Nomination, state nominationState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.written[nomination.Pod.UID] = writtenNomination{nomination, n.clock.Now(), state}
}

func (n *PodNominator) write(ctx context.Context, nomination scaling.Nomination) {
	ctx, cancel := context.WithTimeout(ctx, nominationTimeout)
	defer cancel()
	outcome := nominationTakenBack
	if nomination.Node != "" {
		outcome = nominationWritten
	}
	body, err := json.Marshal(patchOf(nomination))
	if err == nil {
		pod := &corev1.Pod{}
		pod.Namespace, pod.Name = nomination.Pod.Namespace, nomination.Pod.Name
		err = n.pods.Patch(ctx, pod, client.RawPatch(types.JSONPatchType, body), client.FieldOwner(v1beta1.FieldManagerNominations))
	}
	switch {
	case err == nil:
		n.note(nomination, nominationLanded)
	case apierrors.IsInvalid(err) || apierrors.IsConflict(err) || apierrors.IsNotFound(err):
		n.note(nomination, nominationRefused)
		outcome = nominationOutdated // the pod is not as the plan saw it; the next plan sees how it is
	default:
		outcome = nominationFailed
		n.forget(nomination)
		n.complain(ctx, err)
	}
	n.metrics.nominated(outcome)
}

// operation is one of a JSON patch (RFC 6902). A test of null holds where there is nothing.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// patchOf writes a nomination where the pod is the same, has no node, and is nominated as the plan saw it.
func patchOf(nomination scaling.Nomination) []operation {
	named := func(node string) any {
		if node == "" {
			return nil
		}
		return node
	}
	const field = "/status/nominatedNodeName"
	if sabotage.NominationCondition() {
		return []operation{{"add", field, named(nomination.Node)}}
	}
	return []operation{
		{"test", "/metadata/uid", nomination.Pod.UID}, {"test", "/spec/nodeName", nil}, {"test", field, named(nomination.Pod.NominatedNode)},
		{"add", field, named(nomination.Node)},
	}
}

// complain logs that nominations fail, now and then: kube-scheduler places the pods without them.
func (n *PodNominator) complain(ctx context.Context, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.clock.Now()
	if ctx.Err() != nil || !n.refused.IsZero() && now.Sub(n.refused) < refusalsLogged {
		return
	}
	n.refused = now
	n.log.WarnContext(ctx, "pods not nominated; kube-scheduler may place them elsewhere than planned", telemetry.KeyError, err)
}
