package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

// standStill says that no plan can be made because what it needs cannot be read. What machines carry is put on record all the same, by
// whoever leads or believes to: a record keeps its id, by which a repeat is known, and is taken off a machine once it is on record only.
func (p *Planner) standStill(ctx context.Context, err error, now time.Time) {
	var held scaling.Refusal
	switch {
	case errors.Is(err, feed.ErrStale):
		p.memory = p.memory.Blind() // time that was not watched does not count
		held = p.hold(ctx, saidFeed, scaling.Refusal{Code: reason.HoldFeedStale, Message: "planning is on hold until the observer's feed is current; check the observer"}, err)
	case errors.Is(err, errPauseUnreadable):
		held = p.hold(ctx, saidPause, scaling.Refusal{Code: reason.HoldPauseUnreadable, Message: "planning is on hold because it is unknown whether a pause is on; check that the planner can read the pause ConfigMap"}, err)
	case errors.Is(ctx.Err(), context.Canceled):
		return // the process ends
	default:
		held = p.hold(ctx, saidObjects, scaling.Refusal{Code: reason.HoldObjectsUnreadable, Message: "planning is on hold because NodeGroups or VPSieNodes cannot be read; check the planner's rights and the API server"}, err)
	}
	p.explanations.hold(held)
	if p.heldSince.IsZero() {
		p.heldSince = now
	}
	if now.Sub(p.heldSince) >= blindTold {
		p.showHold(ctx, held)
	}
	cached, err := p.cachedMachines(ctx)
	if err != nil {
		p.log.WarnContext(ctx, "records that machines carry not found; this is repeated", telemetry.KeyError, err)
		return
	}
	p.resumeRecords(ctx, p.overlay.merge(cached, time.Time{}))
}

// showHold shows in the status of every group that nothing is decided.
func (p *Planner) showHold(ctx context.Context, held scaling.Refusal) {
	groups, err := p.groups(ctx)
	if err != nil {
		p.log.WarnContext(ctx, "hold not shown in NodeGroups; this is repeated", telemetry.KeyError, err)
		return
	}
	for i := range groups {
		p.gate.hold(&groups[i], held, !p.unrecorded)
	}
}

// groups are those of the cache, which are only read.
func (p *Planner) groups(ctx context.Context) ([]v1beta1.NodeGroup, error) {
	var groups v1beta1.NodeGroupList
	if err := p.store.List(ctx, &groups, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list NodeGroups: %w", err)
	}
	return groups.Items, nil
}

// hold says once on record of each group, or of the cluster while there is none, that nothing is decided, and why, with the error that is the cause.
// What it returns is without that, so that it stays the same.
func (p *Planner) hold(ctx context.Context, subject string, held scaling.Refusal, cause error) scaling.Refusal {
	groups, err := p.groups(ctx)
	if err != nil {
		p.log.WarnContext(ctx, "hold not put on record; this is repeated", telemetry.KeyError, err)
		return held
	}
	records := []*busv1.DecisionRecord{holdRecord(held, "")}
	if len(groups) > 0 {
		records = records[:0]
	}
	for i := range groups {
		records = append(records, holdRecord(held, groups[i].Namespace+"/"+groups[i].Name))
	}
	for _, record := range records {
		if !p.said.change(subject+record.GetNodeGroup(), string(held.Code)) {
			continue
		}
		if cause != nil {
			record.Message += ": " + cause.Error()
		}
		p.record(ctx, subject+record.GetNodeGroup(), record)
	}
	return held
}

// holdsNot forgets a hold that has ended, so that the next one is news.
func (p *Planner) holdsNot(subject string) { p.said.keep(subject, nil) }
