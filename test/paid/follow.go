package paid

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// follower notes when pods are bound, and whether where they were nominated.
type follower struct {
	mu        sync.Mutex
	pods      map[types.UID]*followed
	lastBound time.Time
	bound     int
}

type followed struct {
	nominated, node string
	wait            time.Duration
}

// follow watches the pods of the default namespace until ctx ends.
func follow(ctx context.Context, client kubernetes.Interface) (*follower, error) {
	f := &follower{pods: map[types.UID]*followed{}}
	watch := cache.NewFilteredListWatchFromClient(client.CoreV1().RESTClient(), "pods", corev1.NamespaceDefault, func(*metav1.ListOptions) {})
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: watch, ObjectType: &corev1.Pod{}, Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { f.see(object) },
			UpdateFunc: func(_, object any) { f.see(object) },
		},
	})
	go informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return nil, fmt.Errorf("watch pods: %w", ctx.Err())
	}
	return f, nil
}

func (f *follower) see(object any) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.pods[pod.UID]
	if p == nil {
		p = &followed{}
		f.pods[pod.UID] = p
	}
	if pod.Spec.NodeName == "" {
		p.nominated = pod.Status.NominatedNodeName
		return
	}
	if p.node == "" {
		p.node = pod.Spec.NodeName
		f.bound++
		f.lastBound = time.Now()
		p.wait = time.Since(pod.CreationTimestamp.Time)
	}
}

// tally is what became of all pods.
type tally struct {
	bound, nominated, followed int
	lastBound                  time.Time
}

func (f *follower) tally() tally {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := tally{bound: f.bound, lastBound: f.lastBound}
	for _, p := range f.pods {
		if p.nominated == "" || p.node == "" {
			continue
		}
		t.nominated++
		if p.nominated == p.node {
			t.followed++
		}
	}
	return t
}
