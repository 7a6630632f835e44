package app_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/brake"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/kube"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/app"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

// fixture is the planner on a Kubernetes in memory and a feed that the test writes. It runs inside a
// synctest bubble, so time passes only when everybody waits.
type fixture struct {
	t        *testing.T
	planner  *app.Planner
	statuses *app.StatusWriter
	// explanations answer what the planner planned last.
	explanations *app.Explanations
	kube         client.Client
	// metrics are those of the newest planner.
	metrics *prometheus.Registry

	mu        sync.Mutex
	state     *feed.State
	stale     error
	catalogue fleet.Catalogue
	away      error
	// unknownCluster is the identifier of a cluster for which Describe fails.
	unknownCluster string
	log            []string
	announced      []proto.Message
	records        []*busv1.DecisionRecord
	// carriers are the objects that carried records, and full says that there is no room for more that is not carried.
	carriers []client.ObjectKey
	full     bool
	// stuck has records and what waits for them stay on their way, which is what underway has.
	stuck    bool
	underway []func()
	// displaced are the ids of records for which machines had no room any more.
	displaced []string
	// taken says that another took the last room for a record, and events have room again.
	taken bool
	// refuse is how many objects are refused that are to be created.
	refuse      int
	events      []string
	nominations []scaling.Nomination
	// standing are nominations of pods, by UID, that the feed does not show.
	standing map[string]string
	// lag keeps objects that are created out of what the planner lists, as a slow cache does.
	lag    bool
	writes int
	// unclear loses the answers to creations, and says whether they are carried out.
	unclear *bool
	// cached is what the planner lists of machines while it is not nil. unclearPatch loses the answers to patches of them, and says
	// whether they are carried out.
	cached       *v1beta1.VPSieNodeList
	unclearPatch *bool
	// slowPatch is how long the answer to a patch takes.
	slowPatch time.Duration
	// slow is how long a write of a status takes, and lost loses the answers to such writes.
	slow time.Duration
	lost bool
	// unreadable fails the read of the switch that pauses everything.
	unreadable error
	// denied fails the live read of a machine.
	denied error
	// elected is the number of the planner that leads, which is the newest; with both, every planner believes that it does.
	elected int
	both    bool
}

// leader is a planner's view of its leadership.
type leader struct {
	f      *fixture
	number int
}

func (l leader) Until(context.Context) (time.Time, error) {
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	if !l.f.both && l.number != l.f.elected {
		return time.Time{}, errors.New("another planner leads")
	}
	return time.Now().Add(10 * time.Second), nil
}

func (f *fixture) State(time.Time) (*feed.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state, f.stale
}

func (f *fixture) Describe(_ context.Context, cluster, _ string) (fleet.Catalogue, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cluster == f.unknownCluster {
		return fleet.Catalogue{}, errors.New("describe cluster " + cluster + ": connection refused")
	}
	return f.catalogue, f.away
}

// Write keeps a line of the planner's log.
func (f *fixture) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, string(line))
	return len(line), nil
}

func (f *fixture) Publish(_ context.Context, _ bus.Topic, _, _, _ string, m proto.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.announced = append(f.announced, m)
	return nil
}

func (f *fixture) Record(fact facts.Fact, told func()) bool {
	f.mu.Lock()
	full := f.full || f.taken
	f.mu.Unlock()
	return !full && f.arrive(func() {
		f.mu.Lock()
		f.keep(fact.Message.(*busv1.DecisionRecord))
		f.mu.Unlock()
		told()
	})
}

// arrive does something when what was taken before is on record.
func (f *fixture) arrive(then func()) bool {
	f.mu.Lock()
	if f.stuck {
		f.underway = append(f.underway, then)
		f.mu.Unlock()
		return true
	}
	f.mu.Unlock()
	then()
	return true
}

// unstick has all arrive that is on its way.
func (f *fixture) unstick() {
	f.mu.Lock()
	underway := f.underway
	f.stuck, f.underway = false, nil
	f.mu.Unlock()
	for _, then := range underway {
		then()
	}
}

// cutoff is the planner's --priority-cutoff.
const cutoff = -20

// keep keeps a record, which must be complete.
func (f *fixture) keep(r *busv1.DecisionRecord) {
	f.records = append(f.records, r)
	produced.Add(reason.Code(r.GetReason()))
	if err := facts.Check(r); err != nil {
		f.t.Errorf("record %v: %v", r, err)
	}
}

func (f *fixture) Tell(told func()) bool {
	f.mu.Lock()
	full := f.full
	f.mu.Unlock()
	return !full && f.arrive(told)
}

func (f *fixture) Carried(fact facts.Fact, carriers ...client.ObjectKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	record := fact.Message.(*busv1.DecisionRecord)
	if !slices.ContainsFunc(f.records, func(r *busv1.DecisionRecord) bool { return r.GetId() == record.GetId() }) {
		f.keep(record)
	}
	f.carriers = append(f.carriers, carriers...)
}

func (f *fixture) Displace(_ context.Context, displaced ...facts.Fact) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fact := range displaced {
		f.displaced = append(f.displaced, fact.ID)
	}
}

func (f *fixture) Want(nominations []scaling.Nomination) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nominations = nominations
}

