package app_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/testing/protocmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/vpsie/vpsie-autoscaler/libs/feed"
	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/app"
)

// world is a small cluster that changes at random. Each object has a name, and the two ways to tell a
// ledger of it.
type world struct {
	t       testing.TB
	random  *rand.Rand
	objects map[string]object
}

type object struct{ set, forget func(l *app.Ledger) error }

// step changes one object, which appears, becomes another version or goes, and tells the ledger.
func (w *world) step(l *app.Ledger) {
	name, made := w.make()
	if old, known := w.objects[name]; known && w.random.IntN(3) == 0 {
		delete(w.objects, name)
		must(w.t, old.forget(l))
		return
	}
	w.objects[name] = made
	must(w.t, made.set(l))
}

// pick returns one of the words at random.
func (w *world) pick(words ...string) string { return words[w.random.IntN(len(words))] }

func (w *world) make() (string, object) {
	switch w.random.IntN(12) {
	case 0:
		n := node(w.pick("n1", "n2", "n3"))
		n.Spec.Unschedulable = w.random.IntN(2) == 0
		return "node " + n.Name, object{func(l *app.Ledger) error { return l.SetNode(n) }, func(l *app.Ledger) error { return l.DeleteNode(n.Name) }}
	case 1:
		c := csiNode(w.random.Int32N(3))
		return "csinode", object{func(l *app.Ledger) error { l.SetCSINode(c); return nil }, func(l *app.Ledger) error { l.DeleteCSINode("n1"); return nil }}
	case 2:
		b := budget("app", w.pick("web", "db"))
		return "budget", object{func(l *app.Ledger) error { return l.SetBudget(b) }, func(l *app.Ledger) error { return l.DeleteBudget("default", "web") }}
	case 3:
		c := claim(w.pick("c1", "c2"), w.pick("", "v1", "v2"), corev1.PersistentVolumeAccessMode(w.pick("ReadWriteOnce", "ReadWriteOncePod")))
		return "claim " + c.Name, object{func(l *app.Ledger) error { return l.SetClaim(c) }, func(l *app.Ledger) error { return l.DeleteClaim("default", c.Name) }}
	case 4:
		v := volume(w.pick("v1", "v2"), w.pick("a", "b"))
		return "volume " + v.Name, object{func(l *app.Ledger) error { return l.SetVolume(v) }, func(l *app.Ledger) error { return l.DeleteVolume(v.Name) }}
	case 5:
		c := class(storagev1.VolumeBindingMode(w.pick("Immediate", "WaitForFirstConsumer")))
		return "class", object{func(l *app.Ledger) error { return l.SetClass(c) }, func(l *app.Ledger) error { return l.DeleteClass("fast") }}
	case 6:
		return w.owner()
	case 7:
		set := daemonSet(w.pick("d1", "d2"))
		set.Spec.Template.Labels["tier"] = w.pick("x", "y")
		return "daemonset " + set.Name, object{func(l *app.Ledger) error { return l.SetDaemonSet(set) }, func(l *app.Ledger) error { return l.DeleteDaemonSet("default/" + set.Name) }}
	default:
		p := w.pod()
		return "pod " + p.Name, object{func(l *app.Ledger) error { return l.SetPod(p) }, func(l *app.Ledger) error { return l.DeletePod(p.UID) }}
	}
}

func (w *world) owner() (string, object) {
	uid, selector := types.UID(w.pick("o1", "o2")), &metav1.LabelSelector{MatchLabels: map[string]string{w.pick("app", "hash"): w.pick("web", "h1")}}
	if uid == "o1" {
		set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{UID: uid}, Spec: appsv1.ReplicaSetSpec{Selector: selector}}
		return "replicaset", object{func(l *app.Ledger) error { return l.SetReplicaSet(set, noon) }, func(l *app.Ledger) error { return l.DeleteReplicaSet(uid) }}
	}
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{UID: uid}, Spec: appsv1.StatefulSetSpec{Selector: selector}}
	return "statefulset", object{func(l *app.Ledger) error { return l.SetStatefulSet(set) }, func(l *app.Ledger) error { return l.DeleteStatefulSet(uid) }}
}

// pod makes some version of one of ten pods. What never changes of a pod depends on its name only.
func (w *world) pod() *corev1.Pod {
	i := w.random.IntN(10)
	p := pod(fmt.Sprintf("p%d", i), labelled("app", w.pick("web", "db")), labelled("tier", w.pick("x", "y")), labelled("hash", w.pick("h1", "h2")))
	p.OwnerReferences[0].UID = types.UID(w.pick("o1", "o2"))
	switch i {
	case 0, 1, 2:
		claims("c1")(p)
	case 3:
		claims("c1")(p)
		claims("c2")(p)
	case 4, 5:
		avoids("tier", "x")(p)
	case 6:
		p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{TopologyKey: "zone", MatchLabelKeys: []string{"hash"}, LabelSelector: &metav1.LabelSelector{}}}
	case 7:
		annotated("cluster-autoscaler.kubernetes.io/daemonset-pod", "true")(p)
	}
	switch w.random.IntN(6) {
	case 0:
	case 1:
		unschedulable(p)
	case 2:
		unschedulable(p)
		nominated(w.pick("n1", "n2", "n3"))(p)
	case 3:
		gated(p)
	case 4:
		p.Status.Phase = corev1.PodFailed
		fallthrough
	default:
		bound(w.pick("n1", "n2", "n3"))(p)
	}
	return p
}

// TestOrderDoesNotMatter compares a ledger that lived through everything with one that is told, in
// another order, of what there is at last: nothing may be counted twice, forgotten or left behind.
func TestOrderDoesNotMatter(t *testing.T) {
	for seed := range uint64(100) {
		w := &world{t: t, random: rand.New(rand.NewPCG(seed, 1)), objects: map[string]object{}}
		old, now := newLedger(), noon
		for range 150 {
			w.step(old)
			now = now.Add(time.Duration(w.random.IntN(3)) * time.Minute)
			old.Contents(now, silent)
		}
		// Labels that nothing refers to any longer leave after a while.
		old.Contents(now, silent)
		now = now.Add(time.Hour)

		names := slices.Sorted(maps.Keys(w.objects))
		w.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		fresh := newLedger()
		for _, name := range names {
			must(t, w.objects[name].set(fresh))
		}
		fresh.Contents(now.Add(-time.Hour), silent)
		pods := cmpopts.IgnoreFields(feed.Contents{}, "Arrived") // counts what was
		if diff := cmp.Diff(fresh.Contents(now, silent), old.Contents(now, silent), protocmp.Transform(), cmpopts.EquateEmpty(), pods); diff != "" {
			t.Fatalf("seed %d: a fresh ledger and an old one differ (-fresh +old):\n%s", seed, diff)
		}
	}
}
