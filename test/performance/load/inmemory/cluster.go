// Package inmemory is a cluster without a control plane, for sizes that one would take too long for: package kubesim's API server on a loopback
// address, with as much of the controllers, the scheduler and the kubelets as a load needs.
package inmemory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
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

// Cluster is a running cluster. It asks nobody who they are.
type Cluster struct {
	// Server may be used directly.
	Server *kubesim.Server

	http *http.Server
	url  string
	stop context.CancelFunc
	work sync.WaitGroup
	mu   sync.Mutex
	err  error
}

// Start starts a cluster; the caller stops it.
func Start() (*Cluster, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &Cluster{Server: kubesim.New(kubesim.Config{}), url: "http://" + l.Addr().String(), stop: stop}
	c.http = &http.Server{Handler: handler{c.Server.Transport()}, ReadHeaderTimeout: readHeaderTimeout}
	h := newHands(c.Server)
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

// Stop ends the cluster, and connections to it.
func (c *Cluster) Stop() error {
	c.stop()
	err := c.http.Close()
	c.work.Wait()
	return errors.Join(err, c.Err())
}

// Err returns why the cluster does not work any more, or nil.
func (c *Cluster) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *Cluster) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = fmt.Errorf("cluster in memory: %w", err)
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

// handler serves over the network what a transport serves in the same process.
type handler struct{ transport http.RoundTripper }

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	resp, err := h.transport.RoundTrip(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	out := http.NewResponseController(w)
	if resp.ContentLength < 0 {
		// A watch's client waits for the head before anything happens.
		_ = out.Flush()
	}
	buffer := make([]byte, 64<<10)
	for {
		n, err := resp.Body.Read(buffer)
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return
			}
			_ = out.Flush()
		}
		if err != nil {
			return // all is said, or the client of a watch is gone
		}
	}
}
