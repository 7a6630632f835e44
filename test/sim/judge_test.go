package sim

import (
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
	"github.com/vpsie/vpsie-autoscaler/libs/facts"
	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// TestJudge has the judge see what a product without a check would do, and what one with it does.
func TestJudge(t *testing.T) {
	const read, taint, untaint, evict, decide = "read", "taint", "untaint", "evict", "decide"
	for name, c := range map[string]struct {
		steps []any // what the provisioner does, and how long it waits
		want  string
	}{
		"DeletionWithoutTaint":      {steps: []any{read, decide}, want: "I11"},
		"DeletionReadBeforeTaint":   {steps: []any{read, taint, 10 * time.Second, decide}, want: "I11"},
		"DeletionReadAtOnce":        {steps: []any{taint, time.Second, read, decide}, want: "I11"},
		"DeletionUnread":            {steps: []any{taint, 10 * time.Second, decide}, want: "I11"},
		"DeletionReadAfterTaint":    {steps: []any{taint, 5 * time.Second, read, decide}},
		"DeletionTaintLost":         {steps: []any{taint, 5 * time.Second, untaint, time.Minute, read, decide}, want: "I11"},
		"DeletionTaintLostJustNow":  {steps: []any{taint, 5 * time.Second, read, untaint, time.Second, decide}},
		"DeletionTaintPutOnAgain":   {steps: []any{taint, 5 * time.Second, read, untaint, taint, decide}, want: "I11"},
		"EvictionWithoutTaint":      {steps: []any{read, evict}, want: "I11"},
		"EvictionReadBeforeTaint":   {steps: []any{read, taint, evict}, want: "I11"},
		"EvictionReadAfterTaint":    {steps: []any{taint, 5 * time.Second, read, evict}},
		"EvictionOfWhatGoesAnyway":  {steps: []any{taint, 5 * time.Second, read, decide, untaint, taint, read, evict}},
		"EvictionUnreadOnceDecided": {steps: []any{taint, 5 * time.Second, read, decide, untaint, taint, evict}, want: "I11"},
	} {
		t.Run(name, func(t *testing.T) {
			judging(t, func(w *world) {
				us := w.cluster.server.As(Provisioner + "-1")
				node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "host"}}
				pod := &corev1.Pod{
					ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "pod"},
					Spec:       corev1.PodSpec{NodeName: node.Name, Containers: []corev1.Container{{Name: "app", Image: "app"}}},
				}
				n := newMachine()
				w.must(w.cluster.server.As("kubelet").Create(node))
				w.must(w.cluster.server.As("kubelet").Create(pod))
				w.must(w.cluster.server.As("person").Create(n))
				n.Status.NodeName = node.Name
				w.must(us.UpdateStatus(n))
				time.Sleep(2 * joinSlack)
				for _, step := range c.steps {
					switch step {
					case read:
						w.judge.onRead(kubesim.Request{Client: Provisioner + "-1", Verb: "list", Resource: corev1.Resource("pods"), FieldSelector: "spec.nodeName=" + node.Name})
					case taint:
						node.Spec.Taints = []corev1.Taint{{Key: v1beta1.TaintDraining, Effect: corev1.TaintEffectNoSchedule}}
						w.must(us.Update(node))
					case untaint:
						node.Spec.Taints = nil
						w.must(w.cluster.server.As("person").Update(node))
					case evict:
						w.judge.onChange(kubesim.Change{
							Request: kubesim.Request{Client: Provisioner + "-1", Verb: "create", Resource: corev1.Resource("pods"), Name: pod.Name, Subresource: "eviction"}, Old: pod,
						})
					case decide:
						n.Status.DeleteRequestedAt = new(metav1.Now())
						w.must(us.UpdateStatus(n))
					default:
						time.Sleep(step.(time.Duration))
					}
				}
			}, c.want)
		})
	}
}

// TestJudgeOfDecisions has a planner decide after an observer wrote to the feed.
func TestJudgeOfDecisions(t *testing.T) {
	for name, c := range map[string]struct {
		healthy bool
		silent  time.Duration
		want    string
	}{
		"Fresh":  {healthy: true, silent: 10 * time.Second},
		"Silent": {healthy: true, silent: time.Minute, want: "I3"},
		"Behind": {silent: time.Second, want: "I3"},
	} {
		t.Run(name, func(t *testing.T) {
			judging(t, func(w *world) {
				time.Sleep(time.Minute)
				record, err := proto.Marshal(&feedv1.Meta{Healthy: c.healthy})
				w.must(err)
				w.judge.onFeed(record)
				time.Sleep(c.silent)
				w.must(w.cluster.server.As(Planner + "-1").Create(newMachine()))
			}, c.want)
		})
	}
}

