package sim

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

var errKubeDown = errors.New("dial tcp: connection refused (the API server is down)")

// kubeState is what is wrong with the API server now; the world's lock guards it. Shares are in percent.
type kubeState struct {
	down                                 bool
	delay                                time.Duration
	conflicts, failures, throttled, lost int
	// lag is how late watches of a service show changes.
	lag map[string]time.Duration
	// blocked evictions answer 429.
	blocked bool
	// forbiddenTo is the service whose writes are forbidden.
	forbiddenTo string
}

// kubeFaults decides what happens to requests of our services.
type kubeFaults world

var _ kubesim.Faults = (*kubeFaults)(nil)

// Strike holds requests of frozen processes, fails those of dead ones, and applies what is wrong with the API server.
func (f *kubeFaults) Strike(r kubesim.Request) kubesim.Verdict {
	w := (*world)(f)
	w.mu.Lock()
	p := w.cluster.clients[r.Client]
	w.mu.Unlock()
	if p == nil {
		return kubesim.Verdict{}
	}
	w.log.passed(r.Client, r.Verb, r.Resource.String(), r.Namespace, r.Name, r.Subresource)
	// A manager whose caches never fill spins for ever when it is told to stop, and nothing that it reads then
	// has an effect.
	if p.ending.Load() && (r.Verb == "get" || r.Verb == "list" || r.Verb == "watch") {
		w.judge.onRead(r)
		return kubesim.Verdict{}
	}
	if discovery := r.Resource.Empty(); discovery || r.Resource.Resource == "events" {
		return w.strikeAtOnce(p, discovery)
	}
	write := r.Verb != "get" && r.Verb != "list" && r.Verb != "watch" && r.Resource.Resource != "leases"
	after, err := p.gate.enter(write)
	if err != nil {
		return kubesim.Verdict{Err: err}
	}
	verdict := w.strike(r, p, write)
	if verdict.Err == nil {
		w.judge.onRead(r)
	}
	if write && verdict.Err == nil {
		if err := after(); err != nil {
			return kubesim.Verdict{Err: err, LostReply: true}
		}
	}
	return verdict
}

// strikeAtOnce answers without a wait what is asked under a mutex, for time in a bubble stands still for as long as somebody waits for
// one: client-go's broadcaster of Events holds it while it writes, and controller-runtime's client while it discovers a kind.
//
// What a frozen process discovers changes nothing; it stands still at its next request.
func (w *world) strikeAtOnce(p *process, discovery bool) kubesim.Verdict {
	if p.gate.alive() != nil || p.gate.isFrozen() && !discovery {
		return kubesim.Verdict{Err: errDead}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.kube.down {
		return kubesim.Verdict{Err: errKubeDown}
	}
	if discovery && w.kube.failures > 0 && w.random.IntN(100) < w.kube.failures {
		w.hits["api-500"]++
		return kubesim.Verdict{Err: apierrors.NewInternalError(errors.New("injected"))}
	}
	return kubesim.Verdict{}
}

func (w *world) strike(r kubesim.Request, p *process, write bool) kubesim.Verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := &w.kube
	struck := func(name string, err error) kubesim.Verdict {
		w.hits[name]++
		return kubesim.Verdict{Delay: k.delay, Err: err}
	}
	percent := func(share int) bool { return share > 0 && w.random.IntN(100) < share }
	switch {
	case k.down:
		return struck("api-down", errKubeDown)
	case percent(k.failures):
		return struck("api-500", apierrors.NewInternalError(errors.New("injected")))
	case percent(k.throttled):
		return struck("api-429", apierrors.NewTooManyRequests("injected", 1))
	case write && percent(k.conflicts) && r.Verb != "create":
		return struck("api-conflicts", apierrors.NewConflict(r.Resource, r.Name, errors.New("injected")))
	case write && k.forbiddenTo == p.service:
		return struck("rbac-revoked", apierrors.NewForbidden(r.Resource, r.Name, errors.New("injected")))
	case k.blocked && r.Subresource == "eviction":
		return struck("eviction-429", apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 0))
	case write && percent(k.lost):
		v := struck("api-lost-reply", errors.New("read tcp: connection reset by peer"))
		v.LostReply = true
		return v
	}
	if k.delay > 0 {
		w.hits["api-slow"]++
	}
	return kubesim.Verdict{Delay: k.delay}
}

