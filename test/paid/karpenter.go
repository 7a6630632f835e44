package paid

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/vpsie/vpsie-autoscaler/test/cluster"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
	"github.com/vpsie/vpsie-autoscaler/test/process"
)

// Karpenter is a build of Karpenter with its kwok provider.
type Karpenter struct {
	// Path is the program, CRDs are the folders of its custom resource definitions.
	Path string
	CRDs []string
}

// karpenterMiB is what Karpenter's kwok provider takes off a machine's memory; its other reservation, 100 millicores, is the neutral
// catalogue's.
const karpenterMiB = 10

// pool lets Karpenter launch every type as it pleases. A Node takes three seconds, as a machine of the simulated cloud does. Nodes are not
// disrupted: consolidation evicts pods, and nobody makes these again.
const pool = `apiVersion: karpenter.kwok.sh/v1alpha1
kind: KWOKNodeClass
metadata: {name: neutral}
spec: {nodeRegistrationDelay: 3s}
---
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: neutral}
spec:
  disruption: {budgets: [{nodes: "0"}]}
  template:
    spec:
      nodeClassRef: {group: karpenter.kwok.sh, kind: KWOKNodeClass, name: neutral}
      requirements:
      - {key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}
`

// Run runs a case through Karpenter with its own defaults on a control plane as the product gets one.
func (k Karpenter) Run(ctx context.Context, c Case, log io.Writer) (Row, error) {
	dir, err := os.MkdirTemp("", "karpenter-paid-")
	if err != nil {
		return Row{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	plane, err := cluster.Start(ctx, cluster.Options{Dir: filepath.Join(dir, "kubernetes"), Log: log})
	if err != nil {
		return Row{}, err
	}
	row, err := k.run(ctx, c, plane, dir)
	return row, errors.Join(err, plane.Stop())
}

func (k Karpenter) run(ctx context.Context, c Case, plane *cluster.Cluster, dir string) (Row, error) {
	for _, crds := range k.CRDs {
		if err := kubectl(ctx, plane, nil, "apply", "--server-side", "-f", crds); err != nil {
			return Row{}, err
		}
	}
	types := filepath.Join(dir, "types.json")
	if err := writeTypes(types, c.Workload.Types); err != nil {
		return Row{}, err
	}
	p, err := k.start(plane, dir, types)
	if err != nil {
		return Row{}, err
	}
	defer p.Kill()
	applied := func() (bool, error) {
		return kubectl(ctx, plane, strings.NewReader(pool), "apply", "-f", "-") == nil, nil
	}
	if err := until(ctx, readyTimeout, "the NodePool is accepted", applied); err != nil {
		return Row{}, err
	}
	if err := until(ctx, readyTimeout, "the NodePool is Ready", func() (bool, error) {
		return kubectl(ctx, plane, nil, "wait", "--for=condition=Ready", "--timeout=1s", "nodepool/neutral") == nil, nil
	}); err != nil {
		return Row{}, fmt.Errorf("%w; %s", err, process.Tail(p.LogFile))
	}
	config, err := plane.RESTConfig()
	if err != nil {
		return Row{}, err
	}
	config.QPS, config.ContentType = -1, runtime.ContentTypeProtobuf
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return Row{}, err
	}
	row, last, err := bind(ctx, c, client, func() error {
		select {
		case <-p.Done():
			return p.Failure()
		default:
			return nil
		}
	})
	if err != nil {
		return Row{}, fmt.Errorf("%w; %s", err, process.Tail(p.LogFile))
	}
	row.Decisions, row.Late, err = karpenterDecisions(p.LogFile, last)
	if err != nil {
		return Row{}, err
	}
	return row, await(ctx, &row, func(row *Row) (int, error) { return karpenterPays(ctx, row, client, c.Workload.Types) })
}

// karpenterPays adds the prices of the Nodes up, which are the machines here.
func karpenterPays(ctx context.Context, row *Row, client kubernetes.Interface, types []workload.Type) (int, error) {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("list nodes: %w", err)
	}
	prices := map[string]float64{}
	for i := range types {
		prices[types[i].Name] = types[i].PriceHour
	}
	row.PaidHour, row.Machines = 0, len(nodes.Items)
	for i := range nodes.Items {
		price, known := prices[nodes.Items[i].Labels[corev1.LabelInstanceTypeStable]]
		if !known {
			return 0, fmt.Errorf("node %s is of no known type", nodes.Items[i].Name)
		}
		row.PaidHour += price
	}
	return len(nodes.Items), nil
}

func (k Karpenter) start(plane *cluster.Cluster, dir, types string) (*process.Process, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	return process.Start(process.Options{
		Name: "karpenter", Path: k.Path, LogFile: filepath.Join(dir, "karpenter.log"),
		Env: []string{
			"KUBECONFIG=" + plane.Kubeconfig, "INSTANCE_TYPES_FILE_PATH=" + types, "DISABLE_LEADER_ELECTION=true", "SYSTEM_NAMESPACE=kube-system",
			"METRICS_PORT=" + ports[0], "HEALTH_PROBE_PORT=" + ports[1], "KUBE_CLIENT_QPS=1000", "KUBE_CLIENT_BURST=2000",
		},
	})
}

func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }()
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

// writeTypes writes the neutral catalogue as Karpenter's kwok provider reads it.
func writeTypes(file string, types []workload.Type) error {
	type requirement struct {
		Key      string   `json:"key"`
		Operator string   `json:"operator"`
		Values   []string `json:"values"`
	}
	type offering struct {
		Price        float64
		Available    bool
		Requirements []requirement
	}
	type instanceType struct {
		Name             string            `json:"name"`
		Offerings        []offering        `json:"offerings"`
		Architecture     string            `json:"architecture"`
		OperatingSystems []string          `json:"operatingSystems"`
		Resources        map[string]string `json:"resources"`
	}
	var out []instanceType
	for i := range types {
		t := &types[i]
		it := instanceType{
			Name: t.Name, Architecture: t.Arch, OperatingSystems: []string{"linux"},
			Resources: map[string]string{
				"cpu": fmt.Sprint(t.VCPU), "memory": fmt.Sprintf("%dMi", t.MemoryBytes()>>20-t.ReservedMiB+karpenterMiB), "pods": fmt.Sprint(t.Pods),
			},
		}
		for _, zone := range t.Zones {
			it.Offerings = append(it.Offerings, offering{t.PriceHour, true, []requirement{
				{"karpenter.sh/capacity-type", "In", []string{"on-demand"}}, {corev1.LabelTopologyZone, "In", []string{zone}},
			}})
		}
		out = append(out, it)
	}
	body, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("encode the types: %w", err)
	}
	return os.WriteFile(file, body, 0o600)
}

// karpenterDecisions counts the batches for which Karpenter made NodeClaims, as its log tells them.
func karpenterDecisions(logFile string, last time.Time) (all, late int, err error) {
	body, err := os.ReadFile(logFile)
	if err != nil {
		return 0, 0, err
	}
	for line := range bytes.Lines(body) {
		var entry struct {
			Time    time.Time `json:"time"`
			Message string    `json:"message"`
		}
		if json.Unmarshal(line, &entry) != nil || !strings.HasPrefix(entry.Message, "computed new nodeclaim") {
			continue
		}
		all++
		if entry.Time.After(last) {
			late++
		}
	}
	return all, late, nil
}

func kubectl(ctx context.Context, plane *cluster.Cluster, in io.Reader, args ...string) error {
	cmd := exec.CommandContext(ctx, plane.Kubectl, append([]string{"--kubeconfig", plane.Kubeconfig}, args...)...)
	cmd.Stdin = in
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