// TestJudgeOfPromptness leaves an intent to the provisioner for a while.
func TestJudgeOfPromptness(t *testing.T) {
	for name, c := range map[string]struct {
		waits time.Duration
		act   func(w *world, n *v1beta1.VPSieNode)
		want  string
	}{
		"ActedOn":      {waits: 30 * time.Second, act: launched},
		"ActedOnLate":  {waits: 2 * time.Minute, act: launched, want: "I16"},
		"NeverActedOn": {waits: 2 * time.Minute, act: func(*world, *v1beta1.VPSieNode) {}, want: "I16"},
		"Gone": {waits: 2 * time.Minute, act: func(w *world, n *v1beta1.VPSieNode) {
			w.must(w.cluster.server.As("person").Delete(n, deleteNow))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			judging(t, func(w *world) {
				n := newMachine()
				w.must(w.cluster.server.As("person").Create(n))
				time.Sleep(c.waits)
				c.act(w, n)
				w.judge.lookAtIntents()
			}, c.want)
		})
	}
}

// TestJudgeOfPromptReplacements leaves a retirement to the provisioner that must wait for a replacement which is not Ready.
func TestJudgeOfPromptReplacements(t *testing.T) {
	for name, c := range map[string]struct {
		waits time.Duration
		ready bool
		want  string
	}{
		"MayStillCome":  {waits: 20 * time.Minute},
		"NeverGivenUp":  {waits: 22 * time.Minute, want: "I16"},
		"IsReady":       {waits: 30 * time.Second, ready: true},
		"NeverBegunFor": {waits: 2 * time.Minute, ready: true, want: "I16"},
	} {
		t.Run(name, func(t *testing.T) {
			judging(t, func(w *world) {
				old, next := newMachine(), newMachine()
				truth := w.cloud.sim.Truth()
				if _, err := w.cloud.sim.Model().AddNode(truth.Clusters[0].Identifier, vpsiesim.RoleSlave, 0, "us"); err != nil {
					t.Fatal(err)
				}
				old.Status.Identifier = w.cloud.sim.Truth().Machines[len(truth.Machines)].Identifier
				w.putMachine(old, "host")
				next.Name, next.Spec.Replaces = "next", []string{old.Name}
				if c.ready {
					works(next)
				}
				w.putMachine(next, "next")
				launched(w, old)
				launched(w, next)
				old.Spec.Retirement = &v1beta1.Retirement{Kind: v1beta1.RetireReplace, DecisionID: "d", Reason: "r"}
				w.must(w.cluster.server.As("person").Update(old))
				time.Sleep(c.waits)
				w.judge.lookAtIntents()
			}, c.want)
		})
	}
}

func launched(w *world, n *v1beta1.VPSieNode) {
	n.Status.Launches = []v1beta1.LaunchAttempt{{Number: 1, VPSieGroup: 1, RequestedAt: metav1.Now(), Outcome: v1beta1.LaunchRequested}}
	w.must(w.cluster.server.As(Provisioner + "-1").UpdateStatus(n))
}

func newMachine() *v1beta1.VPSieNode {
	n := &v1beta1.VPSieNode{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "machine"}}
	n.Spec.NodeGroup, n.Spec.Offering, n.Spec.OfferingName, n.Spec.Reason = "group-0", 22, "g-2vcpu-4gb", "scaleup.pending_pods"
	n.Spec.Cluster = v1beta1.ClusterReference{Identifier: "c", Datacenter: "d"}
	n.Spec.LaunchDeadline.Duration = 10 * time.Minute
	return n
}

// judging plays steps in a world without services and holds what the judge says of them; nothing is wanted but want.
func judging(t *testing.T, play func(w *world), want string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(smallLife(), t.TempDir(), newRing())
		play(w)
		var got []string
		for _, v := range w.judge.violations {
			got = append(got, v.Invariant)
		}
		if got = slices.Compact(got); want == "" && len(got) > 0 || want != "" && !slices.Equal(got, []string{want}) {
			t.Errorf("the judge says %v, want %q: %+v", got, want, w.judge.violations)
		}
		w.shutdown()
	})
}

