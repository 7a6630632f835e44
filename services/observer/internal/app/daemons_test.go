package app_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"

	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/app"
)

// ownedBy makes a pod one of a DaemonSet of some API group.
func ownedBy(group, set string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: group, Kind: "DaemonSet", Name: set, UID: types.UID(set), Controller: new(true)}}
	}
}

func made(ago time.Duration) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.CreationTimestamp = metav1.NewTime(noon.Add(-ago)) }
}

// expectedOf is the shape that new nodes run for a DaemonSet.
func expectedOf(l *app.Ledger, set string) *feedv1.Shape {
	c := l.Contents(noon, silent)
	return c.Shapes[c.DaemonSets["default/"+set]]
}

func TestTemplatesAreCompletedAsTheAPIServerCompletesPods(t *testing.T) {
	l := newLedger()
	set := daemonSet("agent")
	spec := &set.Spec.Template.Spec
	spec.HostNetwork = true
	spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 9100}, {ContainerPort: 9200, HostPort: 9201}}
	spec.Containers[0].Resources = corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")},
		Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("64Mi")},
	}
	must(t, l.SetDaemonSet(set))
	got := expectedOf(l, "agent")
	if got.GetRequests()["cpu"] != 100 || got.GetRequests()["memory"] != 64<<20 {
		t.Errorf("requests %v, want the request of cpu and the limit of memory", got.GetRequests())
	}
	if ports := got.GetHostPorts(); len(ports) != 2 || ports[0].GetPort() != 9100 || ports[1].GetPort() != 9201 {
		t.Errorf("ports %v, want 9100 and 9201", ports)
	}
	if set.Spec.Template.Spec.Containers[0].Ports[0].HostPort != 0 {
		t.Error("the object that was given was changed")
	}
}

func TestDaemonSetsAreExpectedAsTheyRun(t *testing.T) {
	generation := func(g string) func(*corev1.Pod) { return labelled("pod-template-generation", g) }
	tests := map[string]struct {
		why  string
		pods []*corev1.Pod
		want int64
	}{
		"NoneRuns":    {"", nil, 100},
		"NoneIsBound": {"", []*corev1.Pod{pod("a", asks("900m"))}, 100},
		"Grown":       {"", []*corev1.Pod{pod("a", bound("n1"), asks("900m"))}, 900},
		"TheNewest": {"the first was made before the limit range", []*corev1.Pod{
			pod("a", bound("n1"), asks("200m"), made(time.Hour)), pod("b", bound("n2"), asks("900m"), made(time.Minute))}, 900},
		"OneIsOdd": {"somebody resized it", []*corev1.Pod{
			pod("a", bound("n1"), asks("900m"), made(time.Hour)), pod("b", bound("n2"), asks("900m"), made(time.Hour)), pod("c", bound("n3"), asks("3"), made(time.Minute))}, 900},
		"OfAnOlderTemplate": {"the template has changed since", []*corev1.Pod{pod("a", bound("n1"), asks("900m"), generation("1"))}, 100},
		"OfThisTemplate":    {"", []*corev1.Pod{pod("a", bound("n1"), asks("900m"), generation("1")), pod("b", bound("n2"), asks("500m"), generation("2"))}, 500},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			set := daemonSet("agent")
			set.Annotations = map[string]string{"deprecated.daemonset.template.generation": "2"}
			set.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}
			must(t, l.SetDaemonSet(set))
			for _, p := range tc.pods {
				ownedBy("apps/v1", string(set.UID))(p)
				must(t, l.SetPod(p))
			}
			if got := expectedOf(l, "agent").GetRequests()["cpu"]; got != tc.want {
				t.Errorf("%dm are expected, want %dm (%s)", got, tc.want, tc.why)
			}
			for _, p := range tc.pods {
				must(t, l.DeletePod(p.UID))
			}
			if got := expectedOf(l, "agent").GetRequests()["cpu"]; got != 100 {
				t.Errorf("%dm are expected once the pods are gone, want the template's 100m", got)
			}
		})
	}
}

func TestDaemonSetsOfOtherGroupsAreKnownByTheirPods(t *testing.T) {
	foreign := ownedBy("apps.kruise.io/v1alpha1", "ads")
	p := pod("a", bound("n1"), foreign, asks("300m"))
	l := ledgerOf(t, p, pod("b", bound("n2"), foreign, asks("300m")))
	if got := expectedOf(l, "ads").GetRequests()["cpu"]; got != 300 {
		t.Errorf("%dm are expected on new nodes, want 300m", got)
	}
	must(t, l.DeletePod("a"))
	must(t, l.DeletePod("b"))
	if c := l.Contents(noon, silent); len(c.DaemonSets) > 0 {
		t.Errorf("%v is expected though no pod runs", c.DaemonSets)
	}
}

func TestTemplatesHaveThePriorityOfTheirClass(t *testing.T) {
	l := newLedger()
	set := daemonSet("agent")
	set.Spec.Template.Spec.PriorityClassName = "low"
	must(t, l.SetDaemonSet(set))
	class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "low"}, Value: -1000}
	must(t, l.SetPriorityClass(class))
	if got := expectedOf(l, "agent").GetPriority(); got != -1000 {
		t.Errorf("the priority is %d, want that of the class", got)
	}
	must(t, l.DeletePriorityClass("low"))
	if got := expectedOf(l, "agent").GetPriority(); got != 0 {
		t.Errorf("the priority is %d without a class", got)
	}
}
