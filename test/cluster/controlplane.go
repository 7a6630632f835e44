package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/vpsie/vpsie-autoscaler/test/process"
)

const (
	// clientQPS and clientBurst lift the limits of Kubernetes' own clients (20 and 30 by default)
	// in requests a second, so that a test measures our services and not the controllers.
	clientQPS   = 2000
	clientBurst = 4000
)

func (c *Cluster) startEtcd(ctx context.Context) (url string, err error) {
	port, err := process.FreePort()
	if err != nil {
		return "", err
	}
	url = fmt.Sprintf("http://127.0.0.1:%d", port)
	_, err = c.run("etcd",
		"--data-dir="+c.path("etcd"),
		"--listen-client-urls="+url,
		"--advertise-client-urls="+url,
		// There are no peers, but etcd insists on a listener.
		"--listen-peer-urls=http://127.0.0.1:0",
		"--unsafe-no-fsync",
		"--log-level=warn",
	)
	if err != nil {
		return "", err
	}
	return url, c.await(ctx, process.HTTPProbe("etcd", url+"/health", nil))
}

func (c *Cluster) startAPIServer(ctx context.Context, etcd, auditedNamespace string) error {
	pki := c.path("pki")
	args := []string{
		"--etcd-servers=" + etcd,
		"--bind-address=127.0.0.1",
		"--secure-port=" + c.URL[strings.LastIndex(c.URL, ":")+1:],
		"--tls-cert-file=" + pki + "/server.crt",
		"--tls-private-key-file=" + pki + "/server.key",
		"--client-ca-file=" + pki + "/ca.crt",
		"--authorization-mode=Node,RBAC",
		"--enable-bootstrap-token-auth=true",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + pki + "/service-accounts.key",
		"--service-account-signing-key-file=" + pki + "/service-accounts.key",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--allow-privileged=true",
		// Endpoints may not have a loopback address, and nothing here reaches a cluster address.
		"--endpoint-reconciler-type=none",
		"--profiling=false",
	}
	if auditedNamespace != "" {
		audit, err := c.audit(auditedNamespace)
		if err != nil {
			return err
		}
		args = append(args, audit...)
	}
	if _, err := c.run(APIServer, args...); err != nil {
		return err
	}
	// Ready includes that the built-in roles exist.
	return c.await(ctx, process.HTTPProbe("kube-apiserver", c.URL+"/readyz", c.trust()))
}

func (c *Cluster) startControllerManager() (process.Probe, error) {
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	pki := c.path("pki")
	_, err = c.run("kube-controller-manager",
		"--kubeconfig="+c.path("kube-controller-manager.kubeconfig"),
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--leader-elect=false",
		"--controllers=*,bootstrap-signer-controller,token-cleaner-controller",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file="+pki+"/service-accounts.key",
		"--root-ca-file="+pki+"/ca.crt",
		"--cluster-signing-cert-file="+pki+"/ca.crt",
		"--cluster-signing-key-file="+pki+"/ca.key",
		"--allocate-node-cidrs=false",
		"--node-monitor-grace-period=40s",
		fmt.Sprintf("--kube-api-qps=%d", clientQPS),
		fmt.Sprintf("--kube-api-burst=%d", clientBurst),
		"--profiling=false",
	)
	if err != nil {
		return nil, err
	}
	return process.HTTPProbe("kube-controller-manager", fmt.Sprintf("https://127.0.0.1:%d/healthz", port), selfSigned()), nil
}

func (c *Cluster) startScheduler() (process.Probe, error) {
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection:
  kubeconfig: %q
  qps: %d
  burst: %d
leaderElection:
  leaderElect: false
enableProfiling: false
`, c.path("kube-scheduler.kubeconfig"), clientQPS, clientBurst)
	file := c.path("kube-scheduler.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	_, err = c.run("kube-scheduler",
		"--config="+file,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
	)
	if err != nil {
		return nil, err
	}
	return process.HTTPProbe("kube-scheduler", fmt.Sprintf("https://127.0.0.1:%d/readyz", port), selfSigned()), nil
}

// defaultServiceAccount succeeds when pods can be created: admission refuses those whose account is missing.
func (c *Cluster) defaultServiceAccount(ctx context.Context) error {
	config, err := c.RESTConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	_, err = client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
	return err
}

// selfSigned is for loopback servers that make up a certificate when they start.
func selfSigned() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true}
}
