package kube_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/adapters/kube"
	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/app"
)

// cluster is a ledger that watches informers which a test feeds by hand.
type cluster struct {
	t         *testing.T
	ledger    *app.Ledger
	informers *informertest.FakeInformers
	log       bytes.Buffer
}

func watch(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, ledger: app.NewLedger(app.Config{DefaultSpread: true})}
	options, err := kube.CacheOptions(c.ledger, clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	c.informers = &informertest.FakeInformers{Scheme: options.Scheme}
	if _, err := kube.Watch(t.Context(), c.informers, c.ledger, clock.RealClock{}, slog.New(slog.NewTextHandler(&c.log, nil))); err != nil {
		t.Fatal(err)
	}
	return c
}

// informer is the one that was asked for objects of a kind.
func (c *cluster) informer(o client.Object) interface {
	Add(metav1.Object)
	Update(before, after metav1.Object)
	Delete(metav1.Object)
} {
	c.t.Helper()
	informer, err := c.informers.FakeInformerFor(c.t.Context(), o)
	if err != nil {
		c.t.Fatal(err)
	}
	return informer
}

func (c *cluster) add(objects ...client.Object) {
	for _, o := range objects {
		c.informer(o).Add(o)
	}
}

func (c *cluster) contents() *feed.Contents {
	return c.ledger.Contents(time.Now(), func(time.Time, int) string { return "" })
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name)}
}

// objects has one of each kind that is watched.
func objects() []client.Object {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	pod := &corev1.Pod{ObjectMeta: named("default", "web-0"), Spec: corev1.PodSpec{NodeName: "n1"}}
	pod.Labels = map[string]string{"app": "web", "tier": "x"}
	pod.OwnerReferences = []metav1.OwnerReference{{Kind: "StatefulSet", Name: "web", UID: "stateful", Controller: new(true)}}
	pod.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	late := &corev1.Pod{ObjectMeta: named("default", "late")}
	late.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "unbound"}}}}
	namespace := &corev1.Namespace{ObjectMeta: named("", "default")}
	namespace.Labels = map[string]string{"team": "a"}
	return []client.Object{
		&corev1.Node{ObjectMeta: named("", "n1")},
		&storagev1.CSINode{ObjectMeta: named("", "n1"), Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{
			{Name: "csi.vpsie.com", NodeID: "i-1", Allocatable: &storagev1.VolumeNodeResources{Count: new(int32(5))}},
		}}},
		namespace,
		&storagev1.StorageClass{
			ObjectMeta: named("", "slow"), Provisioner: "csi.vpsie.com", VolumeBindingMode: new(storagev1.VolumeBindingWaitForFirstConsumer),
			AllowedTopologies: []corev1.TopologySelectorTerm{{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{{Key: "zone", Values: []string{"a"}}}}},
		},
		&corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: "pv", Labels: map[string]string{corev1.LabelTopologyZone: "a"}},
			Spec: corev1.PersistentVolumeSpec{
				PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "csi.vpsie.com", VolumeHandle: "h"}},
				NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
					{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "rack", Operator: corev1.NodeSelectorOpIn, Values: []string{"r"}}}},
				}}},
			},
		},
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "data", Annotations: map[string]string{"pv.kubernetes.io/bind-completed": "yes"},
		}, Spec: corev1.PersistentVolumeClaimSpec{
			VolumeName: "pv", AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod},
		}},
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "unbound", Annotations: map[string]string{corev1.BetaStorageClassAnnotation: "slow"},
		}},
		&policyv1.PodDisruptionBudget{ObjectMeta: named("default", "web"), Spec: policyv1.PodDisruptionBudgetSpec{Selector: selector}},
		&appsv1.ReplicaSet{ObjectMeta: named("default", "rs"), Spec: appsv1.ReplicaSetSpec{Replicas: new(int32(2)), Selector: selector}},
		&appsv1.StatefulSet{ObjectMeta: named("default", "stateful"), Spec: appsv1.StatefulSetSpec{Selector: selector}},
		&schedulingv1.PriorityClass{ObjectMeta: named("", "low"), Value: -5, GlobalDefault: true},
		&appsv1.DaemonSet{ObjectMeta: named("default", "agent")},
		pod, late,
	}
}

