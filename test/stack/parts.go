package stack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/kube"
	"github.com/vpsie/vpsie-autoscaler/test/build"
	"github.com/vpsie/vpsie-autoscaler/test/cluster"
	"github.com/vpsie/vpsie-autoscaler/test/process"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// simDefaults make the simulated cloud quick and wide.
var simDefaults = []string{"--list-delay=1s", "--boot-delay=2s", "--delete-delay=1s", "--worker-cap=100"}

// build builds everything of ours. The folder outlives the stack, so that the next start is quick.
func (s *Stack) build(ctx context.Context) error {
	root, err := build.Root()
	if err != nil {
		return err
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("find cache folder: %w", err)
	}
	// Each work tree has its own commands.
	tree := fmt.Sprintf("%x", sha256.Sum256([]byte(root)))[:12]
	packages := []string{"./services/bus-admin/cmd/bus-admin", "./test/vpsiesim/cmd/vpsiesim"}
	for _, name := range Services() {
		packages = append(packages, fmt.Sprintf("./services/%s/cmd/%s", name, name))
	}
	s.commands, err = build.Commands(ctx, s.log, filepath.Join(user, "vpsie-autoscaler", "commands-"+tree), packages...)
	return err
}

// startCluster starts a control plane, or takes the one that was given.
func (s *Stack) startCluster(ctx context.Context) error {
	if s.options.Kubeconfig != "" {
		tools, err := build.Tools(ctx, s.log, "kubectl")
		if err != nil {
			return err
		}
		s.Kubectl = tools["kubectl"]
		s.Kubeconfig, err = filepath.Abs(s.options.Kubeconfig)
		fmt.Fprintf(s.log, "stack: use the cluster of %s\n", s.Kubeconfig)
		return err
	}
	c, err := cluster.Start(ctx, cluster.Options{Dir: s.path("kubernetes"), Log: s.log, AuditedNamespace: Namespace})
	if err != nil {
		return err
	}
	s.cluster, s.Kubeconfig, s.Kubectl = c, c.Kubeconfig, c.Kubectl
	return nil
}

func (s *Stack) startNATS(ctx context.Context) (err error) {
	s.NATS, err = cluster.StartNATS(ctx, cluster.NATSOptions{Dir: s.path("nats"), Log: s.log})
	return err
}

// connect makes the clients. Their libraries log through globals; what they complain about, such as
// a control plane that ends before they do, is of no use here.
func (s *Stack) connect(context.Context) error {
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig %q: %w", s.Kubeconfig, err)
	}
	config.QPS = -1
	s.config = config
	scheme, err := kube.Scheme()
	if err != nil {
		return err
	}
	if s.Client, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	if s.Kube, err = kubernetes.NewForConfig(config); err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	return nil
}

// refuseStrangers keeps the stack away from clusters that somebody uses: the simulated cloud plays
// the machines here, and what other NodeGroups do would be judged as ours.
func (s *Stack) refuseStrangers(ctx context.Context) error {
	if s.cluster != nil {
		return nil
	}
	var nodes corev1.NodeList
	if err := s.Client.List(ctx, &nodes); err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	for _, node := range nodes.Items {
		if node.Annotations[cluster.NodeAnnotation] != cluster.NodeAnnotationValue {
			return fmt.Errorf("cluster of %s has the real node %s; give a cluster whose nodes KWOK plays", s.Kubeconfig, node.Name)
		}
	}
	var groups v1beta1.NodeGroupList
	if err := s.Client.List(ctx, &groups); err != nil {
		return fmt.Errorf("list NodeGroups: %w", err)
	}
	if len(groups.Items) > 0 {
		return fmt.Errorf("cluster of %s has the NodeGroup %s; delete it first", s.Kubeconfig, client.ObjectKeyFromObject(&groups.Items[0]))
	}
	return nil
}

func (s *Stack) startSimulator(ctx context.Context) error {
	addresses, err := freeAddresses(2)
	if err != nil {
		return err
	}
	s.simURL = "http://" + addresses[0]
	s.Sim = &vpsiesim.AdminClient{URL: "http://" + addresses[1]}
	args := append([]string{
		"--listen=" + addresses[0], "--admin-listen=" + addresses[1], "--kubeconfig=" + s.Kubeconfig,
		// A cluster that was there before may still have Nodes of an earlier cloud.
		fmt.Sprintf("--seed=%d", rand.Uint64()),
	}, simDefaults...)
	p, err := s.help("vpsiesim", append(args, s.options.SimArgs...)...)
	if err != nil {
		return err
	}
	return process.Await(ctx, process.HTTPProbe("vpsiesim", s.Sim.URL+"/admin/healthz", nil), p)
}

// startBusAdmin starts what makes streams and consumers, again and again when NATS comes back empty.
func (s *Stack) startBusAdmin(context.Context) error {
	_, err := s.help("bus-admin", "--bus-url="+s.NATS.URL, "--keep")
	return err
}

// help starts a process that the services need.
func (s *Stack) help(name string, args ...string) (*process.Process, error) {
	fmt.Fprintf(s.log, "stack: start %s\n", name)
	p, err := process.Start(process.Options{
		Name: name, Path: s.commands[name], Args: args, LogFile: s.path("logs", name+".log"),
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.helpers = append(s.helpers, p)
	return p, nil
}

// SimURL is where the simulated cloud's own API listens.
func (s *Stack) SimURL() string { return s.simURL }

// errUnknownService is returned for a name that Services does not list.
var errUnknownService = errors.New("unknown service")

func known(name string) error {
	if !slices.Contains(Services(), name) {
		return fmt.Errorf("%w %q; there are %s", errUnknownService, name, strings.Join(Services(), ", "))
	}
	return nil
}
