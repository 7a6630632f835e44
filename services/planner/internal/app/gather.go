package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

const (
	describeTimeout = time.Second
	// catalogueAge is how long what a provisioner last said is used while none answers. The
	// provisioner checks every launch again.
	catalogueAge = 2 * time.Minute
)

// errPauseUnreadable says that nobody knows whether a pause is on.
var errPauseUnreadable = errors.New("pause ConfigMap is unreadable")

type target struct{ cluster, datacenter string }

type catalogueEntry struct {
	catalogue fleet.Catalogue
	at        time.Time
}

// gather reads everything a plan depends on. It also returns how soon to plan again because what can
// be launched for some group is not known; zero when it is.
func (p *Planner) gather(ctx context.Context, now time.Time) (scaling.Snapshot, time.Duration, error) {
	state, err := p.feed.State(now)
	if err != nil {
		return scaling.Snapshot{}, 0, err
	}
	p.holdsNot(saidFeed)
	snapshot := translate(state)
	snapshot.Pending, snapshot.Nominating = p.nominator.Amend(snapshot.Pending)
	paused, err := p.brake.State(ctx)
	if err != nil {
		return scaling.Snapshot{}, 0, fmt.Errorf("%w: %w", errPauseUnreadable, err)
	}
	if snapshot.Paused, snapshot.PausedUntil = paused.Message, paused.Until; !paused.Paused {
		p.holdsNot(saidPause)
	}
	// What is gathered is only read; whoever writes copies before.
	groups, err := p.groups(ctx)
	if err != nil {
		return scaling.Snapshot{}, 0, err
	}
	again := time.Duration(0)
	seen := map[target]fleet.Catalogue{}
	for i := range groups {
		group := &groups[i]
		t := target{group.Spec.Cluster.Identifier, group.Spec.Cluster.Datacenter}
		catalogue, ok := seen[t]
		if !ok {
			var reached bool
			catalogue, reached = p.describe(ctx, t, now)
			seen[t] = catalogue
			if !reached {
				again = unreachedRetry
			} else if isUnknown(catalogue) && again == 0 {
				again = unknownRetry
			}
		}
		snapshot.Groups = append(snapshot.Groups, fleet.Group{NodeGroup: group, Catalogue: catalogue})
	}
	snapshot.Machines, err = p.machines(ctx, now)
	return snapshot, again, err
}

// machines are those of the cache, with our own writes over them.
func (p *Planner) machines(ctx context.Context, now time.Time) ([]*v1beta1.VPSieNode, error) {
	cached, err := p.cachedMachines(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.overlay.refresh(ctx, p.live, cached, now); err != nil {
		return nil, err
	}
	return p.overlay.merge(cached, now), nil
}

func (p *Planner) cachedMachines(ctx context.Context) ([]v1beta1.VPSieNode, error) {
	var machines v1beta1.VPSieNodeList
	if err := p.store.List(ctx, &machines, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list VPSieNodes: %w", err)
	}
	return machines.Items, nil
}

// isUnknown reports whether the provisioner is about to find out what can be launched.
func isUnknown(c fleet.Catalogue) bool {
	return (!c.Known || !c.ClusterKnown) && c.Health != fleet.Unauthorized && c.Health != fleet.Unavailable
}

// describe asks what can be launched, and falls back to what was said a short while ago when nobody
// answers.
func (p *Planner) describe(ctx context.Context, t target, now time.Time) (fleet.Catalogue, bool) {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	catalogue, err := p.catalogues.Describe(ctx, t.cluster, t.datacenter)
	subject := saidCatalogue + t.cluster + "/" + t.datacenter
	if err == nil {
		p.said.change(subject, "")
		p.known[t] = catalogueEntry{catalogue, now}
		return catalogue, true
	}
	if p.said.change(subject, err.Error()) {
		p.log.WarnContext(ctx, "catalogue not available from the provisioner", telemetry.KeyCluster, t.cluster, telemetry.KeyError, err)
	}
	entry := p.known[t]
	if entry.at.IsZero() || now.Sub(entry.at) > catalogueAge {
		return fleet.Catalogue{}, false
	}
	return entry.catalogue, false
}

func translate(state *feed.State) scaling.Snapshot {
	return scaling.Snapshot{Snapshot: fleet.Snapshot{
		Revision: state.Revision, Epoch: state.Epoch, Items: state.Items, Daemons: state.DaemonSets, Budgets: state.Budgets, Namespaces: state.Namespaces,
		Nodes: state.Nodes, Pending: state.Pending,
	}}
}

// overlayAge is how long a write of ours stands in for a cache that does not show it before it is read again.
const overlayAge = 30 * time.Second

// overlay is our own writes that the cache may not show yet. Without it a machine that was asked
// for a moment ago would be requested again.
type overlay struct {
	written map[client.ObjectKey]overlayEntry
}

type overlayEntry struct {
	machine *v1beta1.VPSieNode
	at      time.Time
}

func newOverlay() overlay { return overlay{written: map[client.ObjectKey]overlayEntry{}} }

func (o *overlay) add(machine *v1beta1.VPSieNode, now time.Time) {
	o.written[client.ObjectKeyFromObject(machine)] = overlayEntry{machine, now}
}

// refresh reads live the writes of ours that the cache should show by now and does not. A cache that stands
// still would have the same machines requested again and again.
func (o *overlay) refresh(ctx context.Context, live client.Reader, cached []v1beta1.VPSieNode, now time.Time) error {
	shown := make(map[client.ObjectKey]int64, len(cached))
	for i := range cached {
		shown[client.ObjectKeyFromObject(&cached[i])] = cached[i].Generation
	}
	for key, entry := range o.written {
		generation, has := shown[key]
		if now.Sub(entry.at) < overlayAge || has && generation >= entry.machine.Generation {
			continue
		}
		machine := &v1beta1.VPSieNode{}
		switch err := live.Get(ctx, key, machine); {
		case apierrors.IsNotFound(err):
			delete(o.written, key)
		case err != nil:
			return fmt.Errorf("read VPSieNode %s, which the cache does not show: %w", key, err)
		default:
			o.written[key] = overlayEntry{machine, now}
		}
	}
	return nil
}

// merge puts our writes over what the cache holds, where the cache is older. It drops those that refresh should have renewed by now, and none at
// the zero time.
func (o *overlay) merge(cached []v1beta1.VPSieNode, now time.Time) []*v1beta1.VPSieNode {
	out := make([]*v1beta1.VPSieNode, 0, len(cached)+len(o.written))
	have := make(map[client.ObjectKey]bool, len(cached))
	for i := range cached {
		machine := &cached[i]
		key := client.ObjectKeyFromObject(machine)
		have[key] = true
		if entry, ok := o.written[key]; ok {
			if machine.UID == entry.machine.UID && machine.Generation < entry.machine.Generation && now.Sub(entry.at) < overlayAge {
				machine = machine.DeepCopy()
				machine.Spec = entry.machine.Spec
			} else {
				delete(o.written, key)
			}
		}
		out = append(out, machine)
	}
	for key, entry := range o.written {
		if have[key] {
			continue
		}
		if now.Sub(entry.at) >= overlayAge {
			delete(o.written, key)
			continue
		}
		out = append(out, entry.machine)
	}
	return out
}
