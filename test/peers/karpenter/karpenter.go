// Package karpenter plans with Karpenter's own scheduler, used as a library in the way of its own benchmark
// (scheduling_benchmark_test.go): an empty cluster, one NodePool, a fake client and one Solve.
package karpenter

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	fakeclient "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/log"
	v1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
	"sigs.k8s.io/karpenter/pkg/cloudprovider/fake"
	"sigs.k8s.io/karpenter/pkg/controllers/provisioning/scheduling"
	"sigs.k8s.io/karpenter/pkg/controllers/state"
	"sigs.k8s.io/karpenter/pkg/events"
	"sigs.k8s.io/karpenter/pkg/operator/injection"
	"sigs.k8s.io/karpenter/pkg/operator/logging"
	"sigs.k8s.io/karpenter/pkg/operator/options"
	"sigs.k8s.io/karpenter/pkg/test"

	engine "github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/test/peers/plan"
)

// workers is how many goroutines look for room for a pod, as in Karpenter's benchmark and by its default requests.
const workers = 5

// Preferences says what Karpenter does with what pods only prefer.
type Preferences int

const (
	// Respected makes each preference a requirement until it cannot be met; Karpenter's default.
	Respected Preferences = iota
	// Ignored drops all preferences.
	Ignored
)

// String says what happens to preferences.
func (p Preferences) String() string {
	if p == Ignored {
		return "ignored"
	}
	return "respected"
}

// Plan has Karpenter plan machines for pods. Neither is changed. As in Karpenter's benchmark, setting the
// scheduler up is not part of the time. Plans and their cost vary from run to run, since workers race.
func Plan(ctx context.Context, pods []*corev1.Pod, types []*cloudprovider.InstanceType, preferences Preferences) (plan.Plan, error) {
	if err := checkUIDs(pods); err != nil {
		return plan.Plan{}, err
	}
	log.SetLogger(logging.NopLogger)
	ctx = options.ToContext(injection.WithControllerName(ctx, "provisioner"), test.Options())
	opts := []scheduling.Options{scheduling.NumConcurrentReconciles(workers)}
	if preferences == Ignored {
		opts = append(opts, scheduling.IgnorePreferences)
	}
	own := make([]*corev1.Pod, 0, len(pods))
	for _, pod := range pods {
		own = append(own, pod.DeepCopy())
	}
	scheduler, err := newScheduler(ctx, own, types, opts)
	if err != nil {
		return plan.Plan{}, err
	}
	start := time.Now()
	results, err := scheduler.Solve(ctx, own)
	took := time.Since(start)
	if err != nil {
		return plan.Plan{}, fmt.Errorf("solve for %d pods: %w", len(pods), err)
	}
	out := plan.Plan{Took: took, Left: len(results.PodErrors)}
	for i, claim := range results.NewNodeClaims {
		machine, err := cheapest(claim)
		if err != nil {
			return plan.Plan{}, fmt.Errorf("node claim %d: %w", i, err)
		}
		out.Machines = append(out.Machines, machine)
	}
	if n := out.Served() + out.Left; n != len(pods) {
		return plan.Plan{}, fmt.Errorf("solve for %d pods: %d are on node claims and %d have errors: they must add up", len(pods), out.Served(), out.Left)
	}
	return out, nil
}

// checkUIDs finds pods that Karpenter, which knows pods by their UID, would take for one.
func checkUIDs(pods []*corev1.Pod) error {
	seen := make(map[types.UID]bool, len(pods))
	for _, pod := range pods {
		if pod.UID == "" || seen[pod.UID] {
			return fmt.Errorf("pod %s/%s has UID %q: give each pod one of its own", pod.Namespace, pod.Name, pod.UID)
		}
		seen[pod.UID] = true
	}
	return nil
}

// newScheduler makes a scheduler for one Solve: a second one would start from what the first left behind.
func newScheduler(ctx context.Context, pods []*corev1.Pod, types []*cloudprovider.InstanceType, opts []scheduling.Options) (*scheduling.Scheduler, error) {
	pool := test.NodePool(v1.NodePool{
		ObjectMeta: metav1.ObjectMeta{Name: "peers"},
		// The pool of Karpenter's tests stops at 2,000 cores, which is too few for the larger workloads.
		Spec: v1.NodePoolSpec{Limits: v1.Limits{
			corev1.ResourceCPU:    resource.MustParse("10000000"),
			corev1.ResourceMemory: resource.MustParse("10000000Gi"),
		}},
	})
	pools, catalogue := []*v1.NodePool{pool}, map[string][]*cloudprovider.InstanceType{pool.Name: types}
	provider := fake.NewCloudProvider()
	provider.InstanceTypes = types
	client, clock := fakeclient.NewFakeClient(), &clock.RealClock{}
	cluster := state.NewCluster(clock, client, provider)
	topology, err := scheduling.NewTopology(ctx, client, cluster, nil, pools, catalogue, pods, opts...)
	if err != nil {
		return nil, fmt.Errorf("make the topology of %d pods: %w", len(pods), err)
	}
	return scheduling.NewScheduler(ctx, client, pools, cluster, nil, topology, catalogue, nil,
		events.NewRecorder(&record.FakeRecorder{}), clock, nil, nil, opts...), nil
}

// cheapest is the machine that a cloud would launch for a claim: of the types that remain possible, the one
// whose cheapest offering in a zone that the claim allows costs least.
func cheapest(claim *scheduling.NodeClaim) (plan.Machine, error) {
	ordered := slices.Clone(claim.InstanceTypeOptions).OrderByPrice(claim.Requirements)
	if len(ordered) == 0 {
		return plan.Machine{}, fmt.Errorf("no type remains for its %d pods", len(claim.Pods))
	}
	offerings := ordered[0].Offerings.Available().Compatible(claim.Requirements)
	if len(offerings) == 0 {
		return plan.Machine{}, fmt.Errorf("type %s is not offered where its %d pods may run", ordered[0].Name, len(claim.Pods))
	}
	offering := offerings.Cheapest()
	out := plan.Machine{
		Type: ordered[0].Name, Zone: offering.Zone(), PriceHour: offering.Price,
		Size: engine.ResourcesOf(ordered[0].Capacity), Used: engine.Resources{}, Pods: len(claim.Pods),
	}
	for _, pod := range claim.Pods {
		shape := engine.ShapeOf(pod, engine.PodContext{})
		out.Used.Add(shape.Requests, 1)
	}
	return out, nil
}
