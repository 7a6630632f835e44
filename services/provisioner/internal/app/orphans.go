package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/types/known/timestamppb"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/libs/text"
)

// What becomes of machines that are proven ours and whose NodeGroup is gone.
const (
	// OrphansReport leaves them alone and tells of them.
	OrphansReport = "Report"
	// OrphansDelete drains and deletes them.
	OrphansDelete = "Delete"
)

const (
	// OrphansConfigMap lists the machines that nobody claims, under a key for each VPSie cluster.
	OrphansConfigMap = "vpsie-autoscaler-orphans"
	// unclaimedMax bounds the machines that are listed for a cluster.
	unclaimedMax = 100
)

// Unclaimed is a listed machine that no object claims and that came after us.
type Unclaimed struct {
	Identifier string    `json:"identifier"`
	Hostname   string    `json:"hostname"`
	Since      time.Time `json:"since"`
	// Proven says that its Node proves it ours.
	Proven bool   `json:"proven"`
	Why    string `json:"why"`
}

// code says why nothing is done about the machine.
func (s Unclaimed) code() reason.Code {
	if s.Proven {
		return reason.AdoptNoGroup
	}
	return reason.AdoptUnproven
}

// orphanReport is what is told of one cluster.
type orphanReport struct {
	Machines []Unclaimed `json:"machines"`
	// Foreign are the workers, by identifier, that were unclaimed in the first listings of all of the cluster. They were there
	// before us and are not told of; nil says that this is not known yet.
	Foreign []string `json:"foreign"`
}

// Namespace is the services' own.
type Namespace string

// Orphans tells of machines that nobody claims: in a ConfigMap, which is written when they change, in a
// metric, in the log and on their Nodes. It is safe for concurrent use, one call at a time for each cluster.
type Orphans struct {
	store     *Store
	namespace string
	gauge     *prometheus.GaugeVec
	events    events.EventRecorder
	log       *slog.Logger

	mu sync.Mutex
	// told is what the ConfigMap says, by cluster; a cluster that is missing was not read yet.
	told map[string]orphanReport
	// seen is when a machine that was told of was last listed, by identifier.
	seen map[string]time.Time
}

// NewOrphans registers the metric and reads nothing yet.
func NewOrphans(store *Store, namespace Namespace, registry prometheus.Registerer, recorder events.EventRecorder, log *slog.Logger) (*Orphans, error) {
	gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vpsie_orphan_machines", Help: "Unclaimed machines that came after the autoscaler, by VPSie cluster and whether a Node proves them ours.",
	}, []string{"cluster", "proven"})
	if err := registry.Register(gauge); err != nil {
		return nil, err
	}
	return &Orphans{store: store, namespace: string(namespace), gauge: gauge, events: recorder, log: log, told: map[string]orphanReport{}, seen: map[string]time.Time{}}, nil
}

// load reads once what was told of a cluster, so that a restart forgets no machine and no date.
func (o *Orphans) load(ctx context.Context, cluster string) error {
	if o.isLoaded(cluster) {
		return nil
	}
	object := &corev1.ConfigMap{}
	if err := o.store.Live.Get(ctx, o.key(), object); ignoreGone(err) != nil {
		return fmt.Errorf("read ConfigMap %s: %w", o.key(), err)
	}
	var s orphanReport
	if text, told := object.Data[cluster]; told {
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			// What can be read of it stands. That nothing was there before us makes too many machines news, and hides none.
			s.Foreign = []string{}
			o.log.WarnContext(ctx, "report of unclaimed machines is partly unreadable; which of them were there before us is unknown", telemetry.KeyCluster, cluster, telemetry.KeyError, err)
		}
	}
	o.remember(cluster, s)
	return nil
}

func (o *Orphans) isLoaded(cluster string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.told[cluster]
	return ok
}

func (o *Orphans) remember(cluster string, s orphanReport) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told[cluster] = s
}

func (o *Orphans) toldOf(cluster string) orphanReport {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.told[cluster]
}

func (o *Orphans) key() client.ObjectKey {
	return client.ObjectKey{Namespace: o.namespace, Name: OrphansConfigMap}
}

// known are the machines of a cluster that nobody claimed, by identifier, as far as they were written down.
func (o *Orphans) known(cluster string) []string {
	told := o.toldOf(cluster)
	known := slices.Clone(told.Foreign)
	for _, s := range told.Machines {
		known = append(known, s.Identifier)
	}
	return known
}

// find returns what was told of a machine.
func (o *Orphans) find(cluster, identifier string) (Unclaimed, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.told[cluster].Machines {
		if s.Identifier == identifier {
			return s, true
		}
	}
	return Unclaimed{}, false
}

// wasBeforeUs reports whether a machine that nobody claims was in the first listings of all of its cluster; known is false until
// those were made. A restart changes nothing about it: a machine of ours whose object and Node were lost meanwhile is told of.
func (o *Orphans) wasBeforeUs(cluster, identifier string) (was, known bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.told[cluster]
	return slices.Contains(s.Foreign, identifier), s.Foreign != nil
}

