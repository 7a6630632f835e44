package paid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/stack"
)

const (
	// readyTimeout bounds the time until every NodeGroup may buy, boundTimeout until every pod is bound.
	readyTimeout = time.Minute
	boundTimeout = 10 * time.Minute
	poll         = 200 * time.Millisecond
	// calmFor is how long nothing may be bought before what is paid counts as final.
	calmFor = 5 * time.Second
)

// Ours runs a case through the whole product. plannerArgs are further flags of the planner.
func Ours(ctx context.Context, c Case, log io.Writer, plannerArgs ...string) (Row, error) {
	dir, err := os.MkdirTemp("", "vpsie-paid-")
	if err != nil {
		return Row{}, err
	}
	if os.Getenv("PAID_KEEP") == "" {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	seedFile := filepath.Join(dir, "seed.json")
	if err := writeSeed(seedFile, c.Workload.Types); err != nil {
		return Row{}, err
	}
	s, err := stack.Start(ctx, stack.Options{
		Dir: filepath.Join(dir, "stack"), Log: log,
		SimArgs: []string{"--seed-file=" + seedFile, fmt.Sprintf("--worker-cap=%d", nodesMax)},
		ServiceArgs: map[string][]string{
			stack.Provisioner: {"--vpsie-requests-per-minute=6000", "--vpsie-burst=100"},
			stack.Planner:     plannerArgs,
		},
	})
	if err != nil {
		return Row{}, err
	}
	row, err := ours(ctx, c, s)
	if err == nil {
		err = s.Err()
	}
	return row, errors.Join(err, s.Stop())
}

func ours(ctx context.Context, c Case, s *stack.Stack) (Row, error) {
	for _, g := range groups(c.Workload.Types) {
		if err := s.Client.Create(ctx, g); err != nil {
			return Row{}, fmt.Errorf("create NodeGroup %s: %w", g.Name, err)
		}
	}
	if err := until(ctx, readyTimeout, "every NodeGroup is Ready", func() (bool, error) { return allReady(ctx, s.Client) }); err != nil {
		return Row{}, err
	}
	// The harness takes its share of the processors; protobuf keeps it small.
	config := s.RESTConfig()
	config.ContentType = runtime.ContentTypeProtobuf
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return Row{}, fmt.Errorf("make client: %w", err)
	}
	f, err := follow(ctx, kube)
	if err != nil {
		return Row{}, err
	}
	first, last, err := create(ctx, kube, c.Workload.Pods, c.Over)
	if err != nil {
		return Row{}, err
	}
	if err := until(ctx, boundTimeout, "every pod is bound", func() (bool, error) { return f.tally().bound == len(c.Workload.Pods), s.Err() }); err != nil {
		return Row{}, err
	}
	row := Row{Case: c}
	bought, since := -1, time.Now()
	err = until(ctx, boundTimeout, "nothing is bought any more", func() (bool, error) {
		truth, err := s.Sim.Truth(ctx)
		if err != nil {
			return false, err
		}
		if truth.Counts.Bought != bought {
			bought, since = truth.Counts.Bought, time.Now()
		}
		row.PaidHour, row.Machines, row.FirstRequest = 0, 0, 0
		for _, m := range truth.Machines {
			if m.Foreign || m.Role != "slave" || !m.GoneAt.IsZero() {
				continue
			}
			row.PaidHour += float64(m.PricePerHour) / microsPerDollar
			row.Machines++
			if wait := m.RequestedAt.Sub(first); row.FirstRequest == 0 || wait < row.FirstRequest {
				row.FirstRequest = wait
			}
		}
		return time.Since(since) > calmFor, nil
	})
	if text, err := s.Service(stack.Planner).Metrics(ctx); err == nil {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "vpsie_nominations_total") {
				fmt.Fprint(os.Stderr, line)
			}
		}
	}
	t := f.tally()
	row.AllBound, row.Nominated, row.Followed = t.lastBound.Sub(first), t.nominated, t.followed
	row.Decisions, row.Late = decisions(s.Decisions(), last)
	return row, err
}

const microsPerDollar = 1_000_000

// decisions counts the plans that bought, and those of them that were made after the last pod was there.
func decisions(records []*busv1.DecisionRecord, last time.Time) (all, late int) {
	seen := map[uint64]bool{}
	for _, r := range records {
		if r.GetKind() != busv1.DecisionKind_DECISION_KIND_SCALE_UP || seen[r.GetInputRevision()] {
			continue
		}
		seen[r.GetInputRevision()] = true
		all++
		if r.GetTime().AsTime().After(last) {
			late++
		}
	}
	return all, late
}

func allReady(ctx context.Context, c client.Client) (bool, error) {
	var list v1beta1.NodeGroupList
	if err := c.List(ctx, &list); err != nil {
		return false, fmt.Errorf("list NodeGroups: %w", err)
	}
	for i := range list.Items {
		if !meta.IsStatusConditionTrue(list.Items[i].Status.Conditions, v1beta1.ConditionReady) {
			return false, nil
		}
	}
	return len(list.Items) == len(zones), nil
}

// until polls a condition; the error says what did not become so.
func until(ctx context.Context, timeout time.Duration, what string, is func() (bool, error)) error {
	end := time.Now().Add(timeout)
	for {
		done, err := is()
		if done || err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("after %s it is not so that %s", timeout, what)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(poll):
		}
	}
}
