package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/brake"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/libs/kube"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

const (
	clusterID = "cluster"
	// namespace is the services' own.
	namespace = "vpsie-autoscaler"
	settle    = 10 * time.Minute
)

var small = launch.Size{CPU: 4, MemoryMiB: 8192}

// cloud is a VPSie in memory. Machines are listed as soon as they are requested, unless hidden.
type cloud struct {
	machines []launch.Listed
	groups   map[int64]int64
	asked    int
	deleted  []string
	// calls counts every call.
	calls int
	// hide keeps new machines out of the listing.
	hide bool
	// add and list fail the next calls when set; addTakesEffect says that a failed add launched a machine all the same.
	add, list error
	// group is the answer to the next creations of groups; onAdd is called with each launch request.
	group          error
	onAdd          func()
	addTakesEffect bool
	// deletionHangs says that machines outlive their deletion, blank that listings show nothing.
	deletionHangs, blank bool
	// refuses fails each deletion when set.
	refuses error
	// denies says that VPSie answers each deletion with not knowing the machine, and does nothing.
	denies bool
	// offers is how the offerings fail.
	offers error
	// sells is what is sold instead of the small size.
	sells []app.Offering
	// onWorkers and onGroups are called when the machines or the groups are read.
	onWorkers, onGroups func()
	// waits is called before each call that changes something is sent, as long as it waits for the rate limit.
	waits func()
}

func (c *cloud) Workers(context.Context, string) (app.Listing, error) {
	c.calls++
	if c.onWorkers != nil {
		c.onWorkers()
	}
	if c.list != nil {
		return app.Listing{}, c.list
	}
	if c.blank {
		return app.Listing{}, nil
	}
	return app.Listing{Workers: slices.Clone(c.machines), ShowsSizes: true}, nil
}

func (c *cloud) Offerings(context.Context, string) ([]app.Offering, error) {
	c.calls++
	if c.offers != nil {
		return nil, c.offers
	}
	if c.sells != nil {
		return slices.Clone(c.sells), nil
	}
	return []app.Offering{{ID: 1, Name: "small", Size: small, MonthlyPrice: 40_000_000}}, nil
}

func (c *cloud) Groups(context.Context, string) (map[int64]int64, error) {
	c.calls++
	if c.onGroups != nil {
		c.onGroups()
	}
	return maps.Clone(c.groups), nil
}

func (c *cloud) CreateGroup(ctx context.Context, g app.Guard, _, _ string, offering int64) error {
	c.calls++
	if err := g(ctx); err != nil {
		return err
	}
	if c.group != nil {
		return c.group
	}
	if c.groups[offering] != 0 {
		return &app.CloudError{Failure: app.Refused, Message: "Group has same selected Size"}
	}
	c.groups[offering] = 100 + offering
	return nil
}

func (c *cloud) AddWorker(ctx context.Context, g app.Guard, _ string, _ int64) error {
	c.calls++
	if c.waits != nil {
		c.waits()
	}
	if err := g(ctx); err != nil {
		return err
	}
	c.asked++
	if c.onAdd != nil {
		c.onAdd()
	}
	if c.add != nil && !c.addTakesEffect {
		return c.add
	}
	if !c.hide {
		c.arrive()
	}
	return c.add
}

// arrive lists one more machine.
func (c *cloud) arrive() {
	n := len(c.machines) + 1
	c.machines = append(c.machines, launch.Listed{Identifier: fmt.Sprintf("m%d", n), Hostname: fmt.Sprintf("Host-%d", n), Size: small})
}

func (c *cloud) DeleteWorker(ctx context.Context, g app.Guard, _, identifier string) (bool, error) {
	c.calls++
	if c.waits != nil {
		c.waits()
	}
	if err := g(ctx); err != nil {
		return false, err
	}
	if c.refuses != nil {
		return false, c.refuses
	}
	if c.denies {
		return true, nil
	}
	is := func(m launch.Listed) bool { return m.Identifier == identifier }
	gone := !slices.ContainsFunc(c.machines, is)
	if !gone {
		c.deleted = append(c.deleted, identifier)
	}
	if !c.deletionHangs {
		c.machines = slices.DeleteFunc(c.machines, is)
	}
	return gone, nil
}

func (c *cloud) Health() app.Health { return app.Health{Known: true} }

// told remembers the phases that were told, each once however often it was told, and the decision records.
type told struct {
	t       *testing.T
	mu      sync.Mutex
	ids     map[string]bool
	phases  []string
	changes []*busv1.NodePhaseChanged
	records []string
	// decisions are the records of decisions.
	decisions []*busv1.DecisionRecord
	// codes are those of the decisions on record.
	codes []reason.Code
	// away fails what is published, after the first few, and full what is put on record.
	away, full error
	few        int
	// lost counts what made room and could not be put on record.
	lost int
}