func (f *fixture) Amend(pending map[scheduling.ShapeID]*scheduling.Pending) (map[scheduling.ShapeID]*scheduling.Pending, map[string]bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	amended := map[scheduling.ShapeID]*scheduling.Pending{}
	for id, pods := range pending {
		pods = new(*pods)
		pods.Sample = slices.Clone(pods.Sample)
		for i := range pods.Sample {
			pods.Sample[i].NominatedNode = f.standing[pods.Sample[i].UID]
		}
		amended[id] = pods
	}
	return amended, nil
}

func (f *fixture) Eventf(regarding, _ runtime.Object, _, reason, _, note string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := ""
	if o, ok := regarding.(client.Object); ok {
		name = o.GetName()
	}
	f.events = append(f.events, name+" "+reason+": "+fmt.Sprintf(note, args...))
}

func newFixture(t *testing.T, objects ...client.Object) *fixture {
	t.Helper()
	scheme, err := kube.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, state: &feed.State{Revision: 1, Items: map[scheduling.ShapeID]*scheduling.Item{}, Pending: map[scheduling.ShapeID]*scheduling.Pending{}}}
	f.catalogue = fleet.Catalogue{
		Health: fleet.Healthy, ClusterKnown: true, ClusterFound: true, Known: true,
		Offerings: []fleet.Offering{{Offering: scheduling.Offering{ID: 1, Name: "small", MilliCPU: 4000, MemoryBytes: 8 << 30, DiskBytes: 80 << 30, MonthlyPrice: 40_000_000}}},
	}
	f.kube = fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1beta1.NodeGroup{}, &v1beta1.VPSieNode{}).WithObjects(objects...).
		WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
				f.mu.Lock()
				unreadable, denied := f.unreadable, f.denied
				f.mu.Unlock()
				if unreadable != nil && key.Name == brake.ConfigMapName {
					return unreadable
				}
				if _, ok := o.(*v1beta1.VPSieNode); ok && denied != nil {
					return denied
				}
				return c.Get(ctx, key, o, opts...)
			},
			List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
				err := c.List(ctx, list, opts...)
				if machines, ok := list.(*v1beta1.VPSieNodeList); ok && f.lag {
					machines.Items = nil
				} else if ok && f.cached != nil {
					f.cached.DeepCopyInto(machines)
				}
				return err
			},
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				f.write()
				f.mu.Lock()
				refused, unclear := f.refuse > 0, f.unclear
				f.refuse--
				f.mu.Unlock()
				if unclear != nil {
					if *unclear {
						_ = c.Create(ctx, o.DeepCopyObject().(client.Object), opts...)
					}
					return errors.New("the answer was lost")
				}
				if refused {
					return apierrors.NewForbidden(schema.GroupResource{Resource: "vpsienodes"}, o.GetName(), errors.New("quota"))
				}
				return c.Create(ctx, o, opts...)
			},
			Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
				f.write()
				if _, ok := o.(*v1beta1.VPSieNode); ok && f.unclearPatch != nil {
					if *f.unclearPatch {
						_ = c.Patch(ctx, o.DeepCopyObject().(client.Object), p, opts...)
					}
					return errors.New("the answer was lost")
				}
				if ctx.Err() != nil {
					return ctx.Err()
				}
				err := c.Patch(ctx, o, p, opts...)
				time.Sleep(f.slowPatch)
				return err
			},
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				f.write()
				time.Sleep(f.slow)
				err := c.SubResource(sub).Patch(ctx, o, p, opts...)
				if f.lost {
					return errors.New("the answer was lost")
				}
				return err
			},
		}).Build()
	f.planner = f.newPlanner()
	return f
}

// newPlanner makes a planner, of which the fixture has one; another one knows nothing of what that did.
func (f *fixture) newPlanner() *app.Planner {
	f.t.Helper()
	f.metrics = prometheus.NewRegistry()
	metrics, err := app.NewMetrics(f.metrics)
	if err != nil {
		f.t.Fatal(err)
	}
	config := app.Config{PriorityCutoff: cutoff, PlanInterval: 10 * time.Second, BatchIdle: 100 * time.Millisecond, BatchMax: time.Second, LaunchDeadline: 15 * time.Minute}
	f.elected++
	f.explanations = app.NewExplanations()
	f.statuses = app.NewStatusWriter(f.kube, f, slog.New(slog.DiscardHandler))
	return app.NewPlanner(f, f, f.kube, f.kube, brake.New(f.kube, "vpsie-autoscaler", clock.RealClock{}), leader{f, f.elected}, f, f, f, metrics, f, f.statuses, f.explanations, clock.RealClock{}, config, slog.New(slog.NewTextHandler(f, nil)))
}

func (f *fixture) write() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
}

// run runs the planner until the test ends.
func (f *fixture) run() { f.start(f.planner) }

func (f *fixture) start(planner *app.Planner) {
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan error, 1)
	var statuses sync.WaitGroup
	writer := f.statuses
	statuses.Go(func() { _ = writer.Run(ctx) })
	go func() { done <- planner.Run(ctx) }()
	f.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Error(err)
		}
		statuses.Wait()
	})
}

