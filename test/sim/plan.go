package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

const (
	// longRun is a length beyond which a run renews its Leases, looks at the cloud and the cluster, and plans less often.
	longRun = 24 * time.Hour
	// fullLength is how long workloads and faults come and go in a seed.
	fullLength = 50 * time.Minute
	workerCap  = 200
	// foreignSize is a size that no group launches: while a machine is requested, another of its size that a person adds cannot be told from it.
	foreignSize = 31
)

// plan is everything that a run depends on.
type plan struct {
	seed          uint64
	length        time.Duration
	leaseDuration time.Duration
	orphanPolicy  string
	clusterPoll   time.Duration
	planInterval  time.Duration
	// lookEvery is how often the cluster's controllers look when nothing changed: for what time alone brings about.
	lookEvery time.Duration
	switches  vpsiesim.Switches
	catalogue vpsiesim.Seed
	groups    []v1beta1.NodeGroup
	loads     []*workload
	waves     []wave
	faults    []occurrence
	// replacements are the machines that a rebalancer replaces.
	replacements []replacement
	// livesMin is how many machines come and go at least.
	livesMin int
	// promptInvariant is the one that intents break which are not acted on soon, empty for promptness to say.
	promptInvariant string
	// ownFaults are faults that are drawn in no other plan.
	ownFaults []fault
	// afterFaults is what else people do when all faults are over, nil for nothing.
	afterFaults func(w *world)
	// crash is where the first process of a service dies, nil for nowhere.
	crash *crashPoint
}

// crashPoint is a call of a process, counted from its start, at which it dies.
type crashPoint struct {
	service string
	call    int // 0 for none
	after   bool
}

// wave sets how many pods a workload wants.
type wave struct {
	at       time.Duration
	load     int
	replicas int
}

// groupSizes are the sizes that the groups launch.
var groupSizes = []int64{21, 22, 23, 41}

// makePlan draws a run from a seed.
func makePlan(seed uint64, length time.Duration) plan {
	dice := rand.New(rand.NewPCG(seed, 1))
	p := plan{seed: seed, length: length, livesMin: 10, leaseDuration: 2 * time.Minute, orphanPolicy: "Report", clusterPoll: 45 * time.Second, planInterval: 30 * time.Second, lookEvery: 10 * time.Second, switches: vpsiesim.DefaultSwitches(), catalogue: vpsiesim.DefaultSeed()}
	if dice.IntN(2) == 0 {
		p.orphanPolicy = "Delete"
	}
	if length > longRun {
		p.leaseDuration, p.clusterPoll, p.planInterval, p.lookEvery = 10*time.Minute, 5*time.Minute, time.Minute, 20*time.Second
	}
	s := &p.switches
	s.WorkerCap = workerCap
	s.ListDelay, s.BootDelay = vpsiesim.Duration(between(dice, time.Second, 15*time.Second)), vpsiesim.Duration(between(dice, 5*time.Second, 90*time.Second))
	s.DeleteDelay, s.Latency, s.LatencyJitter = vpsiesim.Duration(between(dice, 0, 30*time.Second)), vpsiesim.Duration(50*time.Millisecond), vpsiesim.Duration(100*time.Millisecond)
	s.NodeFields = []string{"union", "split"}[dice.IntN(2)]
	for range dice.IntN(3) {
		sizes := append(slices.Clone(groupSizes), foreignSize)
		p.catalogue.Clusters[0].Workers = append(p.catalogue.Clusters[0].Workers, vpsiesim.SeedWorkers{SizeID: int(sizes[dice.IntN(len(sizes))]), Count: 1})
	}
	p.drawGroups(dice)
	p.drawLoads(dice)
	p.drawFaults(dice)
	p.drawReplacements()
	return p
}