// TestJudgeOfRecords has services act, and put on record what they did, something else, or nothing.
func TestJudgeOfRecords(t *testing.T) {
	type published struct {
		launch, retire, hold, paused, refusal, full *busv1.DecisionRecord
		ready, gone                                 *busv1.NodePhaseChanged
	}
	for name, c := range map[string]struct {
		change func(p *published)
		want   string
	}{
		"OnRecord":             {change: func(*published) {}},
		"LaunchNotOnRecord":    {func(p *published) { p.launch = nil }, "I33"},
		"RetireNotOnRecord":    {func(p *published) { p.retire = nil }, "I33"},
		"HoldNotOnRecord":      {func(p *published) { p.hold = nil }, "I33"},
		"ShownNotOnRecord":     {func(p *published) { p.paused = nil }, "I33"},
		"ShownOfAnother":       {func(p *published) { p.paused.VpsieNodes = []string{"another"} }, "I33"},
		"EventNotOnRecord":     {func(p *published) { p.refusal = nil }, "I33"},
		"EventOfAnotherShape":  {func(p *published) { p.refusal.Parameters[reason.ParamShape] = "another" }, "I33"},
		"EventOfAnotherCode":   {func(p *published) { p.refusal.Reason = string(reason.NoScaleUpTaint) }, "I33"},
		"ConditionNotOnRecord": {func(p *published) { p.full = nil }, "I33"},
		"ConditionOfAnother":   {func(p *published) { p.full.NodeGroup = "default/group-1" }, "I33"},
		"ConditionOfNearest": {change: func(p *published) {
			p.full.NodeGroup, p.full.Reason = "default/group-1", string(reason.NoScaleUpFailingTogether)
			delete(p.full.Parameters, reason.ParamMaxNodes)
			p.full.Candidates = []*busv1.Candidate{{Name: "default/group-0", Rejection: string(reason.NoScaleUpGroupMaxSize)}}
		}},
		"PhaseNotOnRecord":    {func(p *published) { p.ready = nil }, "I33"},
		"EndNotOnRecord":      {func(p *published) { p.gone = nil }, "I33"},
		"LaunchOfAnother":     {func(p *published) { p.launch.VpsieNodes = []string{"another"} }, "I33"},
		"LaunchOfAnotherKind": {func(p *published) { p.launch.Kind, p.launch.Reason = p.retire.Kind, p.retire.Reason }, "I33"},
		"NoGroup":             {func(p *published) { p.retire.NodeGroup = "" }, "I33"},
		"NoParameters":        {func(p *published) { p.retire.Parameters = nil }, "I33"},
		"NotCarriedOut": {func(p *published) {
			p.hold.Kind, p.hold.Reason, p.hold.Parameters = p.retire.Kind, p.retire.Reason, p.retire.Parameters
		}, "I33"},
		"AnotherMachine": {func(p *published) { p.ready.Identifier = "m2" }, "I33"},
		"AnotherPhase":   {func(p *published) { p.ready.To = "Failed" }, "I33"},
	} {
		t.Run(name, func(t *testing.T) {
			judging(t, func(w *world) {
				meta, err := proto.Marshal(&feedv1.Meta{Healthy: true})
				w.must(err)
				w.judge.onFeed(meta)
				publish := func(topic bus.Topic, id string, m proto.Message) {
					if reflect.ValueOf(m).IsNil() {
						return
					}
					body, err := proto.Marshal(m)
					w.must(err)
					msg := message.NewMessage(id, body)
					msg.Metadata["ce-id"] = id
					w.judge.onPublished(bus.Subject(topic, "default", "group-0"), msg)
				}
				record := func(id string, kind busv1.DecisionKind, code reason.Code, parameters ...string) *busv1.DecisionRecord {
					r := &busv1.DecisionRecord{
						Id: id, Kind: kind, Reason: string(code), Message: "why", NodeGroup: "default/group-0", VpsieNodes: []string{"machine"}, Parameters: map[string]string{},
						Subject: &busv1.Subject{},
					}
					for _, name := range parameters {
						r.Parameters[name] = "1"
					}
					return r
				}
				ofPods := func(r *busv1.DecisionRecord) *busv1.DecisionRecord {
					r.Subject.Kind = "Pods"
					return r
				}
				p := &published{
					launch:  record("launch", busv1.DecisionKind_DECISION_KIND_SCALE_UP, reason.ScaleUpPendingPods, reason.ParamNodes, reason.ParamOfferings),
					retire:  record("retire", busv1.DecisionKind_DECISION_KIND_REPAIR, reason.RepairNodeNotReady, reason.ParamNode),
					hold:    record("hold", busv1.DecisionKind_DECISION_KIND_HOLD, reason.HoldPaused),
					paused:  record("paused", busv1.DecisionKind_DECISION_KIND_HOLD, reason.NoScaleUpGroupPaused),
					refusal: ofPods(record("refusal", busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP, reason.NoScaleUpResources, reason.ParamShape)),
					full:    ofPods(record("full", busv1.DecisionKind_DECISION_KIND_NO_SCALE_UP, reason.NoScaleUpGroupMaxSize, reason.ParamShape, reason.ParamMaxNodes)),
				}
				planner, provisioner := w.cluster.server.As(Planner+"-1"), w.cluster.server.As(Provisioner+"-1")
				pending, err := proto.Marshal(&feedv1.Pending{Sample: []*feedv1.PodReference{{Uid: "pod-1"}}})
				w.must(err)
				w.judge.onPending("pending.1", pending)
				told := &eventsv1.Event{Reason: "NotTriggerScaleUp", Action: reason.NoScaleUpResources.Condition(), Regarding: corev1.ObjectReference{UID: "pod-1"}}
				told.Namespace, told.Name = "default", "told"
				w.must(planner.Create(told))
				group := &v1beta1.NodeGroup{}
				group.Namespace, group.Name = "default", "group-0"
				group.Spec.Cluster = v1beta1.ClusterReference{Identifier: "cluster", Datacenter: "dc"}
				w.must(planner.Create(group))
				group.Status.Conditions = []metav1.Condition{{Type: v1beta1.ConditionCapacityAvailable, Status: metav1.ConditionFalse, Reason: reason.NoScaleUpGroupMaxSize.Condition()}}
				w.must(planner.UpdateStatus(group))
				n := newMachine()
				n.Spec.DecisionID = "launch"
				w.must(planner.Create(n))
				readyID := string(n.UID) + "." + n.ResourceVersion
				n.Status.Phase, n.Status.NodeName = v1beta1.PhaseReady, "node-1"
				held, err := facts.Text(facts.Decision(t.Context(), "default", "group-0", p.hold))
				w.must(err)
				n.Status.UntoldDecisions = []string{held}
				n.Status.Conditions = []metav1.Condition{{Type: v1beta1.ConditionReady, Status: metav1.ConditionFalse, Reason: reason.NoScaleUpGroupPaused.Condition()}}
				w.must(provisioner.UpdateStatus(n))
				p.ready = &busv1.NodePhaseChanged{Namespace: "default", VpsieNode: n.Name, NodeGroup: "group-0", To: "Ready", NodeName: "node-1", DecisionId: "launch", Offering: 22}
				n.Spec.Retirement = &v1beta1.Retirement{Kind: v1beta1.RetireRepair, DecisionID: "retire", Reason: "repair.not_ready"}
				w.must(planner.Update(n))
				goneID := string(n.UID) + "." + n.ResourceVersion + ".Gone"
				w.must(provisioner.Delete(n, deleteNow))
				p.gone = proto.Clone(p.ready).(*busv1.NodePhaseChanged)
				p.gone.To, p.gone.DecisionId = "Gone", "retire"
				c.change(p)
				publish(bus.TopicDecision, "launch", p.launch)
				publish(bus.TopicDecision, "retire", p.retire)
				publish(bus.TopicDecision, "hold", p.hold)
				publish(bus.TopicDecision, "paused", p.paused)
				publish(bus.TopicDecision, "refusal", p.refusal)
				publish(bus.TopicDecision, "full", p.full)
				publish(bus.TopicPhase, readyID, p.ready)
				publish(bus.TopicPhase, goneID, p.gone)
				w.judge.atEnd()
			}, c.want)
		})
	}
}

