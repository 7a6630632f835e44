package app_test

import (
	"context"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// lagging is a cache that shows VPSieNodes as they were some time ago.
type lagging struct {
	client.Client
	shown map[string]*v1beta1.VPSieNode
}

func (l *lagging) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	n, ok := o.(*v1beta1.VPSieNode)
	if !ok {
		return l.Client.Get(ctx, key, o, opts...)
	}
	if l.shown[key.Name] == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "vpsienodes"}, key.Name)
	}
	l.shown[key.Name].DeepCopyInto(n)
	return nil
}

func (l *lagging) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	nodes, ok := list.(*v1beta1.VPSieNodeList)
	if !ok {
		return l.Client.List(ctx, list, opts...)
	}
	for _, n := range l.shown {
		nodes.Items = append(nodes.Items, *n)
	}
	return nil
}

// lag has the cache show what there is now, from now on.
func (f *fixture) lag() *lagging {
	l := &lagging{Client: f.kube, shown: map[string]*v1beta1.VPSieNode{}}
	for _, n := range f.objects() {
		l.shown[n.Name] = n.DeepCopy()
	}
	f.store.Client = l
	return l
}

func TestNewIntentIsLaunchedAtOnce(t *testing.T) {
	f := newFixture(t, group())
	f.create(intent("a", func(n *v1beta1.VPSieNode) { n.CreationTimestamp.Time = noon }))
	f.pass(time.Millisecond)
	if f.cloud.asked != 1 {
		t.Errorf("%d machines were requested from VPSie, want 1 without a message and without a wait", f.cloud.asked)
	}
}

// TestLaunchMessageReachesPastTheCache launches what a message told of and the cache does not show.
func TestLaunchMessageReachesPastTheCache(t *testing.T) {
	f := newFixture(t, group())
	f.lag()
	f.create(intent("a"))
	f.pass(time.Second)
	if f.cloud.asked != 0 {
		t.Fatal("the cache does not lag")
	}
	f.clusters.Announce("default", []string{"a", "never-written"})
	f.pass(time.Second)
	if f.cloud.asked != 1 {
		t.Errorf("%d machines were requested from VPSie, want 1", f.cloud.asked)
	}
	calls := f.cloud.calls
	f.machineGone("a")
	f.pass(time.Minute)
	f.pass(time.Minute)
	if f.cloud.calls > calls+1 {
		t.Errorf("a message about an intent that is not there costs %d calls", f.cloud.calls-calls)
	}
}

// machineGone removes an object with its machine.
func (f *fixture) machineGone(name string) {
	f.t.Helper()
	n := f.machine(name)
	n.Finalizers = nil
	if err := f.kube.Update(f.t.Context(), n); err != nil {
		f.t.Fatal(err)
	}
	if err := f.kube.Delete(f.t.Context(), n); err != nil {
		f.t.Fatal(err)
	}
	f.cloud.machines = nil
}

// TestRetireMessageReachesPastTheCache drains what a message told of, and does not abort it on a cache that still shows the
// machine as it was.
func TestRetireMessageReachesPastTheCache(t *testing.T) {
	f := newFixture(t, group())
	f.fleet(1, 0)
	name := f.objects()[0].Name
	cache := f.lag()
	n := f.machine(name)
	retired(n)
	if err := f.kube.Update(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	f.step(name, time.Second)
	if f.machine(name).Status.DrainStartedAt != nil {
		t.Fatal("the cache does not lag")
	}
	f.nodes.Announce(client.ObjectKeyFromObject(n))
	for range 3 {
		f.step(name, time.Second)
		if f.machine(name).Status.DrainStartedAt == nil {
			t.Fatal("the machine is not drained, although a message told of its retirement")
		}
	}
	cache.shown[name] = f.machine(name).DeepCopy()
	reads := 0
	f.getting = func(_ client.ObjectKey, o client.Object) error {
		if _, is := o.(*v1beta1.VPSieNode); is {
			reads++
		}
		return nil
	}
	f.step(name, time.Second)
	if reads > 0 {
		t.Errorf("the machine is read live %d times although the cache shows its retirement", reads)
	}
}

// TestWithdrawnRetirementIsForgotten reads live once for a message whose retirement is not there.
func TestWithdrawnRetirementIsForgotten(t *testing.T) {
	f := newFixture(t, group())
	f.fleet(1, 0)
	n := f.objects()[0]
	f.step(n.Name, time.Second)
	f.lag()
	f.nodes.Announce(client.ObjectKeyFromObject(&n))
	f.step(n.Name, time.Second)
	f.getting = func(_ client.ObjectKey, o client.Object) error {
		if _, is := o.(*v1beta1.VPSieNode); is {
			t.Error("the machine is read live again")
		}
		return nil
	}
	f.step(n.Name, time.Second)
}
