// Package cluster runs a real Kubernetes control plane on loopback, with RBAC and with KWOK in the place of kubelets.
package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"

	"github.com/vpsie/vpsie-autoscaler/test/build"
	"github.com/vpsie/vpsie-autoscaler/test/process"
)

// startTimeout bounds the start of the whole control plane once its programs are built.
// It takes about ten seconds on an idle machine; a busy one gets the rest.
const startTimeout = 4 * time.Minute

// Options configure a control plane. The zero value is a complete one in a temporary folder.
type Options struct {
	// Dir keeps state and logs and must be empty or absent. When Dir is empty
	// a temporary folder is used, which Stop removes.
	Dir string
	// Log receives progress for people, or nothing when nil.
	Log io.Writer
	// AuditedNamespace is the namespace whose service accounts' writes are recorded in the log
	// "audit"; nothing is recorded when it is empty.
	AuditedNamespace string
	// WithoutKWOK leaves Nodes and bound pods to someone else.
	WithoutKWOK bool
}

// Cluster is a running control plane. Its methods may be called concurrently, except Stop.
type Cluster struct {
	// Kubeconfig is the path of a kubeconfig that may do anything.
	Kubeconfig string
	// Kubectl is the path of a kubectl of the cluster's version.
	Kubectl string
	// URL is where the API server listens.
	URL string
	// Dir holds state, and logs in its folder "logs".
	Dir string

	temporary bool
	log       io.Writer
	keys      *pki
	programs  map[string]string
	processes []*process.Process
}

// Start starts a control plane and returns when its API server, controllers, scheduler and KWOK work.
// Building missing programs is limited by ctx alone. The caller stops the cluster;
// after an error nothing is left running.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	names := []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"}
	if !o.WithoutKWOK {
		names = append(names, "kwok")
	}
	log := o.Log
	if log == nil {
		log = io.Discard
	}
	programs, err := build.Tools(ctx, log, names...)
	if err != nil {
		return nil, err
	}
	dir, temporary, err := stateDir(o.Dir, "vpsie-cluster-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{Dir: dir, Kubectl: programs["kubectl"], temporary: temporary, log: log, programs: programs}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := c.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("start cluster: %w", err), c.Stop())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, o Options) error {
	began := time.Now()
	if err := c.prepare(); err != nil {
		return err
	}
	etcd, err := c.startEtcd(ctx)
	if err != nil {
		return err
	}
	if err := c.startAPIServer(ctx, etcd, o.AuditedNamespace); err != nil {
		return err
	}
	// The rest only needs the API server, so it starts side by side.
	var probes []process.Probe
	for _, start := range []func() (process.Probe, error){c.startControllerManager, c.startScheduler} {
		p, err := start()
		if err != nil {
			return err
		}
		probes = append(probes, p)
	}
	if !o.WithoutKWOK {
		p, err := c.startKWOK()
		if err != nil {
			return err
		}
		probes = append(probes, p)
	}
	for _, p := range append(probes, c.defaultServiceAccount) {
		if err := c.await(ctx, p); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.log, "cluster: ready at %s after %s\n", c.URL, time.Since(began).Round(time.Millisecond))
	return nil
}

// Stop ends every process at once, in reverse order of their start, and waits for them.
// State that is thrown away needs no orderly shutdown.
func (c *Cluster) Stop() error {
	for i := len(c.processes) - 1; i >= 0; i-- {
		c.processes[i].Kill()
	}
	c.processes = nil
	if c.temporary {
		return os.RemoveAll(c.Dir)
	}
	return nil
}

// Wait returns nil when ctx ends, or an error as soon as a part of the control plane dies.
func (c *Cluster) Wait(ctx context.Context) error {
	died := make(chan *process.Process, len(c.processes))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, p := range c.processes {
		go func() {
			select {
			case <-p.Done():
				died <- p
			case <-ctx.Done():
			}
		}()
	}
	select {
	case p := <-died:
		return p.Failure()
	case <-ctx.Done():
		return nil
	}
}

// RESTConfig returns a client configuration that may do anything, without a client-side rate limit.
func (c *Cluster) RESTConfig() (*rest.Config, error) {
	return c.RESTConfigFor(admin)
}

// RESTConfigFor returns a client configuration under the given identity, without a client-side rate limit.
func (c *Cluster) RESTConfigFor(id Identity) (*rest.Config, error) {
	pair, err := c.keys.client(id)
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host: c.URL,
		TLSClientConfig: rest.TLSClientConfig{
			CAData:   c.keys.ca.certPEM,
			CertData: pair.certPEM,
			KeyData:  pair.keyPEM,
		},
		QPS: -1,
	}, nil
}

// prepare writes what the processes read.
func (c *Cluster) prepare() error {
	keys, err := newPKI()
	if err != nil {
		return err
	}
	c.keys = keys
	port, err := process.FreePort()
	if err != nil {
		return err
	}
	c.URL = fmt.Sprintf("https://127.0.0.1:%d", port)
	c.Kubeconfig = c.path("admin.kubeconfig")
	if err := os.MkdirAll(c.path("logs"), 0o755); err != nil {
		return err
	}
	if err := keys.write(c.path("pki")); err != nil {
		return err
	}
	for name, id := range map[string]Identity{
		"admin":                   admin,
		"kube-controller-manager": {User: "system:kube-controller-manager"},
		"kube-scheduler":          {User: "system:kube-scheduler"},
		"kwok":                    {User: "kwok", Groups: []string{"system:masters"}},
	} {
		if err := c.WriteKubeconfig(c.path(name+".kubeconfig"), id); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) path(elements ...string) string {
	return filepath.Join(append([]string{c.Dir}, elements...)...)
}

func (c *Cluster) run(name string, args ...string) (*process.Process, error) {
	fmt.Fprintf(c.log, "cluster: start %s\n", name)
	p, err := process.Start(process.Options{
		Name: name, Path: c.programs[name], Args: args, LogFile: c.path("logs", name+".log"),
		// The control plane shares a few processors with what is tested on it, and memory is there.
		Env: []string{"GOGC=400"},
	})
	if err != nil {
		return nil, err
	}
	c.processes = append(c.processes, p)
	return p, nil
}

// await tries p until it succeeds, ctx ends, or any process dies.
func (c *Cluster) await(ctx context.Context, p process.Probe) error {
	err := process.Await(ctx, p, c.processes...)
	if errors.Is(err, context.DeadlineExceeded) && len(c.processes) > 0 {
		// A temporary folder is about to be removed, and with it the logs.
		newest := c.processes[len(c.processes)-1]
		return fmt.Errorf("%w; end of %s:\n%s", err, newest.LogFile, process.Tail(newest.LogFile))
	}
	return err
}

// trust returns the transport security of requests to the cluster's own certificates.
func (c *Cluster) trust() *tls.Config {
	return &tls.Config{RootCAs: c.keys.pool(), MinVersion: tls.VersionTLS12}
}

// stateDir returns the folder to use, made when missing, and whether it is ours to remove.
func stateDir(dir, prefix string) (string, bool, error) {
	if dir == "" {
		dir, err := os.MkdirTemp("", prefix)
		return dir, true, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", false, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", false, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", false, err
	}
	if len(entries) > 0 {
		return "", false, fmt.Errorf("state folder %s is not empty", dir)
	}
	return dir, false, nil
}
