//go:build integration

package cluster_test

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/vpsie/vpsie-autoscaler/test/cluster"
)

// patience is how long a condition may take on a busy machine. Each takes a second or two on an idle one.
const patience = 3 * time.Minute

// TestCluster starts one control plane, because that is the slow part, and looks at it from several sides.
func TestCluster(t *testing.T) {
	c, err := cluster.Start(t.Context(), cluster.Options{Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	config, err := c.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	f := fixture{cluster: c, client: client}
	t.Run("NodeKeepsWhatItRegistered", f.nodeKeepsWhatItRegistered)
	t.Run("PodsLiveAndDie", f.podsLiveAndDie)
	t.Run("EvictedPodIsReplaced", f.evictedPodIsReplaced)
	t.Run("DaemonSetRunsOnEveryNode", f.daemonSetRunsOnEveryNode)
	t.Run("UnmarkedNodeIsLeftAlone", f.unmarkedNodeIsLeftAlone)
	t.Run("IdentityHasOnlyItsOwnRights", f.identityHasOnlyItsOwnRights)
	t.Run("KubectlHasTheServersVersion", f.kubectlHasTheServersVersion)
}

type fixture struct {
	cluster *cluster.Cluster
	client  kubernetes.Interface
}

func (f fixture) nodeKeepsWhatItRegistered(t *testing.T) {
	registered := machine("keeps", "4", "8Gi")
	registered.Status.Allocatable[corev1.ResourceCPU] = resource.MustParse("3800m")
	began := time.Now()
	f.addNode(t, registered)
	node := f.nodeReady(t, "keeps")
	t.Logf("ready after %s", time.Since(began).Round(time.Millisecond))

	if !equality.Semantic.DeepEqual(node.Status.Capacity, registered.Status.Capacity) {
		t.Errorf("capacity = %v, want %v", node.Status.Capacity, registered.Status.Capacity)
	}
	if !equality.Semantic.DeepEqual(node.Status.Allocatable, registered.Status.Allocatable) {
		t.Errorf("allocatable = %v, want %v", node.Status.Allocatable, registered.Status.Allocatable)
	}
	if !equality.Semantic.DeepEqual(node.Status.Addresses, registered.Status.Addresses) {
		t.Errorf("addresses = %v, want %v", node.Status.Addresses, registered.Status.Addresses)
	}
	if got := node.Status.NodeInfo.KubeletVersion; got != "v1.36.9" {
		t.Errorf("kubelet version = %s, want the registered one", got)
	}
	if node.Labels["pool"] != "keeps" {
		t.Errorf("labels = %v, want the registered ones", node.Labels)
	}
	eventually(t, "the node's lease is renewed", func(ctx context.Context) (bool, error) {
		lease, err := f.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, "keeps", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return lease.Spec.RenewTime != nil, nil
	})
	eventually(t, "the node is open to pods", func(ctx context.Context) (bool, error) {
		node, err := f.client.CoreV1().Nodes().Get(ctx, "keeps", metav1.GetOptions{})
		return err == nil && len(node.Spec.Taints) == 0, err
	})
}

func (f fixture) podsLiveAndDie(t *testing.T) {
	f.addNode(t, machine("pods", "2", "4Gi"))
	f.nodeReady(t, "pods")
	d := deployment("web", "pods", 6)
	if _, err := f.client.AppsV1().Deployments("default").Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// Two processors hold four pods of half a processor, so the other two must wait.
	eventually(t, "four pods run with an address and two are unschedulable", func(ctx context.Context) (bool, error) {
		pods, err := f.pods(ctx, "web")
		if err != nil {
			return false, err
		}
		running, waiting := 0, 0
		for _, p := range pods {
			if p.Status.Phase == corev1.PodRunning && p.Status.PodIP != "" && p.Spec.NodeName == "pods" {
				running++
			}
			if p.Status.Phase == corev1.PodPending && hasCondition(p, corev1.PodScheduled, corev1.ConditionFalse) {
				waiting++
			}
		}
		return running == 4 && waiting == 2, nil
	})
	eventually(t, "the deployment sees them", func(ctx context.Context) (bool, error) {
		d, err := f.client.AppsV1().Deployments("default").Get(ctx, "web", metav1.GetOptions{})
		return err == nil && d.Status.AvailableReplicas == 4, err
	})

	scale, err := f.client.AppsV1().Deployments("default").GetScale(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	scale.Spec.Replicas = 0
	if _, err := f.client.AppsV1().Deployments("default").UpdateScale(t.Context(), "web", scale, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no pod is left", func(ctx context.Context) (bool, error) {
		pods, err := f.pods(ctx, "web")
		return err == nil && len(pods) == 0, err
	})
}

func (f fixture) evictedPodIsReplaced(t *testing.T) {
	f.addNode(t, machine("evict", "2", "4Gi"))
	f.nodeReady(t, "evict")
	if _, err := f.client.AppsV1().Deployments("default").Create(t.Context(), deployment("api", "evict", 1), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	first := f.onlyRunning(t, "api", "")
	err := f.client.CoreV1().Pods("default").EvictV1(t.Context(), &policyv1.Eviction{
		ObjectMeta: metav1.ObjectMeta{Name: first.Name, Namespace: "default"},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.onlyRunning(t, "api", first.Name)
}

func (f fixture) daemonSetRunsOnEveryNode(t *testing.T) {
	for _, name := range []string{"daemon-a", "daemon-b"} {
		n := machine(name, "1", "1Gi")
		n.Labels["pool"] = "daemons"
		f.addNode(t, n)
		f.nodeReady(t, name)
	}
	ds := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "agent"},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "agent"}},
			Template: podTemplate("agent", "daemons", "100m"),
		},
	}
	if _, err := f.client.AppsV1().DaemonSets("kube-system").Create(t.Context(), ds, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a daemon pod is ready on both nodes", func(ctx context.Context) (bool, error) {
		ds, err := f.client.AppsV1().DaemonSets("kube-system").Get(ctx, "agent", metav1.GetOptions{})
		return err == nil && ds.Status.NumberReady == 2 && ds.Status.DesiredNumberScheduled == 2, err
	})
}

