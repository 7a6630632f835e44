package load

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
	"github.com/vpsie/vpsie-autoscaler/test/workload"
)

const (
	// keep is an unneededFor that no run lasts for.
	keep = 24 * time.Hour
	// wavePods is how many pods a fleet is filled with at a time. With all that wait together it is the control plane that is measured:
	// kube-scheduler tries all of them again whenever a Node comes, and what is left of two cores is little.
	wavePods = 3000
	// calmFor is how long all pods must run before they count as running.
	calmFor = 2 * time.Second
)

// Fleet is NodeGroups that launch the machines of one VPSie cluster, with a Deployment each whose pods keep to their group's machines. What else is
// launched in the stack meanwhile would count as the fleet's.
type Fleet struct {
	*stack.Stack
	Namespace string
	Size      Size

	pods kubernetes.Interface
	// pending are the pods that do not run yet.
	pending cache.Store
	// before is how many machines the ledger had when the fleet was made.
	before int
	groups []*v1beta1.NodeGroup
}

// New makes the NodeGroups and, without pods as yet, the Deployments in a namespace that is there, and returns when
// machines can be launched. Empty machines are retired after unneededFor; zero keeps them until Empty. The fleet may be used until ctx ends.
func New(ctx context.Context, s *stack.Stack, namespace string, size Size, unneededFor time.Duration) (*Fleet, error) {
	if err := size.Validate(); err != nil {
		return nil, err
	}
	config := s.RESTConfig()
	config.ContentType = runtime.ContentTypeProtobuf
	pods, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	if unneededFor == 0 {
		unneededFor = keep
	}
	f := &Fleet{Stack: s, Namespace: namespace, Size: size, pods: pods}
	truth, err := s.Sim.Truth(ctx)
	if err != nil {
		return nil, fmt.Errorf("read ground truth: %w", err)
	}
	f.before = len(truth.Machines)
	for i := range size.Groups {
		group := f.group(i)
		group.Spec.ScaleDown.UnneededFor = &metav1.Duration{Duration: unneededFor}
		if err := s.Client.Create(ctx, group); err != nil {
			return nil, fmt.Errorf("create NodeGroup %s: %w", group.Name, err)
		}
		f.groups = append(f.groups, group)
		if err := s.Client.Create(ctx, f.deployment(i)); err != nil {
			return nil, fmt.Errorf("create Deployment %s: %w", group.Name, err)
		}
	}
	if err := f.watchPending(ctx); err != nil {
		return nil, err
	}
	return f, until(ctx, s.Err, "every NodeGroup is Ready", func() (bool, string, error) { return f.allReady(ctx) })
}

// group returns a NodeGroup that never has too few machines for its share, samples included.
func (f *Fleet) group(i int) *v1beta1.NodeGroup {
	share := f.Size.Nodes/f.Size.Groups + f.Size.Samples/f.Size.Groups + 1
	// Twice as many, so that it shows when more are launched than are needed.
	group := workload.NodeGroup(f.Namespace, f.name(i), int32(2*share))
	group.Spec.Template.Labels[workload.LabelPool] = f.pool(i)
	return group
}

func (f *Fleet) deployment(i int) *appsv1.Deployment {
	d := workload.Deployment(f.Namespace, f.name(i), 0, f.Size.podRequests())
	d.Spec.Template.Spec.NodeSelector[workload.LabelPool] = f.pool(i)
	d.Spec.Template.Spec.TerminationGracePeriodSeconds = new(int64(0))
	return d
}

func (f *Fleet) name(i int) string { return fmt.Sprintf("g%03d", i) }

func (f *Fleet) pool(i int) string { return f.Namespace + "-" + f.name(i) }

func (f *Fleet) allReady(ctx context.Context) (bool, string, error) {
	var list v1beta1.NodeGroupList
	if err := f.Client.List(ctx, &list, client.InNamespace(f.Namespace)); err != nil {
		return false, "", fmt.Errorf("list NodeGroups: %w", err)
	}
	ready := 0
	for i := range list.Items {
		conditions := list.Items[i].Status.Conditions
		if meta.IsStatusConditionTrue(conditions, v1beta1.ConditionReady) && meta.IsStatusConditionTrue(conditions, v1beta1.ConditionAPIHealthy) {
			ready++
		}
	}
	return ready == f.Size.Groups, fmt.Sprintf("%d of %d are", ready, f.Size.Groups), nil
}

// Scale changes how many pods a group's Deployment has.
func (f *Fleet) Scale(ctx context.Context, group, replicas int) error {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: f.name(group)}}
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	if err := f.Client.Patch(ctx, d, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("scale Deployment %s: %w", d.Name, err)
	}
	return nil
}

// Launched returns the machines that the fleet asked for, without those that the simulated cloud lost.
func (f *Fleet) Launched(ctx context.Context) ([]vpsiesim.Machine, error) {
	truth, err := f.Sim.Truth(ctx)
	if err != nil {
		return nil, fmt.Errorf("read ground truth: %w", err)
	}
	var launched []vpsiesim.Machine
	for _, m := range truth.Machines[f.before:] {
		if !m.Foreign && m.State != "lost" {
			launched = append(launched, m)
		}
	}
	return launched, nil
}