func TestEveryKindReachesTheLedger(t *testing.T) {
	c := watch(t)
	c.add(objects()...)
	got := c.contents()
	if len(got.Nodes) != 1 || got.Nodes["n1"].AttachLimits["csi.vpsie.com"] != 5 || len(got.Nodes["n1"].Pods) != 1 ||
		got.Namespaces["default"]["team"] != "a" || len(got.DaemonSets) != 1 || len(got.Budgets) != 1 || got.Arriving != 2 {
		t.Errorf("contents are %+v, with the node %+v", got, got.Nodes["n1"])
	}
	if id := got.DaemonSets["default/agent"]; got.Shapes[id].GetPriority() != -5 {
		t.Errorf("the shape of the DaemonSet's pods is %v, want the priority that is the default", got.Shapes[id])
	}
	for id := range got.Nodes["n1"].Pods {
		s := got.Shapes[id]
		if len(s.GetSpread()) != 2 || len(s.GetVolumes()) != 1 || s.GetVolumes()[0].GetDriver() != "csi.vpsie.com" || len(s.GetBudgets()) != 1 || s.GetUnjudged() != "" {
			t.Errorf("the shape of the pod is %v", s)
		}
	}
	all := objects()
	slices.Reverse(all)
	for _, o := range all {
		c.informer(o).Delete(o)
	}
	got = c.contents()
	if len(got.Nodes)+len(got.Namespaces)+len(got.DaemonSets)+len(got.Budgets)+len(got.Shapes)+got.Arriving > 0 {
		t.Errorf("after everything is deleted the contents are %+v", got)
	}
	if c.log.Len() > 0 {
		t.Errorf("the log says %s", c.log.String())
	}
}

// TestPodMadeAnewUnderItsName is what a watch shows that was away while a StatefulSet's pod was replaced.
func TestPodMadeAnewUnderItsName(t *testing.T) {
	c := watch(t)
	before := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-0", UID: "old"}, Spec: corev1.PodSpec{NodeName: "n1"}}
	after := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-0", UID: "new"}, Spec: corev1.PodSpec{NodeName: "n1"}}
	c.add(&corev1.Node{ObjectMeta: named("", "n1")}, before)
	c.informer(before).Update(before, after)
	for id, count := range c.contents().Nodes["n1"].Pods {
		if count != 1 {
			t.Errorf("%d pods of shape %s, want the one that is there", count, id)
		}
	}
}

// TestMissedDeletion has the informer find out late, and in a type of its own, that a pod is gone.
func TestMissedDeletion(t *testing.T) {
	c := watch(t)
	pod := &corev1.Pod{ObjectMeta: named("default", "a"), Spec: corev1.PodSpec{NodeName: "n1"}}
	c.add(&corev1.Node{ObjectMeta: named("", "n1")}, pod)
	kube.Forget(c.ledger, slog.New(slog.NewTextHandler(&c.log, nil)), toolscache.DeletedFinalStateUnknown{Key: "default/a", Obj: pod})
	if got := c.contents().Nodes["n1"].Pods; len(got) != 0 {
		t.Errorf("the node still has %v", got)
	}
}

func TestWhatIsLeftOutIsTold(t *testing.T) {
	c := watch(t)
	broken := &policyv1.PodDisruptionBudget{ObjectMeta: named("default", "web")}
	broken.Spec.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Maybe"}}}
	c.add(broken)
	if said := c.log.String(); !strings.Contains(said, "left out of the feed") || !strings.Contains(said, "default/web") {
		t.Errorf("the log says %q", said)
	}
}

// TestPermissionsCoverWhatIsWatched reads the rules that the observer is installed with: a watch that is
// refused leaves the feed stale for good.
func TestPermissionsCoverWhatIsWatched(t *testing.T) {
	c := watch(t)
	body, err := os.ReadFile("../../../../../deploy/rbac/observer.yaml")
	if err != nil {
		t.Fatal(err)
	}
	granted := map[string][]string{}
	for _, document := range strings.Split(string(body), "\n---\n") {
		var role rbacv1.ClusterRole
		if err := yaml.Unmarshal([]byte(document), &role); err != nil {
			t.Fatal(err)
		}
		if role.Kind != "ClusterRole" {
			continue
		}
		for _, rule := range role.Rules {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					granted[group+"/"+resource] = rule.Verbs
				}
			}
		}
	}
	watched := map[string]bool{}
	for gvk := range c.informers.InformersByGVK {
		plural, _ := meta.UnsafeGuessKindToResource(gvk)
		name := fmt.Sprintf("%s/%s", gvk.Group, plural.Resource)
		watched[name] = true
		if !slices.Contains(granted[name], "list") || !slices.Contains(granted[name], "watch") {
			t.Errorf("%s is watched, and only %v is granted", name, granted[name])
		}
	}
	for name, verbs := range granted {
		if !watched[name] && slices.Contains(verbs, "watch") {
			t.Errorf("%s is granted and not watched", name)
		}
	}
}
