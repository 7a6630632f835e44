package performance_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/evacuation"
)

// What the cluster to evacuate is like: nodes run podsPerNode pods of 40 deployments, which take two fifths of them.
const (
	evacuateDeployments = 40
	podsPerNode         = 30
	nodeMilliCPU        = 7500
	nodeMemory          = 32 << 30
)

// BenchmarkEvacuate tries to empty every node of a cluster, the emptiest first, as retiring nodes does.
func BenchmarkEvacuate(b *testing.B) {
	for _, nodes := range []int{1000, 5000} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			c := loosePacked(nodes)
			removed := 0
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				state, order := stateOf(c)
				b.StartTimer()
				removed = evacuate(state, order)
			}
			b.ReportMetric(float64(removed), "removable")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*nodes), "µs/node")
		})
	}
}

// Half of a cluster that is two fifths full can go, and what is left still runs every pod.
func TestEvacuateEmptiesHalfOfTheNodes(t *testing.T) {
	const nodes = 200
	c := loosePacked(nodes)
	state, order := stateOf(c)
	removed := evacuate(state, order)
	if removed < nodes/2 || removed >= nodes {
		t.Errorf("%d of %d nodes can go, want half of them or more", removed, nodes)
	}
	for id, item := range c.Items {
		before, after := 0, 0
		for i, n := range c.Nodes {
			before += n.Pods[id]
			after += state.Count(item, i)
		}
		if before != after {
			t.Errorf("%d pods of %s remain of %d", after, id, before)
		}
	}
}

// evacuate returns how many nodes can go, each after those before it.
func evacuate(state *scheduling.State, order []int) int {
	e, removed := evacuation.New(state, order), 0
	for _, node := range order {
		if _, ok := e.Remove(node, func(*scheduling.Item) bool { return true }); ok {
			removed++
		}
	}
	return removed
}

// stateOf starts a simulation and lists the nodes, the emptiest first.
func stateOf(c scheduling.Cluster) (*scheduling.State, []int) {
	order, use := make([]int, len(c.Nodes)), make([]int64, len(c.Nodes))
	for i, n := range c.Nodes {
		requests := scheduling.Resources{}
		for id, count := range n.Pods {
			requests.Add(c.Items[id].Shape.Requests, int64(count))
		}
		order[i], use[i] = i, scheduling.Utilization(requests, n.Allocatable)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(use[a], use[b]) })
	return scheduling.NewState(c), order
}

// loosePacked makes a cluster in which every pod keeps its rules. Of the deployments, a tenth each is spread over zones and
// spread over nodes, and a twentieth is one a node at most and runs on every third node.
func loosePacked(nodes int) scheduling.Cluster {
	random := rand.New(rand.NewPCG(seed, 1))
	c := scheduling.Cluster{Items: map[scheduling.ShapeID]*scheduling.Item{}}
	var ids []scheduling.ShapeID
	for i := range evacuateDeployments {
		item := evacuateItem(i, random)
		c.Items[item.ID], ids = item, append(ids, item.ID)
	}
	for i := range nodes {
		name := fmt.Sprintf("n-%d", i)
		n := &scheduling.Node{
			Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelTopologyZone: fmt.Sprintf("z%d", i%3)},
			Allocatable: scheduling.Resources{corev1.ResourceCPU: nodeMilliCPU, corev1.ResourceMemory: nodeMemory, corev1.ResourcePods: 110},
			Pods:        map[scheduling.ShapeID]int{},
		}
		for d := range 10 { // one pod each of the deployments with rules
			if !isApart(d) || i%3 == d%3 {
				n.Pods[ids[d]] = 1
			}
		}
		for pods := len(n.Pods); pods < podsPerNode; pods++ {
			n.Pods[ids[10+random.IntN(evacuateDeployments-10)]]++
		}
		c.Nodes = append(c.Nodes, n)
	}
	return c
}

func isApart(deployment int) bool { return deployment >= 8 && deployment < 10 }

func evacuateItem(deployment int, random *rand.Rand) *scheduling.Item {
	app := map[string]string{"app": fmt.Sprint(deployment)}
	own := &metav1.LabelSelector{MatchLabels: app}
	shape := &scheduling.Shape{
		Namespace: "default", OwnerKind: "ReplicaSet", Labels: app,
		Requests: scheduling.Resources{
			corev1.ResourceCPU: int64(50 * (1 + random.IntN(3))), corev1.ResourceMemory: int64(192*(1+random.IntN(3))) << 20, corev1.ResourcePods: 1,
		},
	}
	spread := func(key string) {
		shape.Spread = []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: key, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: own}}
	}
	switch {
	case deployment < 4:
		spread(corev1.LabelTopologyZone)
	case deployment < 8:
		spread(corev1.LabelHostname)
	case isApart(deployment):
		shape.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
			{TopologyKey: corev1.LabelHostname, LabelSelector: own},
		}}}
	}
	return scheduling.NewItem(scheduling.ShapeID(fmt.Sprintf("s-%02d", deployment)), shape)
}
