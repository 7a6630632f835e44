package kubesimtest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

func clientCases() map[string]func(*kit) {
	return map[string]func(*kit){
		"LeaderElectionHandsOver":      leaderElection,
		"ManagerFollowsTheCluster":     managerCache,
		"ManagerRecordsEvents":         managerEvents,
		"GeneratedClientsReadAndWrite": generatedClients,
	}
}

func leaderElection(k *kit) {
	clients, err := kubernetes.NewForConfig(k.Config)
	k.must(err)
	leading := make(chan string, 2)
	candidate := func(name string) (stop func()) {
		ctx, cancel := context.WithCancel(k.ctx)
		var running sync.WaitGroup
		running.Go(func() {
			leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
				Lock: &resourcelock.LeaseLock{
					LeaseMeta: metav1.ObjectMeta{Namespace: k.ns, Name: "elected"}, Client: clients.CoordinationV1(),
					LockConfig: resourcelock.ResourceLockConfig{Identity: name},
				},
				LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 200 * time.Millisecond, ReleaseOnCancel: true,
				Callbacks: leaderelection.LeaderCallbacks{
					OnStartedLeading: func(context.Context) { leading <- name }, OnStoppedLeading: func() {},
				},
			})
		})
		return func() { cancel(); running.Wait() }
	}
	want := func(name string) {
		k.Helper()
		select {
		case got := <-leading:
			if got != name {
				k.Errorf("%s leads, want %s", got, name)
			}
		case <-time.After(patience):
			k.Fatalf("%s does not lead", name)
		}
	}
	stopFirst := candidate("first")
	want("first")
	stopSecond := candidate("second")
	defer stopSecond()
	stopFirst()
	want("second")
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: k.ns, Name: "elected"}}
	k.read(lease)
	if *lease.Spec.LeaseTransitions != 1 || *lease.Spec.HolderIdentity != "second" {
		k.Errorf("the lease is held by %s after %d transitions", *lease.Spec.HolderIdentity, *lease.Spec.LeaseTransitions)
	}
}

// manage starts a manager that looks at the case's namespace; prepare is called before it starts.
func (k *kit) manage(prepare func(manager.Manager)) {
	k.Helper()
	mgr, err := manager.New(k.Config, manager.Options{
		Scheme: k.scheme, Logger: logr.Discard(), Cache: cache.Options{DefaultNamespaces: map[string]cache.Config{k.ns: {}}},
		Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0", Controller: config.Controller{SkipNameValidation: new(true)},
	})
	k.must(err)
	prepare(mgr)
	ctx, cancel := context.WithCancel(k.ctx)
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	k.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			k.Error(err)
		}
	})
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		k.Fatal("the caches do not fill")
	}
}

// told collects what informers say.
type told struct {
	mu   sync.Mutex
	list []string
}

func (t *told) add(what string, o any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m, _ := o.(client.Object)
	t.list = append(t.list, what+" "+m.GetName())
}

func (t *told) is(want ...string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Equal(t.list, want)
}

func managerCache(k *kit) {
	early := machine("early")
	k.make(early)
	var machines, pods told
	var reader client.Reader
	k.manage(func(mgr manager.Manager) {
		reader = mgr.GetClient()
		for o, t := range map[client.Object]*told{&v1beta1.VPSieNode{}: &machines, &corev1.Pod{}: &pods} {
			informer, err := mgr.GetCache().GetInformer(k.ctx, o)
			k.must(err)
			_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
				AddFunc: func(o any) { t.add("added", o) }, UpdateFunc: func(_, o any) { t.add("updated", o) }, DeleteFunc: func(o any) { t.add("deleted", o) },
			})
			k.must(err)
		}
	})
	k.eventually("the informer knows what was there", func() bool { return machines.is("added early") })
	late, pod := machine("late"), unscheduled("pod", nil)
	k.make(late, pod)
	k.must(k.Status().Patch(k.ctx, late, merge(`{"status":{"phase":"Ready"}}`)))
	k.must(k.Delete(k.ctx, early))
	k.eventually("the informer tells what happened", func() bool {
		return machines.is("added early", "added late", "updated late", "deleted early")
	})
	k.eventually("the informer of pods tells what happened", func() bool { return pods.is("added pod") })
	var cached v1beta1.VPSieNode
	k.must(reader.Get(k.ctx, client.ObjectKeyFromObject(late), &cached))
	if cached.Status.Phase != v1beta1.PhaseReady || cached.ResourceVersion != late.ResourceVersion {
		k.Errorf("the cache holds %s of revision %s, want Ready of %s", cached.Status.Phase, cached.ResourceVersion, late.ResourceVersion)
	}
}

func managerEvents(k *kit) {
	one := machine("one")
	k.make(one)
	k.manage(func(mgr manager.Manager) {
		recorder := mgr.GetEventRecorder("conformance")
		for range 3 {
			recorder.Eventf(one, nil, corev1.EventTypeNormal, "Tested", "Test", "it works")
		}
	})
	k.eventually("the event is stored", func() bool {
		var list eventsv1.EventList
		k.must(k.List(k.ctx, &list, client.InNamespace(k.ns)))
		return slices.ContainsFunc(list.Items, func(e eventsv1.Event) bool {
			return e.Regarding.Name == one.Name && e.Regarding.UID == one.UID && e.Reason == "Tested" && e.Series != nil
		})
	})
}

func generatedClients(k *kit) {
	clients, err := kubernetes.NewForConfig(k.Config)
	k.must(err)
	maps := clients.CoreV1().ConfigMaps(k.ns)
	made, err := maps.Create(k.ctx, configMap("one", map[string]string{"in": "generated"}), metav1.CreateOptions{})
	k.must(err)
	made.Data["key"] = "other"
	_, err = maps.Update(k.ctx, made, metav1.UpdateOptions{})
	k.must(err)
	list, err := maps.List(k.ctx, metav1.ListOptions{LabelSelector: "in=generated"})
	k.must(err)
	if len(list.Items) != 1 || list.Items[0].Data["key"] != "other" {
		k.Errorf("the list is %+v", list.Items)
	}
	k.must(maps.Delete(k.ctx, "one", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: new(made.UID)}}))
	pods, err := clients.CoreV1().Pods(k.ns).List(k.ctx, metav1.ListOptions{})
	k.must(err)
	if len(pods.Items) != 0 {
		k.Errorf("there are pods %+v", pods.Items)
	}
}