func (f *told) Publish(_ context.Context, fact facts.Fact) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away != nil && f.few == 0 {
		return f.away
	}
	f.few--
	f.keep(fact)
	return nil
}

func (f *told) Record(_ context.Context, all ...facts.Fact) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full != nil {
		return f.full
	}
	for _, fact := range all {
		f.keep(fact)
	}
	return nil
}

func (f *told) Displace(ctx context.Context, displaced ...facts.Fact) {
	if f.Record(ctx, displaced...) != nil {
		f.lost += len(displaced)
	}
}

func (f *told) keep(fact facts.Fact) {
	if f.ids[fact.ID] {
		return
	}
	f.ids[fact.ID] = true
	switch m := fact.Message.(type) {
	case *busv1.NodePhaseChanged:
		f.changes = append(f.changes, m)
		f.phases = append(f.phases, m.GetFrom()+"→"+m.GetTo())
	case *busv1.DecisionRecord:
		f.records, f.codes = append(f.records, m.GetId()), append(f.codes, reason.Code(m.GetReason()))
		f.decisions = append(f.decisions, m)
		produced.Add(reason.Code(m.GetReason()))
		f.judge(m)
	}
}

// judge fails the test for a record of the provisioner that is not complete.
func (f *told) judge(r *busv1.DecisionRecord) {
	if r.GetReason() == "" {
		return // a test's own
	}
	if err := facts.Check(r); err != nil {
		f.t.Errorf("record %v: %v", r, err)
	}
}

// judgeCarried holds every record to the registry that machines carry at the end of a test.
func (f *fixture) judgeCarried() {
	f.facts.mu.Lock()
	defer f.facts.mu.Unlock()
	var list v1beta1.VPSieNodeList
	if err := f.kube.List(context.Background(), &list); err != nil { // the test's own context has ended
		f.t.Fatal(err)
	}
	for i := range list.Items {
		n := &list.Items[i]
		for _, fact := range facts.Attached(n) {
			f.facts.keep(fact)
		}
		for _, text := range n.Status.UntoldDecisions {
			fact, err := facts.Parse(text)
			if err != nil {
				f.t.Errorf("record of %s: %v", n.Name, err)
				continue
			}
			f.facts.keep(fact)
		}
	}
}

// wantDecision fails the test unless the record of a decision with the code is told, or carried by a machine.
func (f *fixture) wantDecision(code reason.Code) {
	f.t.Helper()
	f.judgeCarried()
	if !slices.Contains(f.facts.codes, code) {
		f.t.Errorf("nothing on record has the code %s; decided was %v", code, f.facts.codes)
	}
}

// tell publishes what all machines carry, as far as the bus takes it.
func (f *fixture) tell() {
	f.t.Helper()
	for _, n := range f.objects() {
		wait, err := app.NewTeller(f.store, slog.New(slog.DiscardHandler)).Reconcile(f.t.Context(), client.ObjectKeyFromObject(&n))
		if err != nil || wait == 0 && f.facts.away != nil && len(f.machine(n.Name).Status.Untold) > 0 {
			f.t.Fatalf("what %s carries is looked at again in %v: %v", n.Name, wait, err)
		}
	}
}

// fixture is the provisioner's use cases on a Kubernetes and a VPSie in memory, under a clock that
// stands still until it is moved.
type fixture struct {
	t        *testing.T
	kube     client.Client
	cloud    *cloud
	facts    *told
	clock    *clocktesting.FakeClock
	store    *app.Store
	clusters *app.Clusters
	nodes    *app.Nodes
	// catalogue is the one that the others use; it has read everything once.
	catalogue *app.Catalogue
	registry  *prometheus.Registry
	// orphans is the policy for machines whose NodeGroup is gone; it counts from the next restart.
	orphans string
	// getting is called before each live read when set, and fails it with what it returns.
	getting func(key client.ObjectKey, o client.Object) error
	// deleting may refuse a deletion, patching a patch, answering lose the answer to one of a status that took effect.
	deleting  func(client.Object) error
	patching  func(client.Object) error
	answering func(client.Object) error
	// evict stands in for the eviction of a pod when set.
	evict func(pod *corev1.Pod) error
}

