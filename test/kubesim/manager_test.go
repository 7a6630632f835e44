package kubesim_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/kube"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

// newManager is made as the services make theirs.
func newManager(t *testing.T, s *kubesim.Server, name string) manager.Manager {
	t.Helper()
	scheme, err := kube.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	mgr, err := manager.New(&rest.Config{Host: "http://kubesim", Transport: s.TransportFor(name), QPS: -1}, manager.Options{
		Scheme: scheme, Logger: logr.Discard(),
		Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		LeaderElection: true, LeaderElectionID: "vpsie-test", LeaderElectionNamespace: metav1.NamespaceDefault,
		LeaderElectionReleaseOnCancel: true, LeaseDuration: new(10 * time.Second), RenewDeadline: new(7 * time.Second), RetryPeriod: new(2 * time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	return mgr
}

// TestManagerForADay runs a manager of controller-runtime for a day of virtual time.
func TestManagerForADay(t *testing.T) {
	var writes int64
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		s := kubesim.New(kubesim.Config{})
		mgr := newManager(t, s, "service")
		var pods, machines atomic.Int64
		for o, n := range map[client.Object]*atomic.Int64{&corev1.Pod{}: &pods, &v1beta1.VPSieNode{}: &machines} {
			informer, err := mgr.GetCache().GetInformer(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: func(any) { n.Add(1) }}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- mgr.Start(ctx) }()
		world := s.As("world")
		for hour := range 24 {
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: fmt.Sprintf("pod-%d", hour)},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none"}}},
			}
			if err := world.Create(pod); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if got := pods.Load(); got != int64(hour+1) {
				t.Fatalf("the informer saw %d pods after %d hours", got, hour+1)
			}
		}
		lease := kubesim.Get[coordinationv1.Lease](s, metav1.NamespaceDefault, "vpsie-test")
		if lease == nil || time.Since(lease.Spec.RenewTime.Time) > 10*time.Second {
			t.Fatalf("the lease is not renewed: %+v", lease)
		}
		writes = s.Revision()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
	took := time.Since(began)
	t.Logf("%d writes took %v, %v each, with the manager that makes them", writes, took.Round(time.Millisecond), (took / time.Duration(writes)).Round(time.Microsecond))
}