// wait lets time pass and returns when the planner has nothing left to do.
func (f *fixture) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// pending makes the feed say that pods wait.
func (f *fixture) pending(count, arriving int, milliCPU int64) {
	defer f.planner.FeedChanged()
	f.mu.Lock()
	defer f.mu.Unlock()
	next := *f.state
	id := scheduling.ShapeID(fmt.Sprintf("s%d", milliCPU))
	shape := &scheduling.Shape{OwnerKind: "ReplicaSet", Requests: scheduling.Resources{corev1.ResourceCPU: milliCPU, corev1.ResourcePods: 1}}
	next.Items = map[scheduling.ShapeID]*scheduling.Item{id: scheduling.NewItem(id, shape)}
	next.Pending = map[scheduling.ShapeID]*scheduling.Pending{}
	if count > 0 {
		pending := &scheduling.Pending{Count: count}
		for i := range min(count, 3) {
			pending.Sample = append(pending.Sample, scheduling.PodReference{Namespace: "default", Name: fmt.Sprintf("p%d", i), UID: fmt.Sprintf("p%d", i)})
		}
		next.Pending[id] = pending
	}
	next.Arriving, next.Revision = arriving, next.Revision+1
	for _, before := range f.state.Pending {
		next.Arrived -= uint64(min(before.Count, count))
	}
	next.Arrived += uint64(count)
	next.Changes++
	f.state = &next
}

func (f *fixture) machines() []v1beta1.VPSieNode {
	f.t.Helper()
	var list v1beta1.VPSieNodeList
	f.lag, f.cached = false, nil
	if err := f.kube.List(f.t.Context(), &list); err != nil {
		f.t.Fatal(err)
	}
	return list.Items
}

func (f *fixture) group() *v1beta1.NodeGroup {
	f.t.Helper()
	g := &v1beta1.NodeGroup{}
	if err := f.kube.Get(f.t.Context(), client.ObjectKey{Namespace: "default", Name: "g"}, g); err != nil {
		f.t.Fatal(err)
	}
	return g
}

func (f *fixture) told(kind busv1.DecisionKind) []*busv1.DecisionRecord {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*busv1.DecisionRecord
	for _, r := range f.records {
		if r.GetKind() == kind {
			out = append(out, r)
		}
	}
	return out
}

// counted is how many decisions of a kind the metric shows for a code.
func (f *fixture) counted(kind reason.Kind, code reason.Code) float64 {
	return f.metric("vpsie_scaling_decisions_total", string(kind), string(code))
}

// metric is the value of a counter with labels, whose names are not looked at.
func (f *fixture) metric(name string, labels ...string) float64 {
	f.t.Helper()
	families, err := f.metrics.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if family.GetName() == name && slices.Equal(values, labels) {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func (f *fixture) eventsAbout(prefix string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.events), func(e string) bool { return !strings.HasPrefix(e, prefix) })
}

func group(change ...func(*v1beta1.NodeGroup)) *v1beta1.NodeGroup {
	g := &v1beta1.NodeGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "g", Generation: 1},
		Spec: v1beta1.NodeGroupSpec{
			Mode: v1beta1.ModeEnforce, MaxNodes: 20, Cluster: v1beta1.ClusterReference{Identifier: "c", Datacenter: "dc"},
			ScaleDown: v1beta1.ScaleDownPolicy{UnneededFor: &metav1.Duration{Duration: time.Minute}},
		},
	}
	for _, c := range change {
		c(g)
	}
	return g
}

func TestOneDecisionServesTheWholeBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.run()
		f.wait(time.Second)
		for count := 10; count <= 100; count += 10 {
			f.pending(count, 100-count, 380)
			f.wait(60 * time.Millisecond)
		}
		f.wait(time.Second)
		machines := f.machines()
		if len(machines) != 10 {
			t.Fatalf("%d intents, want 10", len(machines))
		}
		for _, m := range machines {
			stem := machines[0].Name[:strings.LastIndex(machines[0].Name, "-")]
			if m.Spec.DecisionID != machines[0].Spec.DecisionID || !strings.HasPrefix(m.Name, stem+"-") {
				t.Errorf("intent %s of decision %s, want all of one decision and named alike", m.Name, m.Spec.DecisionID)
			}
			if !slices.Contains(m.Finalizers, v1beta1.FinalizerMachine) || m.Spec.Offering != 1 || m.Spec.OfferingName != "small" {
				t.Errorf("intent %+v", m)
			}
		}
		if ups := f.told(busv1.DecisionKind_DECISION_KIND_SCALE_UP); len(ups) != 1 || ups[0].GetMonthlyPriceEffectMicros() != 400_000_000 || ups[0].GetPods() != 100 {
			t.Errorf("records %v, want one for 100 pods and $400", ups)
		}
		if len(f.announced) != 1 {
			t.Errorf("%d messages, want one", len(f.announced))
		}
		if got := f.eventsAbout("p0 TriggeredScaleUp"); len(got) != 1 {
			t.Errorf("events of a pod: %v, want one", got)
		}
	})
}

func TestBurstIsNotWaitedForForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.run()
		f.wait(time.Second)
		began := time.Now()
		for count := 1; len(f.machines()) == 0; count++ {
			f.pending(count, 1000, 380)
			f.wait(50 * time.Millisecond)
			if time.Since(began) > 2*time.Second {
				t.Fatal("no decision after two seconds of a burst that does not end")
			}
		}
	})
}