// Due holds back what watches of a service show.
func (f *kubeFaults) Due(watch kubesim.Request, changed time.Time) time.Time {
	w := (*world)(f)
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.cluster.clients[watch.Client]
	if p == nil || w.kube.lag[p.service] == 0 {
		return changed
	}
	w.hits["stale-cache-"+p.service]++
	return changed.Add(w.kube.lag[p.service])
}

// kubernetesFaults are what goes wrong with the API server and our objects in it (9 to 20, 59).
func kubernetesFaults() []fault {
	share := func(name string, field func(k *kubeState) *int, percent int) fault {
		return fault{name, func(w *world, _ *rand.Rand) func() {
			w.set(func() { *field(&w.kube) += percent })
			return func() { w.set(func() { *field(&w.kube) -= percent }) }
		}}
	}
	list := []fault{
		{"api-down", func(w *world, _ *rand.Rand) func() {
			w.set(func() { w.kube.down = true })
			w.cluster.server.CloseWatches(func(r kubesim.Request) bool { return true }, nil)
			return func() { w.set(func() { w.kube.down = false }) }
		}},
		{"api-slow", func(w *world, dice *rand.Rand) func() {
			delay := between(dice, 500*time.Millisecond, 5*time.Second)
			w.set(func() { w.kube.delay += delay })
			return func() { w.set(func() { w.kube.delay -= delay }) }
		}},
		share("api-conflicts", func(k *kubeState) *int { return &k.conflicts }, 50),
		share("api-500", func(k *kubeState) *int { return &k.failures }, 30),
		share("api-429", func(k *kubeState) *int { return &k.throttled }, 30),
		share("api-lost-reply", func(k *kubeState) *int { return &k.lost }, 30),
		{"api-expired", func(w *world, dice *rand.Rand) func() {
			return w.repeat(dice, 10*time.Second, time.Minute, func() {
				w.hit("api-expired")
				w.cluster.server.Compact()
				w.cluster.server.CloseWatches(func(r kubesim.Request) bool { return true }, nil)
			})
		}},
		{"watches-end", func(w *world, dice *rand.Rand) func() {
			return w.repeat(dice, 5*time.Second, 30*time.Second, func() {
				w.hit("watches-end")
				w.cluster.server.CloseWatches(func(r kubesim.Request) bool { return true }, nil)
			})
		}},
		{"rbac-revoked", func(w *world, dice *rand.Rand) func() {
			service := []string{Planner, Provisioner}[dice.IntN(2)]
			w.set(func() { w.kube.forbiddenTo = service })
			return func() { w.set(func() { w.kube.forbiddenTo = "" }) }
		}},
		{"eviction-429", func(w *world, _ *rand.Rand) func() {
			w.set(func() { w.kube.blocked = true })
			return func() { w.set(func() { w.kube.blocked = false }) }
		}},
		{"objects-lost", func(w *world, dice *rand.Rand) func() {
			w.hit("objects-lost")
			w.loseObjects(func(*v1beta1.VPSieNode) bool { return dice.IntN(2) == 0 })
			return func() {}
		}},
		{"all-objects-lost", func(w *world, _ *rand.Rand) func() {
			w.hit("all-objects-lost")
			w.loseObjects(func(*v1beta1.VPSieNode) bool { return true })
			return func() {}
		}},
		{"groups-deleted", func(w *world, _ *rand.Rand) func() {
			w.hit("groups-deleted")
			for _, g := range listOf[v1beta1.NodeGroup](w) {
				ignore(w.cluster.server.As("admin").Delete(g, deleteNow))
			}
			return func() {
				for i := range w.plan.groups {
					ignore(w.cluster.server.As("admin").Create(w.plan.groups[i].DeepCopy()))
				}
			}
		}},
		{"finalizers-stripped", func(w *world, dice *rand.Rand) func() {
			return w.repeat(dice, 30*time.Second, 3*time.Minute, func() {
				for _, n := range machines(w) {
					if n.DeletionTimestamp == nil && len(n.Finalizers) > 0 {
						w.hit("finalizers-stripped")
						changed := n.DeepCopy()
						changed.Finalizers = nil
						ignore(w.cluster.server.As("admin").Update(changed))
					}
				}
			})
		}},
		{"labels-stripped", func(w *world, dice *rand.Rand) func() {
			return w.repeat(dice, 30*time.Second, 3*time.Minute, func() {
				for _, node := range listOf[corev1.Node](w) {
					if dice.IntN(2) == 0 && node.Labels[v1beta1.LabelVPSieNode] != "" {
						w.hit("labels-stripped")
						changed := node.DeepCopy()
						delete(changed.Labels, v1beta1.LabelVPSieNode)
						delete(changed.Labels, v1beta1.LabelManaged)
						changed.Spec.Taints = nil
						ignore(w.cluster.server.As("admin").Update(changed))
					}
				}
			})
		}},
		{"person-retires", func(w *world, dice *rand.Rand) func() {
			return w.repeat(dice, 30*time.Second, 3*time.Minute, func() {
				for _, n := range machines(w) {
					if dice.IntN(4) == 0 && n.DeletionTimestamp == nil {
						w.hit("person-retires")
						ignore(w.cluster.server.As("admin").Delete(n, metav1.DeleteOptions{}))
					}
				}
			})
		}},
		{"maximum-lowered", func(w *world, _ *rand.Rand) func() {
			w.hit("maximum-lowered")
			w.changeGroups(func(g *v1beta1.NodeGroup) { g.Spec.MaxNodes = max(g.Spec.MinNodes, g.Spec.MaxNodes/3) })
			return func() {
				w.changeGroups(func(g *v1beta1.NodeGroup) { g.Spec.MaxNodes = w.plan.maximum(g.Name) })
			}
		}},
		{"group-paused", func(w *world, _ *rand.Rand) func() {
			mode := func(m v1beta1.Mode) { w.changeGroups(func(g *v1beta1.NodeGroup) { g.Spec.Mode = m }) }
			w.hit("group-paused")
			mode(v1beta1.ModePaused)
			return func() { mode(v1beta1.ModeEnforce) }
		}},
		{"brake", func(w *world, _ *rand.Rand) func() {
			w.hit("brake")
			pause := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: pauseName}, Data: map[string]string{"reason": "an incident"}}
			ignore(w.cluster.server.As("admin").Create(pause))
			return func() { ignore(w.cluster.server.As("admin").Delete(pause, deleteNow)) }
		}},
	}
	for _, service := range []string{Observer, Planner, Provisioner} {
		list = append(list, fault{"stale-cache-" + service, func(w *world, dice *rand.Rand) func() {
			lag := between(dice, 5*time.Second, 10*time.Minute)
			if service == Observer {
				w.cluster.pressureMu.Lock()
				w.cluster.feedLag = max(w.cluster.feedLag, lag)
				w.cluster.pressureMu.Unlock()
			}
			w.set(func() {
				if w.kube.lag == nil {
					w.kube.lag = map[string]time.Duration{}
				}
				w.kube.lag[service] = lag
			})
			return func() {
				w.set(func() { delete(w.kube.lag, service) })
				// What was held back shows now.
				w.cluster.server.CloseWatches(func(kubesim.Request) bool { return true }, nil)
			}
		}})
	}
	return list
}