// TestJudgeOfReplacements has a provisioner go at a machine that is to be replaced.
func TestJudgeOfReplacements(t *testing.T) {
	ready := func(w *world) { w.putNode("next", true) }
	for name, c := range map[string]struct {
		// next is the machine that takes the other's place, nil for none, and before what happens to it until the other is touched.
		next   func(n *v1beta1.VPSieNode)
		before func(w *world)
		want   string
	}{
		"Ready":             {next: works, before: ready},
		"None":              {want: "D14"},
		"Joins":             {next: func(*v1beta1.VPSieNode) {}, want: "D14"},
		"NodeNotReady":      {next: works, before: func(w *world) { w.putNode("next", true); w.putNode("next", false); time.Sleep(time.Minute) }, want: "D14"},
		"NodeIllJustNow":    {next: works, before: func(w *world) { w.putNode("next", true); w.putNode("next", false) }},
		"NodeNeverReady":    {next: works, before: func(w *world) { w.putNode("next", false) }, want: "D14"},
		"Goes":              {next: works, before: func(w *world) { ready(w); w.retireNext(); time.Sleep(time.Minute) }, want: "D14"},
		"GoesSinceJustNow":  {next: works, before: func(w *world) { ready(w); w.retireNext() }},
		"ReplacesAnother":   {next: func(n *v1beta1.VPSieNode) { works(n); n.Spec.Replaces = []string{"another"} }, before: ready, want: "D14"},
		"PersonWantsItGone": {before: func(w *world) { w.must(w.cluster.server.As("person").Delete(newMachine(), metav1.DeleteOptions{})) }},
	} {
		for what, touch := range map[string]func(w *world, pod *corev1.Pod){"Taint": taintHost, "Evict": evictPod, "Delete": decideDeletion} {
			t.Run(name+"/"+what, func(t *testing.T) {
				judging(t, func(w *world) {
					old := newMachine()
					old.Finalizers = []string{v1beta1.FinalizerMachine}
					w.putMachine(old, "host")
					old.Spec.Retirement = &v1beta1.Retirement{Kind: v1beta1.RetireReplace, DecisionID: "d", Reason: "r"}
					w.must(w.cluster.server.As("person").Update(old))
					if c.next != nil {
						n := newMachine()
						n.Name, n.Spec.Replaces = "next", []string{old.Name}
						c.next(n)
						w.putMachine(n, "next")
					}
					if c.before != nil {
						c.before(w)
					}
					touch(w, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "pod"}, Spec: corev1.PodSpec{NodeName: "host"}})
				}, c.want)
			})
		}
	}
}