func TestOwnWritesCountBeforeTheCacheShowsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.lag = true
		f.run()
		f.pending(10, 0, 3000)
		f.wait(10 * time.Minute)
		if got := len(f.machines()); got != 10 {
			t.Errorf("%d intents while the cache lags, want 10", got)
		}
	})
}

// TestPlanRestsOnNominationsThatTheFeedLacks: one to a Node that does not exist is cleared.
func TestPlanRestsOnNominationsThatTheFeedLacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.standing = map[string]string{"p0": "gone"}
		f.run()
		f.pending(1, 0, 380)
		f.wait(time.Second)
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.nominations) != 1 || f.nominations[0].Pod.NominatedNode != "gone" || f.nominations[0].Node != "" {
			t.Errorf("nominations are %+v, want the one that stands cleared", f.nominations)
		}
	})
}

// TestSecondPlanOnABatchLaunchesOthers raises a limit twice while the feed stays as it is.
func TestSecondPlanOnABatchLaunchesOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.MaxNodes = 1 }))
		f.run()
		f.pending(3, 0, 3000)
		f.wait(15 * time.Second)
		if got := len(f.machines()); got != 1 {
			t.Fatalf("%d intents with maxNodes 1", got)
		}
		for most := 2; most <= 3; most++ {
			g := f.group()
			g.Spec.MaxNodes = int32(most)
			if err := f.kube.Update(t.Context(), g); err != nil {
				t.Fatal(err)
			}
			f.planner.Changed()
			f.wait(15 * time.Second)
			if machines, ups := len(f.machines()), len(f.told(busv1.DecisionKind_DECISION_KIND_SCALE_UP)); machines != most || ups != most {
				t.Errorf("%d intents of %d decisions with maxNodes %d, want one of each more", machines, ups, most)
			}
		}
	})
}

// TestWhatAnotherPlannerLaunchedIsNotToldAgain runs a second planner that believes itself elected and whose cache shows no machines.
func TestWhatAnotherPlannerLaunchedIsNotToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.lag = true
		f.both = true
		f.pending(3, 0, 3000) // both planners find the pods when they start
		f.run()
		f.wait(5 * time.Second)
		f.start(f.newPlanner())
		f.wait(5 * time.Second)
		if got := f.told(busv1.DecisionKind_DECISION_KIND_SCALE_UP); len(got) != 1 {
			t.Errorf("records %v, want one: the second planner launched nothing", got)
		}
		if got := f.eventsAbout("p0 TriggeredScaleUp"); len(got) != 1 {
			t.Errorf("events of a pod: %v, want one", got)
		}
		if got := len(f.machines()); got != 3 {
			t.Errorf("%d intents, want 3", got)
		}
	})
}

// TestPlannersThatSeeABurstDifferentlyLaunchOnce has one planner see pods come, so that it launches what is sure first, and another find them when it
// starts, so that it launches all at once. Both believe themselves elected, and neither sees what the other wrote.
func TestPlannersThatSeeABurstDifferentlyLaunchOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.lag, f.both = true, true
		f.run()
		f.wait(time.Second)
		f.pending(4, 0, 3900)
		f.wait(90 * time.Millisecond)
		f.pending(8, 0, 3900)
		f.wait(20 * time.Millisecond)
		if got := f.told(busv1.DecisionKind_DECISION_KIND_SCALE_UP); len(got) != 1 {
			t.Fatalf("records %v, want the first of a burst that goes on", got)
		}
		f.start(f.newPlanner())
		f.wait(5 * time.Second)
		if got := len(f.machines()); got != 8 {
			t.Errorf("%d intents for 8 pods of which each needs a machine", got)
		}
	})
}

// TestDeposedPlannerLaunchesAndRetiresNothing has a planner that does not know of its successor see other pods than that, on a later batch.
func TestDeposedPlannerLaunchesAndRetiresNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = 1 }))
		f.run()
		f.wait(5 * time.Second)
		before := len(f.machines())
		explanations := f.explanations
		f.newPlanner() // is elected, and has not begun
		f.lag = true
		f.pending(8, 0, 3900)
		f.wait(30 * time.Second)
		if got := len(f.machines()); before != 1 || got != before {
			t.Errorf("%d intents, want the one of when it led", got)
		}
		if got := f.told(busv1.DecisionKind_DECISION_KIND_SCALE_UP); len(got) != 1 {
			t.Errorf("records %v of a planner that does not lead", got)
		}
		if got := f.told(busv1.DecisionKind_DECISION_KIND_HOLD); len(got) != 1 || got[0].GetReason() != string(reason.HoldNotLeading) {
			t.Errorf("holds %v, want one that says that it may not lead", got)
		}
		if got := explained(t, explanations.NodeGroup, "default/g"); got[0] != "default/g "+string(reason.HoldNotLeading) {
			t.Errorf("the group is explained by %v, want the hold first", got)
		}
	})
}

func TestStaleFeedDecidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.run()
		f.mu.Lock()
		f.stale = feed.ErrStale
		f.mu.Unlock()
		f.pending(10, 0, 3000)
		f.wait(time.Minute)
		if got := len(f.machines()); got != 0 {
			t.Errorf("%d intents on a stale feed", got)
		}
		if holds := f.told(busv1.DecisionKind_DECISION_KIND_HOLD); len(holds) != 1 || holds[0].GetReason() != string(reason.HoldFeedStale) {
			t.Errorf("holds %v, want one record", holds)
		}
		f.mu.Lock()
		f.stale = nil
		f.mu.Unlock()
		f.wait(10 * time.Second)
		if got := len(f.machines()); got != 10 {
			t.Errorf("%d intents once the feed is current, want 10", got)
		}
	})
}

func TestRefusalIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.run()
		f.pending(2, 0, 64_000)
		f.wait(5 * time.Minute)
		if got := f.told(busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP); len(got) != 1 || got[0].GetReason() != string(reason.NoScaleUpResources) {
			t.Errorf("records %v, want one that says that the pod is too large", got)
		}
		for _, pod := range []string{"p0", "p1"} {
			if got := f.eventsAbout(pod + " NotTriggerScaleUp"); len(got) != 1 {
				t.Errorf("events of %s: %v, want one", pod, got)
			}
		}
		if got := f.eventsAbout("g " + reason.NoScaleUpResources.Condition()); len(got) != 1 {
			t.Errorf("events of the group: %v, want one warning", got)
		}
	})
}

// TestGroupBelowItsMinimumIsToldOnce has no pod that wants anything, so the group itself is refused.
func TestGroupBelowItsMinimumIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.MinNodes, g.Spec.ScaleUp.Enabled = 3, new(false) }))
		f.run()
		f.wait(5 * time.Minute)
		told := f.told(busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP)
		if len(told) != 1 || told[0].GetReason() != string(reason.NoScaleUpGroupDisabled) || told[0].GetNodeGroup() != "default/g" ||
			told[0].GetSubject().GetKind() != "NodeGroup" || told[0].GetParameters()[reason.ParamNodes] != "3" {
			t.Errorf("records %v, want one that says that three nodes are missing", told)
		}
		if got := f.eventsAbout("g " + reason.NoScaleUpGroupDisabled.Condition()); len(got) != 1 {
			t.Errorf("events of the group: %v, want one warning", got)
		}
		if got := f.group().Status.RecentDecisions; len(got) > 0 {
			t.Errorf("the group shows %v: refusals must not push its decisions out", got)
		}
		if got := explained(t, f.explanations.NodeGroup, "default/g"); !slices.Equal(got, []string{"default/g " + string(reason.NoScaleUpGroupDisabled)}) {
			t.Errorf("the group is explained by %v, want its refusal", got)
		}
		if got := f.counted(reason.NoScaleUp, reason.NoScaleUpGroupDisabled); got != 1 {
			t.Errorf("%v refusals are counted, want one", got)
		}
	})
}

// TestGroupIsRefusedAgain has a group reach its minimum in between.
func TestGroupIsRefusedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.ScaleUp.Enabled = new(false) }))
		f.run()
		for _, nodes := range []int32{1, 0, 1} {
			// The planner writes the status of the group beside.
			if err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
				g := f.group()
				g.Spec.MinNodes = nodes
				return f.kube.Update(t.Context(), g)
			}); err != nil {
				t.Fatal(err)
			}
			f.wait(15 * time.Second)
		}
		if got := f.told(busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP); len(got) != 2 {
			t.Errorf("records %v, want two", got)
		}
	})
}

// TestNewGroupIsNotRefusedForAMoment: what can be launched for it is not known at once.
func TestNewGroupIsNotRefusedForAMoment(t *testing.T) {
	for name, test := range map[string]struct {
		unknownFor time.Duration
		want       int
	}{"Moment": {5 * time.Second, 0}, "Long": {time.Minute, 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = 1 }))
				f.catalogue.Known = false
				f.run()
				f.wait(test.unknownFor)
				f.mu.Lock()
				f.catalogue.Known = true
				f.mu.Unlock()
				f.wait(time.Minute)
				if got := f.told(busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP); len(got) != test.want || len(f.machines()) != 1 {
					t.Errorf("refusals %v and %d machines, want %d refusals and one machine", got, len(f.machines()), test.want)
				}
				if got := f.eventsAbout("g " + reason.NoScaleUpCatalogueUnknown.Condition()); len(got) > 0 {
					t.Errorf("events %v about a catalogue that is awaited", got)
				}
			})
		})
	}
}

func TestNothingIsWrittenAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.run()
		f.pending(0, 0, 100)
		f.wait(10 * time.Second)
		f.mu.Lock()
		before := f.writes
		f.mu.Unlock()
		if before == 0 {
			t.Fatal("the group's status was never written")
		}
		f.wait(time.Hour)
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.writes != before {
			t.Errorf("%d writes in an hour in which nothing happened", f.writes-before)
		}
	})
}

func TestProvisionerThatIsAwayIsTrustedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.run()
		f.wait(10 * time.Second)
		f.mu.Lock()
		f.away = errors.New("connection refused")
		f.mu.Unlock()
		f.pending(1, 0, 3000)
		f.wait(2 * time.Second)
		if got := len(f.machines()); got != 1 {
			t.Errorf("%d intents shortly after the provisioner went away, want 1", got)
		}
		f.wait(5 * time.Minute)
		f.pending(9, 0, 3000)
		f.wait(time.Minute)
		if got := len(f.machines()); got != 1 {
			t.Errorf("%d intents on prices of long ago, want still 1", got)
		}
	})
}

func TestEachClusterIsComplainedOfOnItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := group(func(g *v1beta1.NodeGroup) { g.Name, g.Spec.Cluster.Identifier = "h", "d" })
		f := newFixture(t, group(), other)
		f.unknownCluster = "d"
		f.run()
		f.wait(time.Minute)
		f.mu.Lock()
		defer f.mu.Unlock()
		told := slices.DeleteFunc(slices.Clone(f.log), func(line string) bool { return !strings.Contains(line, "catalogue not available from") })
		if len(told) != 1 || !strings.Contains(told[0], "cluster=d") {
			t.Errorf("the log says %v, want one line about cluster d", told)
		}
	})
}

func TestStatusTellsWhatHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.MinNodes = 2 }))
		f.run()
		f.wait(10 * time.Second)
		st := f.group().Status
		if st.DesiredNodes != 2 || st.LaunchingNodes != 2 || st.LastScaleUpTime == nil || len(st.RecentDecisions) != 1 || st.RecentDecisions[0].Reason != string(reason.ScaleUpMinNodes) {
			t.Errorf("status %+v", st)
		}
	})
}

func TestStatusShowsTheCostInDollars(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		machine := &v1beta1.VPSieNode{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"},
			Spec:       v1beta1.VPSieNodeSpec{NodeGroup: "g", Offering: 1, Cluster: v1beta1.ClusterReference{Identifier: "c", Datacenter: "dc"}},
			Status:     v1beta1.VPSieNodeStatus{Phase: v1beta1.PhaseJoining, Identifier: "m1", MonthlyPrice: "233.60"},
		}
		f := newFixture(t, group(), machine)
		f.run()
		f.wait(10 * time.Second)
		if got := f.group().Status.MonthlyCost; got != "233.60" {
			t.Errorf("kubectl shows a monthly cost of %q, want 233.60", got)
		}
	})
}

func TestRecommendingGroupOnlyTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.Mode = v1beta1.ModeRecommend }))
		f.run()
		f.pending(1, 0, 3000)
		f.wait(time.Minute)
		if got := len(f.machines()); got != 0 {
			t.Errorf("%d intents by a group that only recommends", got)
		}
		told := f.told(busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP)
		if len(told) != 2 || !strings.Contains(told[0].GetMessage(), "would launch 1 × small") {
			t.Errorf("records %v, want what it would launch and why it does not", told)
		}
	})
}

func TestRecommendingGroupOnlyTellsWhatItWouldRetire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		machine := &v1beta1.VPSieNode{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"},
			Spec:       v1beta1.VPSieNodeSpec{NodeGroup: "g", Offering: 1, Cluster: v1beta1.ClusterReference{Identifier: "c", Datacenter: "dc"}},
			Status:     v1beta1.VPSieNodeStatus{Phase: v1beta1.PhaseReady, Identifier: "m1", Hostname: "n1", NodeName: "n1"},
		}
		f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.Mode = v1beta1.ModeRecommend }), machine)
		f.state.Nodes = map[string]*scheduling.Node{"n1": {Name: "n1", Ready: true, Allocatable: scheduling.Resources{corev1.ResourceCPU: 4000, corev1.ResourcePods: 110}}}
		f.run()
		f.wait(time.Hour)
		told := slices.DeleteFunc(f.told(busv1.DecisionKind_DECISION_KIND_NO_SCALE_DOWN), func(r *busv1.DecisionRecord) bool {
			return r.GetReason() != string(reason.NoScaleDownGroupRecommend)
		})
		if len(told) != 1 || f.machines()[0].Spec.Retirement != nil {
			t.Errorf("records %v and retirement %+v, want what it would retire, told once", told, f.machines()[0].Spec.Retirement)
		}
	})
}

func TestAdviceIsGivenAgainWhenItIsNeededAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.Mode = v1beta1.ModeRecommend }))
		f.run()
		advice := func() int {
			return len(slices.DeleteFunc(f.told(busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP), func(r *busv1.DecisionRecord) bool {
				return !strings.HasPrefix(r.GetMessage(), "would launch 1 × small")
			}))
		}
		for want := 1; want <= 2; want++ {
			f.pending(1, 0, 3000)
			f.wait(time.Minute)
			if got := advice(); got != want {
				t.Errorf("advice was given %d times, want %d", got, want)
			}
			f.pending(0, 0, 3000)
			f.wait(time.Minute)
		}
	})
}

func TestPauseDecidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pause := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "vpsie-autoscaler", Name: brake.ConfigMapName}}
		f := newFixture(t, group(), pause)
		f.run()
		f.pending(2, 0, 3000)
		f.wait(5 * time.Minute)
		if got := len(f.machines()); got != 0 {
			t.Errorf("%d intents during a pause", got)
		}
		if holds := f.told(busv1.DecisionKind_DECISION_KIND_HOLD); len(holds) != 1 || holds[0].GetReason() != string(reason.HoldPaused) {
			t.Errorf("holds %v, want one record", holds)
		}
		for _, pod := range []string{"p0", "p1"} {
			if got := f.eventsAbout(pod + " NotTriggerScaleUp"); len(got) != 1 {
				t.Errorf("events of %s: %v, want one", pod, got)
			}
		}
		if err := f.kube.Delete(t.Context(), pause); err != nil {
			t.Fatal(err)
		}
		f.wait(10 * time.Second)
		if got := len(f.machines()); got != 2 {
			t.Errorf("%d intents after the pause, want 2", got)
		}
	})
}

func TestUnreadableSwitchDecidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		f.unreadable = errors.New("connection refused")
		f.run()
		f.pending(2, 0, 3000)
		f.wait(time.Minute)
		if got := len(f.machines()); got != 0 {
			t.Errorf("%d intents although nobody knows whether a pause is on", got)
		}
	})
}

// TestBrokenMachineIsReplaced has the planner watch a Node that is not Ready, with a gap in which it could not.
func TestBrokenMachineIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		machine := &v1beta1.VPSieNode{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"},
			Spec:       v1beta1.VPSieNodeSpec{NodeGroup: "g", Offering: 1, Cluster: v1beta1.ClusterReference{Identifier: "c", Datacenter: "dc"}},
			Status:     v1beta1.VPSieNodeStatus{Phase: v1beta1.PhaseReady, Identifier: "m1", Hostname: "n1", NodeName: "n1"},
		}
		f := newFixture(t, group(), machine)
		f.state.Nodes = map[string]*scheduling.Node{"n1": {Name: "n1", Allocatable: scheduling.Resources{corev1.ResourceCPU: 4000, corev1.ResourcePods: 110}}}
		f.run()
		f.wait(19 * time.Minute)
		f.mu.Lock()
		f.stale = feed.ErrStale
		f.mu.Unlock()
		f.wait(10 * time.Second)
		f.mu.Lock()
		f.stale = nil
		f.mu.Unlock()
		f.wait(19 * time.Minute)
		if f.machines()[0].Spec.Retirement != nil {
			t.Fatal("replaced although the time was not watched without a gap")
		}
		f.wait(2 * time.Minute)
		if r := f.machines()[0].Spec.Retirement; r == nil || r.Reason != string(reason.RepairNodeNotReady) || *r.PriorityCutoff != cutoff {
			t.Errorf("retirement %+v, want a repair", r)
		}
		if got := f.told(busv1.DecisionKind_DECISION_KIND_REPAIR); len(got) != 1 {
			t.Errorf("records %v, want one of a repair", got)
		}
	})
}

// TestEachRetirementIsAnnouncedAsItself retires two machines of a group at once, which are two decisions.
func TestEachRetirementIsAnnouncedAsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var objects []client.Object
		nodes := map[string]*scheduling.Node{}
		for _, name := range []string{"a", "b"} {
			objects = append(objects, &v1beta1.VPSieNode{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
				Spec:       v1beta1.VPSieNodeSpec{NodeGroup: "g", Offering: 1, Cluster: v1beta1.ClusterReference{Identifier: "c", Datacenter: "dc"}},
				Status:     v1beta1.VPSieNodeStatus{Phase: v1beta1.PhaseReady, Identifier: "m" + name, Hostname: name, NodeName: name},
			})
			nodes[name] = &scheduling.Node{Name: name, Ready: true, Allocatable: scheduling.Resources{corev1.ResourceCPU: 4000, corev1.ResourcePods: 110}}
		}
		f := newFixture(t, append(objects, group())...)
		f.state.Nodes = nodes
		f.run()
		f.wait(2 * time.Minute)
		announced := map[string]string{}
		for _, m := range f.announced {
			if d, ok := m.(*busv1.RetireDecision); ok && len(d.GetVpsieNodes()) == 1 {
				announced[d.GetVpsieNodes()[0]] = d.GetDecisionId()
			}
		}
		for _, m := range f.machines() {
			if m.Spec.Retirement == nil || announced[m.Name] != m.Spec.Retirement.DecisionID {
				t.Errorf("machine %s: retirement %+v is announced as %q", m.Name, m.Spec.Retirement, announced[m.Name])
			}
		}
	})
}

// inUse is a machine of group g whose Node works.
func (f *fixture) inUse(name string, pods map[scheduling.ShapeID]int) *v1beta1.VPSieNode {
	if f.state.Nodes == nil {
		f.state.Nodes = map[string]*scheduling.Node{}
	}
	f.state.Nodes[name] = &scheduling.Node{Name: name, Ready: true, Pods: pods, Allocatable: scheduling.Resources{corev1.ResourceCPU: 4000, corev1.ResourcePods: 110}}
	return &v1beta1.VPSieNode{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       v1beta1.VPSieNodeSpec{NodeGroup: "g", Offering: 1, Cluster: v1beta1.ClusterReference{Identifier: "c", Datacenter: "dc"}},
		Status:     v1beta1.VPSieNodeStatus{Phase: v1beta1.PhaseReady, Identifier: "m" + name, Hostname: name, NodeName: name},
	}
}

