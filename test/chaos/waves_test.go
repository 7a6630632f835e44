//go:build chaos

package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/process"
	"github.com/vpsie/vpsie-autoscaler/test/stack/stacktest"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

const (
	// settlePatience is how long everything may take to come to rest after the storm. A node whose drain was
	// aborted is left alone for five minutes.
	settlePatience = 8 * time.Minute
	// tide is how long a wave waits for its machines before the next one comes all the same.
	tide = 8 * time.Second
	// wavesMin is how often work comes and goes at least, wavesMax at most.
	wavesMin  = 2
	wavesMax  = 50
	lookEvery = 200 * time.Millisecond
)

// ride lets work come and go until the storm is over, and then leaves some of it: in the end every pod runs and
// nothing is left over.
func (s *storm) ride() {
	s.t.Helper()
	over := s.over()
	for wave := range wavesMax {
		var enough <-chan struct{}
		if wave >= wavesMin {
			enough = over
		}
		if isClosed(enough) {
			break
		}
		s.wave(3+s.dice.IntN(4), enough)
		s.wave(s.dice.IntN(3), enough)
	}
	s.settles(1 + s.dice.IntN(3))
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// wave changes how much work there is, and waits until the machines are there, but not for ever, and not when
// there were enough waves.
func (s *storm) wave(pods int, enough <-chan struct{}) {
	s.t.Helper()
	s.Eventually("the Nodes of machines that are to go are cordoned", s.cordoned)
	s.Scale(work, pods)
	ctx, cancel := context.WithTimeout(s.t.Context(), tide)
	defer cancel()
	for lapse(ctx, lookEvery) && !isClosed(enough) {
		if s.unrest(ctx, pods) == nil {
			s.say("%d pods run on as many machines", pods)
			return
		}
	}
	s.say("%d pods are wanted", pods)
}

// cordoned reports whether pods keep away from the machines that are to go. A drain that finds new pods is aborted,
// and then the product leaves the machine alone for longer than these tests want to wait.
func (s *storm) cordoned(ctx context.Context) (bool, string) {
	machines, err := s.VPSieNodes(ctx)
	if err != nil {
		return false, err.Error()
	}
	for _, n := range machines {
		if n.Spec.Retirement == nil || n.Status.NodeName == "" {
			continue
		}
		node := &corev1.Node{}
		err := s.Client.Get(ctx, client.ObjectKey{Name: n.Status.NodeName}, node)
		if client.IgnoreNotFound(err) != nil {
			return false, err.Error()
		}
		if err == nil && !node.Spec.Unschedulable {
			return false, "Node " + node.Name + " is not"
		}
	}
	return true, ""
}

// settles leaves an amount of work and waits until it runs and everything else is as if nothing had happened.
func (s *storm) settles(pods int) {
	s.t.Helper()
	s.Scale(work, pods)
	s.Within(settlePatience, fmt.Sprintf("%d pods run on as many machines and everything is at rest", pods), func(ctx context.Context) (bool, string) {
		if err := errors.Join(s.unrest(ctx, pods), s.unready(ctx), s.findings(ctx)); err != nil {
			return false, err.Error()
		}
		return true, ""
	})
	s.say("%d pods run on as many machines, and everything is at rest", pods)
}

// unrest says what keeps pods, machines and Nodes from being just what the work needs.
func (s *storm) unrest(ctx context.Context, want int) error {
	pods, err := s.Pods(ctx, work)
	if err != nil {
		return err
	}
	running := 0
	for _, pod := range pods {
		if pod.Status.Phase == corev1.PodRunning {
			running++
		}
	}
	var problems []error
	if running != want || len(pods) != want {
		problems = append(problems, fmt.Errorf("%d of %d pods run", running, len(pods)))
	}
	machines, err := s.VPSieNodes(ctx)
	if err != nil {
		return err
	}
	inUse := 0
	for _, n := range machines {
		switch {
		case n.Status.Phase == v1beta1.PhaseReady && n.Spec.Retirement == nil && n.DeletionTimestamp == nil:
			inUse++
		case n.Status.Phase == v1beta1.PhaseFailed && n.Spec.Retirement == nil && stacktest.HasNoMachine(&n):
			// It says why something failed, and waits for answers that come late.
		default:
			problems = append(problems, fmt.Errorf("VPSieNode %s is %s", n.Name, n.Status.Phase))
		}
	}
	if inUse != want {
		problems = append(problems, fmt.Errorf("%d VPSieNodes are in use", inUse))
	}
	problems = append(problems, s.untidy(ctx, want), s.unpaid(want))
	return errors.Join(problems...)
}

// untidy says which Nodes are too many, do not work, or are kept from pods.
func (s *storm) untidy(ctx context.Context, want int) error {
	var nodes corev1.NodeList
	if err := s.Client.List(ctx, &nodes, client.MatchingLabels{workload.LabelPool: s.Namespace}); err != nil {
		return err
	}
	var problems []error
	if len(nodes.Items) != want {
		problems = append(problems, fmt.Errorf("there are %d Nodes", len(nodes.Items)))
	}
	for i := range nodes.Items {
		node := &nodes.Items[i]
		if node.Spec.Unschedulable || node.Annotations[v1beta1.AnnotationCordoned] != "" || !workload.IsReady(node) {
			problems = append(problems, fmt.Errorf("Node %s is cordoned or not Ready", node.Name))
		}
		for _, taint := range node.Spec.Taints {
			if strings.HasPrefix(taint.Key, v1beta1.GroupVersion.Group) {
				problems = append(problems, fmt.Errorf("Node %s has the taint %s", node.Name, taint.Key))
			}
		}
	}
	return errors.Join(problems...)
}

// unpaid says whether another number of machines is paid for.
func (s *storm) unpaid(want int) error {
	alive := 0
	for _, m := range s.Launched() {
		if m.GoneAt.IsZero() {
			alive++
		}
	}
	if alive != want {
		return fmt.Errorf("%d machines are paid for", alive)
	}
	return nil
}

// unready says which services do not work.
func (s *storm) unready(ctx context.Context) error {
	var problems []error
	for _, service := range s.services() {
		problems = append(problems, process.HTTPProbe(service.Name, service.OpsURL+"/readyz", nil)(ctx))
	}
	return errors.Join(problems...)
}

// findings is what the ledger of the simulated cloud shows against the product.
func (s *storm) findings(ctx context.Context) error {
	verdict, err := s.Judge(ctx)
	if err != nil {
		return err
	}
	if !verdict.Clean() {
		return fmt.Errorf("the ledger shows %+v", verdict)
	}
	return nil
}
