// Package app turns pods and nodes into pressure: shapes and counts, written to the feed.
package app

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// How long after a failure of a watch the ledger counts as behind. A watch that keeps failing is tried
// again at growing intervals, each at most four times the one before.
const (
	troubleMin    = 3 * time.Second
	troubleMax    = 75 * time.Second
	troubleGrowth = 4
)

// Config is what the ledger can be told.
type Config struct {
	DefaultSpread bool `help:"Assume kube-scheduler's default topology spread for pods without one. Switch it off where the scheduler has other defaults." default:"true" negatable:""`
}

// Ledger is the cluster in shapes and counts. Its methods are safe for concurrent use. It keeps the objects
// that it is given, which must not be changed any more.
//
// A pod's shape depends on more than the pod: on its owner, on budgets, claims, volumes and classes, on
// the other pods that use its claims, and on which labels selectors anywhere refer to. What changes one of
// these marks the pods that it concerns as stale, and settle gives them their shapes before the method returns.
type Ledger struct {
	config    Config
	compactor *compactor

	mu   sync.Mutex
	pods map[types.UID]*podEntry
	// stale are pods whose shape may be another one by now; queue are those that take no room yet.
	stale, queue map[*podEntry]struct{}
	inNamespace  index[string, *podEntry]
	// owned are the pods of each controller, nominated those that wait for a preemption on a node.
	owned     index[types.UID, *podEntry]
	nominated index[string, *podEntry]

	shapes       map[scheduling.ShapeID]*shapeEntry
	keys         labelKeys
	nodes        map[string]*nodeEntry
	attachLimits map[string]map[string]int64
	namespaces   map[string]map[string]string
	daemonSets   map[string]types.UID
	// daemons are the DaemonSets by UID, those included that are only known by their pods.
	daemons    map[types.UID]*daemonEntry
	priorities map[string]priorityClass
	budgets    map[string]map[string]budgetEntry
	storage    *storage
	spreads    map[types.UID]ownerSpread
	rollouts   map[types.UID]rollout
	// arrived counts the pods without a node that were seen for the first time.
	arrived uint64
	// verdicts counts what the scheduler said of pods: that it found a node, or none. heard is their count in the last contents,
	// and heardAt when that last grew, zero until then.
	verdicts, heard uint64
	heardAt         time.Time
	traces          map[scheduling.ShapeID]string

	// guarded are pods whose protection ends by itself, with the end, and now is the time of the last contents.
	guarded map[*podEntry]time.Time
	now     time.Time

	trouble    string
	troubledAt time.Time
	behind     time.Time
	dirty      chan struct{}
}

// NewLedger returns an empty ledger.
func NewLedger(c Config) *Ledger {
	return &Ledger{
		config: c, compactor: newCompactor(),
		pods: map[types.UID]*podEntry{}, stale: map[*podEntry]struct{}{}, queue: map[*podEntry]struct{}{},
		inNamespace: index[string, *podEntry]{}, owned: index[types.UID, *podEntry]{}, nominated: index[string, *podEntry]{},
		shapes: map[scheduling.ShapeID]*shapeEntry{}, keys: newLabelKeys(),
		nodes: map[string]*nodeEntry{}, attachLimits: map[string]map[string]int64{}, namespaces: map[string]map[string]string{},
		daemonSets: map[string]types.UID{}, daemons: map[types.UID]*daemonEntry{}, priorities: map[string]priorityClass{},
		budgets: map[string]map[string]budgetEntry{}, storage: newStorage(),
		spreads: map[types.UID]ownerSpread{}, rollouts: map[types.UID]rollout{}, traces: map[scheduling.ShapeID]string{},
		guarded: map[*podEntry]time.Time{}, dirty: make(chan struct{}, 1),
	}
}

// Troubled says that a watch of the cluster failed at now, so that what the ledger holds may be behind.
func (l *Ledger) Troubled(err error, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wait := min(troubleGrowth*now.Sub(l.troubledAt), troubleMax)
	if l.troubledAt.IsZero() || now.Sub(l.troubledAt) > troubleMax {
		wait = 0
	}
	l.trouble, l.troubledAt = err.Error(), now
	if until := now.Add(wait + troubleMin); until.After(l.behind) {
		l.behind = until
	}
}

// Dirty receives after a change; many changes may be one receipt.
func (l *Ledger) Dirty() <-chan struct{} { return l.dirty }

func (l *Ledger) touch() {
	select {
	case l.dirty <- struct{}{}:
	default:
	}
}