// TestUnclearRetirementCountsAsWritten loses the answer to a retirement while the cache stands still. Then the Node that the machine's
// pods are to move to runs empty.
func TestUnclearRetirementCountsAsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group(func(g *v1beta1.NodeGroup) { g.Spec.ScaleDown.UnneededFor = &metav1.Duration{Duration: time.Second} }))
		web := scheduling.ShapeID("web")
		f.state.Items[web] = scheduling.NewItem(web, &scheduling.Shape{OwnerKind: "ReplicaSet", Requests: scheduling.Resources{corev1.ResourceCPU: 500, corev1.ResourcePods: 1}})
		for name, pods := range map[string]int{"a": 1, "b": 2} {
			if err := f.kube.Create(t.Context(), f.inUse(name, map[scheduling.ShapeID]int{web: pods})); err != nil {
				t.Fatal(err)
			}
		}
		machines := f.machines()
		f.cached, f.unclearPatch = &v1beta1.VPSieNodeList{Items: machines}, new(true)
		f.run()
		f.wait(2 * time.Second)
		f.mu.Lock()
		next := *f.state
		next.Nodes = map[string]*scheduling.Node{"a": f.state.Nodes["a"], "b": {Name: "b", Ready: true, Allocatable: f.state.Nodes["b"].Allocatable}}
		next.Revision, next.Changes, f.state = next.Revision+1, next.Changes+1, &next
		f.mu.Unlock()
		f.planner.FeedChanged()
		f.wait(20 * time.Second)
		for _, m := range f.machines() {
			if leaves := m.Spec.Retirement != nil; leaves != (m.Name == "a") {
				t.Errorf("machine %s: retirement %+v, want that of a alone", m.Name, m.Spec.Retirement)
			}
		}
		f.wait(time.Minute)
		if got := f.told(busv1.DecisionKind_DECISION_KIND_SCALE_DOWN); len(got) == 0 || got[0].GetVpsieNodes()[0] != "a" {
			t.Errorf("records %v, want that of a first", got)
		}
		if got := f.eventsAbout("g ScaleDown"); len(got) != 1 || f.metric("vpsie_scaling_machines_total", string(reason.ScaleDown)) != 1 {
			t.Errorf("events %v, want one retirement to be told and counted", got)
		}
	})
}

// TestLostRetirementIsDecidedAgain loses a retirement with its answer.
func TestLostRetirementIsDecidedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		if err := f.kube.Create(t.Context(), f.inUse("a", nil)); err != nil {
			t.Fatal(err)
		}
		f.unclearPatch = new(false)
		f.run()
		f.wait(70 * time.Second)
		f.unclearPatch = nil
		if f.machines()[0].Spec.Retirement != nil {
			t.Fatal("the retirement was not lost")
		}
		f.wait(2 * time.Minute) // that it is unneeded is watched anew
		if f.machines()[0].Spec.Retirement == nil {
			t.Error("not retired two minutes after a retirement was lost")
		}
	})
}

// TestLostRetirementOfAMachineThatIsGoneIsNotOnRecord deletes the object while a retirement of it may have been written.
func TestLostRetirementOfAMachineThatIsGoneIsNotOnRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		machine := f.inUse("a", nil)
		if err := f.kube.Create(t.Context(), machine); err != nil {
			t.Fatal(err)
		}
		f.unclearPatch = new(false)
		f.run()
		f.wait(70 * time.Second)
		if err := f.kube.Delete(t.Context(), machine); err != nil {
			t.Fatal(err)
		}
		f.planner.Changed()
		f.wait(time.Minute)
		if got := f.told(busv1.DecisionKind_DECISION_KIND_SCALE_DOWN); len(got) > 0 {
			t.Errorf("records %v of a retirement that was not written", got)
		}
	})
}

// TestRetirementThatWasNotSentIsDecidedAgainAtOnce has a plan run out of time between two retirements.
func TestRetirementThatWasNotSentIsDecidedAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, group())
		for _, name := range []string{"a", "b"} {
			if err := f.kube.Create(t.Context(), f.inUse(name, nil)); err != nil {
				t.Fatal(err)
			}
		}
		f.slowPatch = 6 * time.Second
		f.run()
		f.wait(100 * time.Second)
		for _, m := range f.machines() {
			if m.Spec.Retirement == nil {
				t.Errorf("machine %s is not retired", m.Name)
			}
		}
	})
}

// TestStandstillIsNotTime freezes the planner's view while nothing needs a node.
func TestStandstillIsNotTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		machine := &v1beta1.VPSieNode{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"},
			Spec:       v1beta1.VPSieNodeSpec{NodeGroup: "g", Offering: 1, Cluster: v1beta1.ClusterReference{Identifier: "c", Datacenter: "dc"}},
			Status:     v1beta1.VPSieNodeStatus{Phase: v1beta1.PhaseReady, Identifier: "m1", Hostname: "n1", NodeName: "n1"},
		}
		f := newFixture(t, group(), machine)
		f.state.Nodes = map[string]*scheduling.Node{"n1": {Name: "n1", Ready: true, Allocatable: scheduling.Resources{corev1.ResourceCPU: 4000, corev1.ResourcePods: 110}}}
		f.run()
		f.wait(10 * time.Second)
		f.mu.Lock()
		f.unreadable = errors.New("connection refused")
		f.mu.Unlock()
		f.wait(10 * time.Minute)
		f.mu.Lock()
		f.unreadable = nil
		f.mu.Unlock()
		f.wait(30 * time.Second)
		if f.machines()[0].Spec.Retirement != nil {
			t.Error("retired although nobody watched for most of the time")
		}
		f.wait(time.Minute)
		if f.machines()[0].Spec.Retirement == nil {
			t.Error("not retired after a watched minute")
		}
	})
}