func (f fixture) unmarkedNodeIsLeftAlone(t *testing.T) {
	stranger := machine("stranger", "1", "1Gi")
	stranger.Annotations = nil
	f.addNode(t, stranger)
	// A marked node created later has become ready, so KWOK has passed the stranger by.
	f.addNode(t, machine("later", "1", "1Gi"))
	f.nodeReady(t, "later")
	node, err := f.client.CoreV1().Nodes().Get(t.Context(), "stranger", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if isReady(node) {
		t.Error("a node without the annotation became ready")
	}
}

func (f fixture) identityHasOnlyItsOwnRights(t *testing.T) {
	id := cluster.ServiceAccount("default", "reader")
	config, err := f.cluster.RESTConfigFor(id)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Fatalf("list pods without a binding: error %v, want forbidden", err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: "reader"}},
	}
	if _, err := f.client.RbacV1().RoleBindings("default").Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the account may list pods", func(ctx context.Context) (bool, error) {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "default", Verb: "list", Resource: "pods"},
		}}
		review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		return err == nil && review.Status.Allowed, err
	})
	if _, err := client.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list secrets with the role view: error %v, want forbidden", err)
	}
}

func (f fixture) kubectlHasTheServersVersion(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), f.cluster.Kubectl, "--kubeconfig", f.cluster.Kubeconfig, "version")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl version: %v\n%s", err, out)
	}
	server, err := f.client.Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Client Version: " + server.GitVersion, "Server Version: " + server.GitVersion} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("kubectl version does not say %q:\n%s", want, out)
		}
	}
}

func (f fixture) addNode(t *testing.T, node *corev1.Node) {
	t.Helper()
	if _, err := f.client.CoreV1().Nodes().Create(t.Context(), node.DeepCopy(), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (f fixture) nodeReady(t *testing.T, name string) *corev1.Node {
	t.Helper()
	var ready *corev1.Node
	eventually(t, fmt.Sprintf("node %s is ready", name), func(ctx context.Context) (bool, error) {
		node, err := f.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		ready = node
		return err == nil && isReady(node), err
	})
	return ready
}

// onlyRunning waits until the one pod of app runs and has another name than the given one.
func (f fixture) onlyRunning(t *testing.T, app, not string) corev1.Pod {
	t.Helper()
	var pod corev1.Pod
	eventually(t, "one pod of "+app+" runs", func(ctx context.Context) (bool, error) {
		pods, err := f.pods(ctx, app)
		if err != nil || len(pods) != 1 {
			return false, err
		}
		pod = pods[0]
		return pod.Status.Phase == corev1.PodRunning && pod.Name != not, nil
	})
	return pod
}

func (f fixture) pods(ctx context.Context, app string) ([]corev1.Pod, error) {
	list, err := f.client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: "app=" + app})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// machine returns a Node as a kubelet would register it, which only runs pods of the pool it is named after.
func machine(name, cpu, memory string) *corev1.Node {
	resources := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse(cpu),
		corev1.ResourceMemory: resource.MustParse(memory),
		corev1.ResourcePods:   resource.MustParse("110"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Labels:      map[string]string{"pool": name, corev1.LabelHostname: name},
			Annotations: map[string]string{cluster.NodeAnnotation: cluster.NodeAnnotationValue},
		},
		Status: corev1.NodeStatus{
			Capacity:    resources,
			Allocatable: resources.DeepCopy(),
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: "192.0.2.7"},
				{Type: corev1.NodeHostName, Address: name},
			},
			NodeInfo: corev1.NodeSystemInfo{KubeletVersion: "v1.36.9"},
		},
	}
}

func deployment(app, pool string, replicas int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: app},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}},
			Template: podTemplate(app, pool, "500m"),
		},
	}
}

func podTemplate(app, pool, cpu string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}},
		Spec: corev1.PodSpec{
			NodeSelector: map[string]string{"pool": pool},
			// Only a kubelet would wait for the grace period, which is longer than the tests' patience.
			TerminationGracePeriodSeconds: new(int64(2 * patience / time.Second)),
			Containers: []corev1.Container{{
				Name:  "main",
				Image: "example.com/" + app,
				Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)},
				},
			}},
		},
	}
}

func isReady(node *corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func hasCondition(pod corev1.Pod, kind corev1.PodConditionType, status corev1.ConditionStatus) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind {
			return c.Status == status
		}
	}
	return false
}

// eventually polls the API server until the condition holds; its last error explains a timeout.
func eventually(t *testing.T, what string, condition wait.ConditionWithContextFunc) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		ok, err := condition(ctx)
		last = err
		return ok && err == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v (last error: %v)", what, err, last)
	}
}