// Fill scales every group to its share of the pods, a few groups at a time, and returns when all of them run and every machine is Ready.
func (f *Fleet) Fill(ctx context.Context) (Filled, error) {
	if err := f.Sim.ResetCalls(ctx); err != nil {
		return Filled{}, fmt.Errorf("reset counts of calls: %w", err)
	}
	began := time.Now()
	share := f.Size.Pods / f.Size.Groups
	for i := range f.Size.Groups {
		if err := f.Scale(ctx, i, share); err != nil {
			return Filled{}, err
		}
		// The rest of a wave comes together, and the next one when all before it run.
		if pods := (i + 1) * share; i == f.Size.Groups-1 || (i+1)%max(wavePods/share, 1) == 0 {
			if err := f.awaitPods(ctx, pods); err != nil {
				return Filled{}, err
			}
		}
	}
	filled := Filled{Took: time.Since(began) - calmFor}
	if err := f.AwaitMachines(ctx); err != nil {
		return Filled{}, err
	}
	launched, err := f.Launched(ctx)
	if err != nil {
		return Filled{}, err
	}
	filled.Machines = len(launched)
	filled.Calls, err = f.Sim.Calls(ctx)
	return filled, err
}

// Filled is what came of filling a fleet.
type Filled struct {
	// Took is the time until every pod ran.
	Took     time.Duration
	Machines int
	Calls    vpsiesim.Calls
}

// AwaitPods returns when all pods of the fleet's size run.
func (f *Fleet) AwaitPods(ctx context.Context) error { return f.awaitPods(ctx, f.Size.Pods) }

// awaitPods looks at phases: KWOK does not make a pod Ready again whose Node was silent for a while, as a kubelet does.
// What two watches tell need not be of the same moment, so it must be so for a while.
func (f *Fleet) awaitPods(ctx context.Context, want int) error {
	var since time.Time
	return until(ctx, f.Err, fmt.Sprintf("%d pods run", want), func() (bool, string, error) {
		var list appsv1.DeploymentList
		if err := f.Client.List(ctx, &list, client.InNamespace(f.Namespace)); err != nil {
			return false, "", fmt.Errorf("list Deployments: %w", err)
		}
		all := 0
		for i := range list.Items {
			all += int(list.Items[i].Status.Replicas)
		}
		waiting := len(f.pending.ListKeys())
		if all != want || waiting > 0 {
			since = time.Time{}
		} else if since.IsZero() {
			since = time.Now()
		}
		return !since.IsZero() && time.Since(since) >= calmFor, fmt.Sprintf("there are %d, and %d of them do not", all, waiting), nil
	})
}

// watchPending keeps the pods that do not run yet, until ctx ends. To list them again and again would keep the API server busy: it looks at all.
func (f *Fleet) watchPending(ctx context.Context) error {
	pending := cache.NewListWatchFromClient(f.pods.CoreV1().RESTClient(), "pods", f.Namespace, fields.OneTermEqualSelector("status.phase", string(corev1.PodPending)))
	store, informer := cache.NewInformerWithOptions(cache.InformerOptions{ListerWatcher: pending, ObjectType: &corev1.Pod{}, Handler: cache.ResourceEventHandlerFuncs{}})
	f.pending = store
	go informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return fmt.Errorf("watch pods: %w", ctx.Err())
	}
	return nil
}

// AwaitMachines returns when no machine is on its way or leaving.
func (f *Fleet) AwaitMachines(ctx context.Context) error {
	return until(ctx, f.Err, "every machine is Ready", func() (bool, string, error) {
		var list v1beta1.VPSieNodeList
		if err := f.Client.List(ctx, &list, client.InNamespace(f.Namespace)); err != nil {
			return false, "", fmt.Errorf("list VPSieNodes: %w", err)
		}
		ready := 0
		for i := range list.Items {
			if n := &list.Items[i]; n.Status.Phase == v1beta1.PhaseReady && n.Spec.Retirement == nil && n.DeletionTimestamp == nil {
				ready++
			}
		}
		return ready == len(list.Items), fmt.Sprintf("%d of %d are", ready, len(list.Items)), nil
	})
}

// labelSample marks the pods that come one by one.
const labelSample = "sample"

// clear deletes the pods of every Deployment and returns when the last is gone. Those that came one by one stay.
func (f *Fleet) clear(ctx context.Context) error {
	for i := range f.Size.Groups {
		if err := f.Scale(ctx, i, 0); err != nil {
			return err
		}
	}
	return until(ctx, f.Err, "every pod of a Deployment is gone", func() (bool, string, error) {
		// One page of one pod, and how many more there are.
		list, err := f.pods.CoreV1().Pods(f.Namespace).List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil {
			return false, "", fmt.Errorf("list pods: %w", err)
		}
		left := len(list.Items)
		if list.RemainingItemCount != nil {
			left += int(*list.RemainingItemCount)
		}
		return left == f.Size.Samples, fmt.Sprintf("%d pods are left", left), nil
	})
}

// sample returns a pod that needs a machine of its own in a group.
func (f *Fleet) sample(number, group int) *corev1.Pod {
	zero := int64(0)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: fmt.Sprintf("sample-%03d", number), Labels: map[string]string{labelSample: "true"}},
		Spec: corev1.PodSpec{
			NodeSelector:                  map[string]string{workload.LabelPool: f.pool(group)},
			TerminationGracePeriodSeconds: &zero,
			Containers: []corev1.Container{{
				Name: "main", Image: "example.com/sample", Resources: corev1.ResourceRequirements{Requests: workload.OnePerNode},
			}},
		},
	}
}
