// Package inmemory is a cluster without a control plane, for sizes that one would take too long for: package kubesim's API server on a loopback
// address, with as much of the controllers, the scheduler and the kubelets as a load needs.
package inmemory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/vpsie/vpsie-autoscaler/test/kubesim"
)

const (
	readHeaderTimeout = 10 * time.Second
	// beat is how often the cluster does what changes ask for.
	beat = 50 * time.Millisecond
)

// Cluster is a running cluster. It authenticates no client.
type Cluster struct {
	// Server may be used directly.
	Server *kubesim.Server

	http   *http.Server
	url    string
	stop   context.CancelFunc
	failed func()
	work   sync.WaitGroup
	mu     sync.Mutex
	err    error
}

// Start starts a cluster, which calls failed once it does not work any more; the caller stops it.
func Start(failed func()) (*Cluster, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &Cluster{Server: kubesim.New(kubesim.Config{}), url: "http://" + l.Addr().String(), stop: stop, failed: failed}
	c.http = &http.Server{Handler: handler(c.Server), ReadHeaderTimeout: readHeaderTimeout}
	h := newControllers(c.Server)
	c.work.Go(func() {
		if err := c.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			c.fail(err)
		}
	})
	c.work.Go(func() {
		ticker := time.NewTicker(beat)
		defer ticker.Stop()
		for {
			if err := h.work(); err != nil {
				c.fail(err)
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
	return c, nil
}

// Stop ends the cluster, and connections to it. Its error says as well why the cluster had failed.
func (c *Cluster) Stop() error {
	c.stop()
	err := c.http.Close()
	c.work.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(err, c.err)
}

func (c *Cluster) fail(err error) {
	c.mu.Lock()
	c.err = fmt.Errorf("cluster in memory: %w", err)
	c.mu.Unlock()
	c.failed()
}

// WriteKubeconfig writes how to reach the cluster.
func (c *Cluster) WriteKubeconfig(file string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["inmemory"] = &clientcmdapi.Cluster{Server: c.url}
	config.Contexts["inmemory"] = &clientcmdapi.Context{Cluster: "inmemory"}
	config.CurrentContext = "inmemory"
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		return fmt.Errorf("write kubeconfig %q: %w", file, err)
	}
	return nil
}

// handler serves over the network what a server's transport serves in the same process.
func handler(s *kubesim.Server) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(*httputil.ProxyRequest) {}, Transport: s.Transport(),
		FlushInterval: -1, // events of a watch are sent one by one
	}
}
