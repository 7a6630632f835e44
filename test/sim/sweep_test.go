package sim

import (
	"math/rand/v2"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/vpsie/vpsie-autoscaler/api/crds"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

const (
	// teams is a namespace of NodeGroups that can go.
	teams = "teams"
	// away is how long it, or the definition, is not there at all.
	away = time.Minute
)

// TestSweptObjectsKeepMachines takes the namespace, and the definition, of VPSieNodes away while pods run on their
// machines, and brings them back: no machine goes with its object, and none is launched twice.
func TestSweptObjectsKeepMachines(t *testing.T) {
	want := ending{launched: 2, lives: 2}
	for name, take := range map[string]func(w *world) (bringBack func()){
		"namespace":  takeNamespace,
		"definition": takeDefinition,
	} {
		t.Run(name, func(t *testing.T) {
			p := smallLife()
			p.waves = []wave{{time.Minute, 0, 4}, {33 * time.Minute, 0, 0}}
			p.groups[0].Namespace = teams
			p.ownFaults = []fault{{name, func(w *world, _ *rand.Rand) func() {
				objects := len(machines(w))
				return w.sweep(take, func() {
					if left := len(machines(w)); objects < want.launched || left > 0 {
						t.Errorf("of %d VPSieNodes %d are left", objects, left)
					}
				})
			}}}
			p.faults = []occurrence{{fault: name, at: 10 * time.Minute, length: 3 * time.Minute}}
			r := play(t, p)
			judged(t, r)
			if got := endingOf(r); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

// sweep takes VPSieNodes away together with what holds them, and calls gone before it brings that and the NodeGroups back.
func (w *world) sweep(take func(*world) func(), gone func()) (restore func()) {
	swept := func(is bool) {
		w.judge.mu.Lock()
		defer w.judge.mu.Unlock()
		w.judge.swept = is
	}
	swept(true)
	bringBack := take(w)
	return func() {
		if w.judge.broken() {
			return
		}
		gone()
		bringBack()
		for i := range w.plan.groups {
			ignore(w.cluster.server.As("admin").Create(w.plan.groups[i].DeepCopy()))
		}
		swept(false)
	}
}

// takeNamespace deletes the NodeGroups' namespace, which goes once it is empty.
func takeNamespace(w *world) func() {
	w.must(w.cluster.server.As("person").Delete(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: teams}}, deleteNow))
	controller := w.cluster.server.As("namespace-controller")
	for _, g := range listOf[v1beta1.NodeGroup](w) {
		w.must(controller.Delete(g, deleteNow))
	}
	for _, n := range machines(w) {
		w.must(controller.Delete(n, deleteNow))
	}
	return func() {
		w.must(controller.Finalize(teams))
		time.Sleep(away)
		w.must(w.cluster.server.As("admin").Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: teams}}))
	}
}

// takeDefinition deletes the definition of VPSieNodes, which goes once there are none.
func takeDefinition(w *world) func() {
	server := w.cluster.server.As("kube-apiserver")
	definition := definitionOfVPSieNodes(w)
	held := definition.DeepCopy()
	held.SetFinalizers([]string{"customresourcecleanup.apiextensions.k8s.io"})
	w.must(server.Update(held))
	w.must(w.cluster.server.As("person").Delete(held, metav1.DeleteOptions{}))
	for _, n := range machines(w) {
		w.must(server.Delete(n, deleteNow))
	}
	return func() {
		held.SetFinalizers(nil)
		held.SetResourceVersion("") // whatever it is by now
		w.must(server.Update(held))
		time.Sleep(away)
		w.must(w.cluster.server.As("admin").Create(definition))
	}
}

// definitionOfVPSieNodes is as it was installed.
func definitionOfVPSieNodes(w *world) *unstructured.Unstructured {
	text, err := crds.FS.ReadFile("autoscaler.vpsie.com_vpsienodes.yaml")
	w.must(err)
	definition := &unstructured.Unstructured{}
	w.must(yaml.Unmarshal(text, &definition.Object))
	return definition
}
