package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/vpsie/vpsie-autoscaler/libs/kube"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/app"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

func waiting(name, node, nominated string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: "uid-x"}}
	p.Spec.NodeName, p.Status.NominatedNodeName, p.Status.Phase = node, nominated, corev1.PodPending
	return p
}

func TestNominator(t *testing.T) {
	tests := map[string]struct {
		why    string
		pod    *corev1.Pod
		before string
		node   string
		want   string
	}{
		"Writes":                    {pod: waiting("p", "", ""), node: "n1", want: "n1"},
		"TakesBack":                 {pod: waiting("p", "", "n1"), before: "n1", want: ""},
		"LeavesOthersNominations":   {why: "kube-scheduler makes room for the pod there", pod: waiting("p", "", "n2"), node: "n1", want: "n2"},
		"TakesBackItsOwnOnly":       {pod: waiting("p", "", "n2"), before: "n1", want: "n2"},
		"LeavesPodsThatAreBound":    {pod: waiting("p", "n3", ""), node: "n1", want: ""},
		"LeavesPodsOfTheSameName":   {why: "it is another pod", pod: func() *corev1.Pod { p := waiting("p", "", ""); p.UID = "other"; return p }(), node: "n1", want: ""},
		"SurvivesPodsThatAreGone":   {pod: waiting("another", "", ""), node: "n1", want: ""},
		"MovesFromOneNodeToAnother": {pod: waiting("p", "", "n1"), before: "n1", node: "n2", want: "n2"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newNominator(t, tc.pod)
				f.Want([]scaling.Nomination{{Pod: scheduling.PodReference{Namespace: "default", Name: "p", UID: "uid-x", NominatedNode: tc.before}, Node: tc.node}})
				synctest.Wait()
				got := &corev1.Pod{}
				if err := f.kube.Get(t.Context(), client.ObjectKeyFromObject(tc.pod), got); err != nil {
					t.Fatal(err)
				}
				if got.Status.NominatedNodeName != tc.want {
					t.Errorf("nominated to %q, want %q; %s", got.Status.NominatedNodeName, tc.want, tc.why)
				}
			})
		})
	}
}

// TestNominationIsNotRepeatedUntilTheFeedHadTheTime: every plan names it until the feed shows it.
func TestNominationIsNotRepeatedUntilTheFeedHadTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newNominator(t, waiting("p", "", ""))
		want := []scaling.Nomination{{Pod: scheduling.PodReference{Namespace: "default", Name: "p", UID: "uid-x"}, Node: "n1"}}
		for range 5 {
			f.Want(slices.Clone(want))
			synctest.Wait()
		}
		if f.count() != 1 {
			t.Errorf("%d writes, want one", f.count())
		}
		time.Sleep(2 * time.Second)
		f.Want(want)
		synctest.Wait()
		if f.count() != 2 {
			t.Errorf("%d writes, want another once the feed had the time to show the first", f.count())
		}
	})
}

// TestNominationsCountBeforeTheFeedShowsThem, those included that are underway, until the feed shows them or had the time to.
func TestNominationsCountBeforeTheFeedShowsThem(t *testing.T) {
	pod := scheduling.PodReference{Namespace: "default", Name: "p", UID: "uid-x"}
	tests := map[string]struct {
		why string
		// there is the pod's Node and nominated where it is nominated at the API server; the feed shows shown.
		there, nominated, shown string
		takes, after            time.Duration
		want                    string
		underway                bool
	}{
		"Written":          {after: time.Second, want: "n1"},
		"Underway":         {takes: 4 * time.Second, after: 3 * time.Second, want: "n1", underway: true},
		"ThePodIsBound":    {why: "the write was refused", there: "n3", after: time.Second},
		"LongAgo":          {why: "the feed would show it, so it was cleared", after: 3 * time.Second},
		"TheFeedShowsIt":   {shown: "n1", after: time.Second, want: "n1"},
		"NominatedByOther": {why: "kube-scheduler makes room for the pod there", nominated: "n2", after: time.Second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newNominator(t, waiting("p", tc.there, tc.nominated))
				f.takes = tc.takes
				f.Want([]scaling.Nomination{{Pod: pod, Node: "n1"}})
				time.Sleep(tc.after)
				shown := pod
				shown.NominatedNode = tc.shown
				feed := map[scheduling.ShapeID]*scheduling.Pending{"web": {Count: 1, Sample: []scheduling.PodReference{shown}}}
				amended, underway := f.Amend(feed)
				if got := amended["web"].Sample[0].NominatedNode; got != tc.want {
					t.Errorf("nominated to %q, want %q; %s", got, tc.want, tc.why)
				}
				if underway["n1"] != tc.underway {
					t.Errorf("underway: %v, want %v", underway["n1"], tc.underway)
				}
				if feed["web"].Sample[0] != shown {
					t.Error("the feed's own sample was changed")
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// TestClearedNominationIsSeen: what kube-scheduler clears after the feed has shown it is no longer held to stand.
func TestClearedNominationIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newNominator(t, waiting("p", "", ""))
		pod := scheduling.PodReference{Namespace: "default", Name: "p", UID: "uid-x"}
		f.Want([]scaling.Nomination{{Pod: pod, Node: "n1"}})
		synctest.Wait()
		shown := pod
		shown.NominatedNode = "n1"
		for _, next := range []scheduling.PodReference{shown, pod} {
			amended, _ := f.Amend(map[scheduling.ShapeID]*scheduling.Pending{"web": {Count: 1, Sample: []scheduling.PodReference{next}}})
			if got := amended["web"].Sample[0]; got != next {
				t.Errorf("the pod is shown as %+v, want as the feed does: %+v", got, next)
			}
		}
	})
}

// TestEveryNominationIsWrittenOnce also where writing takes longer than the feed needs to show what was written.
func TestEveryNominationIsWrittenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pods = 1000
		var objects []client.Object
		var want []scaling.Nomination
		for i := range pods {
			p := waiting(fmt.Sprintf("p%d", i), "", "")
			p.UID = types.UID(p.Name)
			objects = append(objects, p)
			want = append(want, scaling.Nomination{Pod: scheduling.PodReference{Namespace: "default", Name: p.Name, UID: p.Name}, Node: "n1"})
		}
		f := newNominator(t, objects...)
		f.takes = 200 * time.Millisecond
		f.Want(want)
		time.Sleep(time.Minute)
		synctest.Wait()
		if f.count() != pods {
			t.Errorf("%d writes for %d pods", f.count(), pods)
		}
	})
}

type nominator struct {
	*app.PodNominator
	kube client.Client

	// takes is how long a write takes.
	takes time.Duration

	mu     sync.Mutex
	writes int
}

func (n *nominator) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.writes
}

// newNominator runs a nominator until the test ends.
func newNominator(t *testing.T, pods ...client.Object) *nominator {
	t.Helper()
	scheme, err := kube.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := app.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	n := &nominator{}
	n.kube = fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&corev1.Pod{}).WithObjects(pods...).WithInterceptorFuncs(interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			n.mu.Lock()
			n.writes++
			n.mu.Unlock()
			time.Sleep(n.takes)
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	}).Build()
	n.PodNominator = app.NewPodNominator(n.kube.Status(), metrics, clock.RealClock{}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return n
}