func newFixture(t *testing.T, objects ...client.Object) *fixture {
	t.Helper()
	scheme, err := kube.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, cloud: &cloud{groups: map[int64]int64{}}, facts: &told{t: t, ids: map[string]bool{}}, clock: clocktesting.NewFakeClock(noon)}
	f.kube = fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1beta1.VPSieNode{}).WithObjects(objects...).
		WithObjects(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, definition()).
		WithIndex(&corev1.Pod{}, "spec.nodeName", func(o client.Object) []string { return []string{o.(*corev1.Pod).Spec.NodeName} }).
		WithInterceptorFuncs(interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if f.getting != nil {
				if err := f.getting(key, o); err != nil {
					return err
				}
			}
			return c.Get(ctx, key, o, opts...)
		}, Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if at := o.GetCreationTimestamp(); at.IsZero() { // as the API server does, and the fake does not
				o.SetCreationTimestamp(metav1.NewTime(f.clock.Now()))
			}
			o.SetGeneration(1)
			return c.Create(ctx, o, opts...)
		}, Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			o.SetGeneration(o.GetGeneration() + 1) // tests change specs so, what is tested patches
			return c.Update(ctx, o, opts...)
		}, Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if f.patching != nil {
				if err := f.patching(o); err != nil {
					return err
				}
			}
			return c.Patch(ctx, o, p, opts...)
		}, Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			if f.deleting != nil {
				if err := f.deleting(o); err != nil {
					return err
				}
			}
			return c.Delete(ctx, o, opts...)
		}, SubResourcePatch: func(ctx context.Context, c client.Client, name string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			if err := c.SubResource(name).Patch(ctx, o, p, opts...); err != nil || f.answering == nil {
				return err
			}
			return f.answering(o)
		}, SubResourceCreate: func(ctx context.Context, c client.Client, sub string, o, s client.Object, opts ...client.SubResourceCreateOption) error {
			if f.evict != nil {
				return f.evict(o.(*corev1.Pod))
			}
			return c.Delete(ctx, o)
		}}).Build()
	f.store = &app.Store{Client: f.kube, Live: f.kube, Facts: f.facts, Clock: f.clock}
	f.restart()
	t.Cleanup(f.judgeCarried)
	return f
}

// definition is the custom resource definition of VPSieNodes.
func definition() *unstructured.Unstructured {
	d := &unstructured.Unstructured{}
	d.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	d.SetName("vpsienodes.autoscaler.vpsie.com")
	return d
}

// restart forgets everything that was only in memory.
func (f *fixture) restart() {
	config := app.Config{MissingAfter: 10*time.Minute + 30*time.Second, OrphanPolicy: f.orphans, LaunchSettle: settle, LaunchPoll: time.Second, DrainSettle: 5 * time.Second, AbsenceInterval: 10 * time.Second, ClusterPoll: 15 * time.Second}
	log := slog.New(slog.DiscardHandler)
	catalogue := app.NewCatalogue(f.cloud, f.cloud, f.store, f.clock, config, log)
	f.catalogue = catalogue
	f.runCatalogueOnce()
	b := brake.New(f.store.Live, namespace, f.clock)
	f.registry = prometheus.NewRegistry()
	orphans, err := app.NewOrphans(f.store, namespace, f.registry, &events.FakeRecorder{}, log)
	if err != nil {
		f.t.Fatal(err)
	}
	if f.store.Decisions, err = facts.NewDecisions(f.registry); err != nil {
		f.t.Fatal(err)
	}
	f.clusters = app.NewClusters(f.store, f.cloud, catalogue, orphans, b, &events.FakeRecorder{}, f.clock, config, log)
	f.nodes = app.NewNodes(f.store, catalogue, b, &events.FakeRecorder{}, f.clock, config, log)
}

// runCatalogueOnce has the catalogue read what is due.
func (f *fixture) runCatalogueOnce() {
	f.t.Helper()
	once, cancel := context.WithCancel(f.t.Context())
	cancel()
	if err := f.catalogue.Run(once); err != nil { // reads everything before it notices that it is over
		f.t.Fatal(err)
	}
}

// pass looks at the cluster after some time has passed.
func (f *fixture) pass(after time.Duration) {
	f.t.Helper()
	f.clock.Step(after)
	if _, err := f.clusters.Reconcile(f.t.Context(), clusterID); err != nil {
		f.t.Fatal(err)
	}
}

