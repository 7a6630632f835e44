package simulation_test

import (
	"strconv"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet/fleettest"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet/simulation"
)

var noon = fleettest.Noon

const (
	smallID = fleettest.SmallID
	gpu     = "example.com/gpu"
)

var (
	group     = fleettest.Group
	offerings = fleettest.Offerings
)

// world is a snapshot that is built up piece by piece.
type world struct {
	fleet.Snapshot
	fleettest.World
}

func newWorld(groups ...*v1beta1.NodeGroup) *world {
	w := &world{}
	w.World = fleettest.NewWorld(&w.Snapshot, groups...)
	return w
}

func (w *world) cluster(learned map[simulation.Kind]simulation.Learned) *simulation.Cluster {
	return simulation.New(w.Snapshot, simulation.Policy{PriorityCutoff: -10, Nominate: true}, learned, noon)
}

// canGo reports whether the pods of a node fit elsewhere.
func (w *world) canGo(node string) bool {
	_, ok := w.cluster(nil).Evacuate().Remove(w.Nodes[node])
	return ok
}

func (w *world) launches(t *testing.T) int { return w.launchesAfter(t, nil) }

// launchesAfter is how many small machines the pending pods of one shape need besides the nodes that are there.
func (w *world) launchesAfter(t *testing.T, learned map[simulation.Kind]simulation.Learned) int {
	t.Helper()
	if len(w.Pending) != 1 {
		t.Fatalf("%d shapes are pending, want one", len(w.Pending))
	}
	c := w.cluster(learned)
	empty := c.Option(c.Groups[0], c.Groups[0].Catalogue.Find(smallID)).Empty
	launches := 0
	for id, pending := range w.Pending {
		left := pending.Count
		for _, node := range c.Existing {
			left -= c.State.PlaceUpTo(w.Items[id], node, left)
		}
		for ; left > 0 && c.State.CheckNew(w.Items[id], empty).OK(); launches++ {
			n := *empty
			n.Name += strconv.Itoa(launches)
			left -= c.State.PlaceUpTo(w.Items[id], c.State.AddNode(&n), left)
		}
	}
	return launches
}