// unlisted returns the machines that were told of, that a listing at a time lacks, and that nobody claims: a
// listing may lag or leave some out, so they stay told of until they were missing for a while.
func (o *Orphans) unlisted(cluster string, listed []Unclaimed, claimed map[string]bool, at time.Time, patience time.Duration) []Unclaimed {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range listed {
		o.seen[s.Identifier] = at
	}
	var kept []Unclaimed
	for _, s := range o.told[cluster].Machines {
		if claimed[s.Identifier] || slices.ContainsFunc(listed, func(l Unclaimed) bool { return l.Identifier == s.Identifier }) {
			continue
		}
		if o.seen[s.Identifier].IsZero() {
			o.seen[s.Identifier] = at // a restart
		}
		if at.Sub(o.seen[s.Identifier]) < patience {
			kept = append(kept, s)
		} else {
			delete(o.seen, s.Identifier)
		}
	}
	return kept
}

// report tells what changed about the machines of a cluster that nobody claims. What was there before us is kept once
// the first looks have settled it.
func (o *Orphans) report(ctx context.Context, cluster string, machines []Unclaimed, foreign []string, settled bool) error {
	before := o.toldOf(cluster)
	now := orphanReport{Machines: append([]Unclaimed{}, machines[:min(len(machines), unclaimedMax)]...), Foreign: before.Foreign}
	if now.Foreign == nil && settled {
		now.Foreign = append([]string{}, foreign...)
	}
	byProof := map[bool]int{} // of those too that are not listed
	for _, s := range machines {
		byProof[s.Proven]++
	}
	for i := range now.Machines {
		s := &now.Machines[i]
		s.Since = s.Since.UTC().Truncate(time.Second)
		known := slices.IndexFunc(before.Machines, func(old Unclaimed) bool { return old.Identifier == s.Identifier })
		if known >= 0 {
			s.Since = before.Machines[known].Since
			continue
		}
		if err := o.store.Facts.Record(ctx, o.fact(ctx, cluster, *s)); err != nil {
			return err // it is news again in the next pass
		}
		o.tell(ctx, cluster, *s)
	}
	for _, proven := range []bool{true, false} {
		o.gauge.WithLabelValues(cluster, strconv.FormatBool(proven)).Set(float64(byProof[proven]))
	}
	if (before.Foreign == nil) == (now.Foreign == nil) && slices.Equal(before.Machines, now.Machines) {
		return nil
	}
	if err := o.write(ctx, cluster, now); err != nil {
		return err
	}
	o.remember(cluster, now)
	return nil
}

// fact is the record of the decision to leave a machine alone. Its id follows from when the machine was first seen unclaimed, so that a repeat is known
// as one.
func (o *Orphans) fact(ctx context.Context, cluster string, s Unclaimed) facts.Fact {
	return facts.Decision(ctx, "", "", &busv1.DecisionRecord{
		Id: fmt.Sprintf("%s.unclaimed.%d", s.Identifier, s.Since.Unix()), Time: timestamppb.New(o.store.Clock.Now()), Kind: facts.DecisionKind(reason.Adoption),
		Reason: string(s.code()), Message: s.Why, Subject: &busv1.Subject{Kind: "Machine", Name: s.Identifier}, Traceparent: telemetry.Traceparent(ctx),
		Parameters: reason.Values{reason.ParamMachine: s.Identifier, reason.ParamCluster: cluster},
	})
}

// tell says once that a machine is unclaimed.
func (o *Orphans) tell(ctx context.Context, cluster string, s Unclaimed) {
	o.store.Decisions.Count(reason.Adoption, s.code())
	o.log.WarnContext(ctx, "unclaimed machine", telemetry.KeyCluster, cluster, telemetry.KeyMachine, s.Identifier, telemetry.KeyNode, s.Hostname, telemetry.KeyMessage, s.Why)
	node := &corev1.Node{}
	if s.Proven && o.store.Get(ctx, client.ObjectKey{Name: strings.ToLower(s.Hostname)}, node) == nil {
		o.events.Eventf(node, nil, corev1.EventTypeWarning, "OrphanMachine", "Survey", "%s", text.Truncate("no VPSieNode claims machine "+s.Identifier+", and "+s.Why))
	}
}

func (o *Orphans) write(ctx context.Context, cluster string, s orphanReport) error {
	if len(validation.IsConfigMapKey(cluster)) > 0 {
		return nil // a cluster of that name cannot be told of
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the unclaimed machines of cluster %q: %w", cluster, err)
	}
	object := &corev1.ConfigMap{}
	err = o.store.Live.Get(ctx, o.key(), object)
	switch {
	case apierrors.IsNotFound(err):
		object.Namespace, object.Name, object.Data = o.namespace, OrphansConfigMap, map[string]string{cluster: string(text)}
		err = o.store.Create(ctx, object)
	case err == nil:
		base := object.DeepCopy()
		if object.Data == nil {
			object.Data = map[string]string{}
		}
		object.Data[cluster] = string(text)
		err = o.store.Patch(ctx, object, client.MergeFrom(base))
	}
	if err != nil {
		return fmt.Errorf("write ConfigMap %s: %w", o.key(), err)
	}
	return nil
}