// step takes one machine further after some time has passed.
func (f *fixture) step(name string, after time.Duration) {
	f.t.Helper()
	f.clock.Step(after)
	if _, err := f.nodes.Reconcile(f.t.Context(), client.ObjectKey{Namespace: "default", Name: name}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) machine(name string) *v1beta1.VPSieNode {
	f.t.Helper()
	n := &v1beta1.VPSieNode{}
	if err := f.kube.Get(f.t.Context(), client.ObjectKey{Namespace: "default", Name: name}, n); err != nil {
		f.t.Fatal(err)
	}
	return n
}

func (f *fixture) node(name string) *corev1.Node {
	f.t.Helper()
	n := &corev1.Node{}
	if err := f.kube.Get(f.t.Context(), client.ObjectKey{Name: name}, n); err != nil {
		f.t.Fatal(err)
	}
	return n
}

func (f *fixture) exists(o client.Object) bool {
	f.t.Helper()
	err := f.kube.Get(f.t.Context(), client.ObjectKeyFromObject(o), o)
	if client.IgnoreNotFound(err) != nil {
		f.t.Fatal(err)
	}
	return err == nil
}

func group(change ...func(*v1beta1.NodeGroup)) *v1beta1.NodeGroup {
	g := &v1beta1.NodeGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "g"},
		Spec: v1beta1.NodeGroupSpec{
			MaxNodes: 10, Cluster: v1beta1.ClusterReference{Identifier: clusterID, Datacenter: "dc"},
			Template: v1beta1.NodeTemplate{
				Labels: map[string]string{"team": "x"}, Annotations: map[string]string{"note": "y"},
				Taints:        []corev1.Taint{{Key: "team", Value: "x", Effect: corev1.TaintEffectNoSchedule}},
				StartupTaints: []corev1.Taint{{Key: "agent", Effect: corev1.TaintEffectNoExecute}},
			},
			ScaleDown: v1beta1.ScaleDownPolicy{DrainTimeout: &metav1.Duration{Duration: time.Minute}},
		},
	}
	for _, c := range change {
		c(g)
	}
	return g
}

// intent is a VPSieNode as the planner makes it.
func intent(name string, change ...func(*v1beta1.VPSieNode)) *v1beta1.VPSieNode {
	n := &v1beta1.VPSieNode{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(noon.Add(-10 * time.Second)),
			Finalizers: []string{v1beta1.FinalizerMachine}, Generation: 1,
		},
		Spec: v1beta1.VPSieNodeSpec{
			NodeGroup: "g", Offering: 1, OfferingName: "small", DecisionID: "d", LaunchDeadline: metav1.Duration{Duration: 15 * time.Minute},
			Cluster: v1beta1.ClusterReference{Identifier: clusterID, Datacenter: "dc"},
		},
	}
	for _, c := range change {
		c(n)
	}
	return n
}

// launched makes an intent whose machine is known and Ready.
func launched(identifier, hostname string) func(*v1beta1.VPSieNode) {
	return func(n *v1beta1.VPSieNode) {
		n.Status = v1beta1.VPSieNodeStatus{
			Phase: v1beta1.PhaseReady, Identifier: identifier, Hostname: hostname, NodeName: hostname, ReadyAt: new(metav1.NewTime(noon)),
			Launches: []v1beta1.LaunchAttempt{{Number: 1, RequestedAt: metav1.NewTime(noon.Add(-time.Second)), Outcome: v1beta1.LaunchAccepted}},
		}
	}
}

// joining is a machine that is listed and whose Node is awaited.
func joining(identifier, hostname string) func(*v1beta1.VPSieNode) {
	return func(n *v1beta1.VPSieNode) {
		n.Status = v1beta1.VPSieNodeStatus{
			Phase: v1beta1.PhaseJoining, Identifier: identifier, Hostname: hostname,
			Launches: []v1beta1.LaunchAttempt{{Number: 1, RequestedAt: metav1.NewTime(noon), Outcome: v1beta1.LaunchAccepted}},
		}
	}
}

func attempt(outcome v1beta1.LaunchOutcome, foreign ...string) func(*v1beta1.VPSieNode) {
	return func(n *v1beta1.VPSieNode) {
		n.Status.Phase = v1beta1.PhaseLaunching
		n.Status.Launches = []v1beta1.LaunchAttempt{{Number: 1, RequestedAt: metav1.NewTime(noon), Outcome: outcome, Foreign: foreign}}
	}
}

func retired(n *v1beta1.VPSieNode) {
	n.Spec.Retirement = &v1beta1.Retirement{Kind: v1beta1.RetireScaleDown, DecisionID: "r", Reason: "scaledown.empty", Message: "unneeded"}
}

// node is a Ready Kubernetes Node that belongs to a machine, or to nobody when identifier is empty.
func node(name, identifier string, change ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(noon)},
		Status: corev1.NodeStatus{
			Conditions:  []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
			Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi")},
		},
	}
	if identifier != "" {
		n.Spec.ProviderID = v1beta1.ProviderIDPrefix + identifier
	}
	for _, c := range change {
		c(n)
	}
	return n
}

func pod(name, nodeName string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: name, UID: types.UID(name),
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "rs", Controller: new(true)}},
		},
		Spec: corev1.PodSpec{NodeName: nodeName, Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")},
		}}}},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func condition(n *v1beta1.VPSieNode, kind string) metav1.Condition {
	for _, c := range n.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return metav1.Condition{}
}