func (p *plan) drawGroups(dice *rand.Rand) {
	for i := range 1 + dice.IntN(2) {
		g := v1beta1.NodeGroup{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: fmt.Sprintf("group-%d", i)}}
		g.Spec.MaxNodes = int32(12 + dice.IntN(10))
		if i == 0 && dice.IntN(3) == 0 {
			g.Spec.MinNodes = int32(1 + dice.IntN(2))
		}
		g.Spec.Cluster = v1beta1.ClusterReference{Identifier: vpsiesim.DefaultCluster, Datacenter: vpsiesim.DefaultDatacenter}
		g.Spec.Offerings = groupSizes[:2+dice.IntN(len(groupSizes)-1)]
		g.Spec.ScaleDown.UnneededFor = &metav1.Duration{Duration: between(dice, time.Minute, 4*time.Minute).Round(time.Second)}
		g.Spec.ScaleDown.UnreadyFor = &metav1.Duration{Duration: between(dice, 3*time.Minute, 10*time.Minute).Round(time.Second)}
		g.Spec.ScaleDown.DrainTimeout = &metav1.Duration{Duration: between(dice, 2*time.Minute, 6*time.Minute).Round(time.Second)}
		if i == 1 {
			g.Spec.Template.Labels = map[string]string{dedicatedLabel: "true"}
			g.Spec.Template.Taints = []corev1.Taint{{Key: dedicatedLabel, Value: "true", Effect: corev1.TaintEffectNoSchedule}}
		}
		p.groups = append(p.groups, g)
	}
}

// drawLoads makes workloads that come and go in waves, each of which needs a few machines.
func (p *plan) drawLoads(dice *rand.Rand) {
	for i := range 2 {
		load := &workload{name: fmt.Sprintf("load-%d", i), milliCPU: int64(600 + 100*dice.IntN(9)), memoryMi: int64(200 + 100*dice.IntN(8)), keep: -1}
		switch dice.IntN(5) {
		case 0:
			load.keep = 1
		case 1:
			load.protected = dice.IntN(2) == 0
		}
		load.dedicated = len(p.groups) > 1 && i%2 == 1
		p.loads = append(p.loads, load)
	}
	// In a long run workloads come and go less often.
	pace := max(1, p.length/(2*time.Hour))
	for i := range p.loads {
		at := between(dice, 0, 3*time.Minute)
		for at < p.length-8*time.Minute {
			p.waves = append(p.waves, wave{at, i, 2 + dice.IntN(5)})
			at += pace * between(dice, 6*time.Minute, 12*time.Minute)
			p.waves = append(p.waves, wave{at, i, dice.IntN(2)})
			at += pace * between(dice, 12*time.Minute, 24*time.Minute)
		}
	}
}

func (p *plan) drawFaults(dice *rand.Rand) {
	names := faultNames()
	for range dice.IntN(7) + int(p.length/(10*time.Hour)) {
		most := 15 * time.Minute
		switch {
		case p.length > longRun && dice.IntN(4) == 0:
			most = longRun
		case dice.IntN(10) == 0:
			most = p.length
		}
		p.faults = append(p.faults, occurrence{
			fault: names[dice.IntN(len(names))], at: between(dice, time.Minute, p.length-10*time.Minute), length: between(dice, 30*time.Second, most),
		})
	}
}

func (p *plan) maximum(group string) int32 {
	for i := range p.groups {
		if p.groups[i].Name == group {
			return p.groups[i].Spec.MaxNodes
		}
	}
	return 0
}

func (p *plan) someOfferIDs(dice *rand.Rand) []int {
	var some []int
	for _, id := range groupSizes {
		if dice.IntN(2) == 0 {
			some = append(some, int(id))
		}
	}
	return some
}

func (p *plan) someOffers(dice *rand.Rand) []string {
	some := []string{}
	for _, id := range p.someOfferIDs(dice) {
		some = append(some, strconv.Itoa(id))
	}
	return some
}

func (p *plan) sortedWaves() []wave {
	waves := slices.Clone(p.waves)
	slices.SortStableFunc(waves, func(a, b wave) int { return cmp.Compare(a.at, b.at) })
	return waves
}