// loseObjects takes VPSieNodes away by force, as a restored backup or a hasty person does.
func (w *world) loseObjects(which func(*v1beta1.VPSieNode) bool) {
	admin := w.cluster.server.As("admin")
	for _, n := range machines(w) {
		if !which(n) {
			continue
		}
		changed := n.DeepCopy()
		changed.Finalizers = nil
		if admin.Update(changed) == nil {
			ignore(admin.Delete(changed, deleteNow))
		}
	}
}

const pauseName = "vpsie-autoscaler-pause"

// reportedOrphans are the machines that the provisioner's report names, by identifier.
func (w *world) reportedOrphans() map[string]bool {
	reported := map[string]bool{}
	report := kubesim.Get[corev1.ConfigMap](w.cluster.server, namespace, "vpsie-autoscaler-orphans")
	if report == nil {
		return reported
	}
	for _, text := range report.Data {
		var told struct {
			Machines []struct{ Identifier string }
		}
		if err := json.Unmarshal([]byte(text), &told); err != nil {
			continue
		}
		for _, m := range told.Machines {
			reported[m.Identifier] = true
		}
	}
	return reported
}

// changeGroups edits every NodeGroup, as a person does who tries again when somebody else was faster.
func (w *world) changeGroups(edit func(g *v1beta1.NodeGroup)) {
	for _, g := range listOf[v1beta1.NodeGroup](w) {
		w.must(retry.RetryOnConflict(retry.DefaultRetry, func() error {
			stored := kubesim.Get[v1beta1.NodeGroup](w.cluster.server, g.Namespace, g.Name)
			if stored == nil {
				return nil
			}
			changed := stored.DeepCopy()
			edit(changed)
			return client.IgnoreNotFound(w.cluster.server.As("admin").Update(changed))
		}))
	}
}