func works(n *v1beta1.VPSieNode) { n.Status.ReadyAt = new(metav1.Now()) }

// putMachine makes a machine with its status and the name of its Node.
func (w *world) putMachine(n *v1beta1.VPSieNode, node string) {
	status := n.Status
	w.must(w.cluster.server.As("person").Create(n))
	n.Status = status
	n.Status.NodeName = node
	w.must(w.cluster.server.As("person").UpdateStatus(n))
}

// putNode makes a Node, or changes whether it is Ready.
func (w *world) putNode(name string, ready bool) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	kubelet := w.cluster.server.As("kubelet")
	if there := kubesim.Get[corev1.Node](w.cluster.server, "", name); there != nil {
		node = there.DeepCopy()
	} else {
		w.must(kubelet.Create(node))
	}
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}
	w.must(kubelet.UpdateStatus(node))
}

func (w *world) retireNext() {
	n := kubesim.Get[v1beta1.VPSieNode](w.cluster.server, metav1.NamespaceDefault, "next").DeepCopy()
	n.Spec.Retirement = &v1beta1.Retirement{Kind: v1beta1.RetireScaleDown, DecisionID: "d", Reason: "r"}
	w.must(w.cluster.server.As("person").Update(n))
}

func taintHost(w *world, _ *corev1.Pod) {
	w.judge.mu.Lock()
	defer w.judge.mu.Unlock()
	w.judge.closes("host", Provisioner+"-1")
}

func evictPod(w *world, pod *corev1.Pod) {
	w.judge.onChange(kubesim.Change{
		Request: kubesim.Request{Client: Provisioner + "-1", Verb: "create", Resource: corev1.Resource("pods"), Name: pod.Name, Subresource: "eviction"}, Old: pod,
	})
}

func decideDeletion(w *world, _ *corev1.Pod) {
	n := kubesim.Get[v1beta1.VPSieNode](w.cluster.server, metav1.NamespaceDefault, newMachine().Name).DeepCopy()
	n.Status.DeleteRequestedAt = new(metav1.Now())
	w.must(w.cluster.server.As(Provisioner + "-1").UpdateStatus(n))
}

// TestJudgeOfKinds has services retire a machine for what they may, and for what they may not decide on.
func TestJudgeOfKinds(t *testing.T) {
	for client, wrong := range map[string]v1beta1.RetirementKind{
		Planner + "-1": v1beta1.RetireReplace, Provisioner + "-1": v1beta1.RetireManual, "person": "", rebalancerName: "",
	} {
		judging(t, func(w *world) {
			n := newMachine()
			w.must(w.cluster.server.As("person").Create(n))
			n.Spec.Retirement = &v1beta1.Retirement{Kind: v1beta1.RetireRepair, DecisionID: "d", Reason: "r"}
			if wrong != "" {
				n.Spec.Retirement.Kind = wrong
			}
			w.must(w.cluster.server.As(client).Update(n))
		}, map[bool]string{true: "I26"}[wrong != ""])
	}
}
