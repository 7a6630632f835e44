package paid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// Ours runs a case through the whole product. plannerArgs are further flags of the planner.
func Ours(ctx context.Context, c Case, log io.Writer, plannerArgs ...string) (Row, error) {
	dir, err := os.MkdirTemp("", "vpsie-paid-")
	if err != nil {
		return Row{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
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
	config := s.RESTConfig()
	config.ContentType = runtime.ContentTypeProtobuf
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return Row{}, fmt.Errorf("make client: %w", err)
	}
	row, last, err := bind(ctx, c, kube, s.Err)
	if err != nil {
		return Row{}, err
	}
	if err := await(ctx, &row, func(row *Row) (int, error) {
		truth, err := s.Sim.Truth(ctx)
		if err != nil {
			return 0, err
		}
		weCost(row, truth)
		return truth.Counts.Launched, nil
	}); err != nil {
		return Row{}, err
	}
	row.Decisions, row.Late = decisions(s.Decisions(), last)
	return row, nil
}

const microsPerDollar = 1_000_000

// weCost adds the prices of the machines up that the simulated cloud bills.
func weCost(row *Row, truth vpsiesim.Truth) {
	row.PaidHour, row.Machines, row.FirstRequest = 0, 0, 0
	for _, m := range truth.Machines {
		if m.Foreign || m.Role != vpsiesim.RoleSlave || !m.GoneAt.IsZero() {
			continue
		}
		row.PaidHour += float64(m.PricePerHour) / microsPerDollar
		row.Machines++
		if wait := m.RequestedAt.Sub(row.began); row.FirstRequest == 0 || wait < row.FirstRequest {
			row.FirstRequest = wait
		}
	}
}

// decisions counts the plans that launched, and those of them that were made after the last pod was there.
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
