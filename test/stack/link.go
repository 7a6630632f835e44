package stack

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/vpsie/vpsie-autoscaler/test/process"
	"github.com/vpsie/vpsie-autoscaler/test/proxy"
)

// Peer is what a service talks to.
type Peer string

// The peers of services. Only the planner asks the catalogue, and only the provisioner VPSie.
const (
	Kubernetes Peer = "kubernetes"
	Bus        Peer = "bus"
	VPSie      Peer = "vpsie"
	Catalogue  Peer = "catalogue"
)

// Link returns the proxy between the replica and a peer, nil where there is none: without Options.Links
// there are proxies only to the catalogue, which do what a Kubernetes Service does.
func (s *Service) Link(to Peer) *proxy.Proxy { return s.links[to] }

// connectService makes the replica's proxies and writes its kubeconfig, and returns where it finds its peers.
func (s *Stack) connectService(ctx context.Context, service *Service, replica string) (map[Peer]string, error) {
	kubernetes, err := url.Parse(serverURL(s.config))
	if err != nil {
		return nil, fmt.Errorf("parse address of the cluster: %w", err)
	}
	addresses := map[Peer]string{
		Kubernetes: hostPort(kubernetes), Bus: strings.TrimPrefix(s.NATS.URL, "nats://"), VPSie: strings.TrimPrefix(s.simURL, "http://"),
	}
	if s.options.Links {
		for peer, address := range addresses {
			if peer == VPSie && service.Name != Provisioner {
				continue
			}
			if addresses[peer], err = s.link(service, peer, func() []string { return []string{address} }); err != nil {
				return nil, err
			}
		}
	}
	if service.Name == Planner {
		if addresses[Catalogue], err = s.link(service, Catalogue, s.catalogueAddresses); err != nil {
			return nil, err
		}
	}
	return addresses, s.writeKubeconfig(ctx, service.Name, s.path(replica+".kubeconfig"), addresses[Kubernetes])
}

// link starts a proxy of a replica and returns its address.
func (s *Stack) link(service *Service, to Peer, targets func() []string) (string, error) {
	addresses, err := freeAddresses(1)
	if err != nil {
		return "", err
	}
	p, err := proxy.Listen(addresses[0], targets)
	if err != nil {
		return "", err
	}
	service.links[to] = p
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proxies = append(s.proxies, p)
	return p.Address(), nil
}

// catalogueAddresses are where the provisioner's replicas serve the catalogue. Those that cannot answer a
// probe are left out, as a Kubernetes Service does.
func (s *Stack) catalogueAddresses() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var addresses []string
	for _, service := range s.all() {
		if service.Name == Provisioner && service.answers() {
			addresses = append(addresses, service.RPCAddress)
		}
	}
	return addresses
}

// serverName is what the API server's certificate must name, wherever it is reached.
func serverName(config *rest.Config) string {
	if config.ServerName != "" {
		return config.ServerName
	}
	u, err := url.Parse(config.Host)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func serverURL(config *rest.Config) string {
	return strings.TrimSuffix(config.Host, "/") + config.APIPath
}

// hostPort is the address that a URL leads to.
func hostPort(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "http":
		port = "80"
	default:
		port = "443"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// freeAddresses returns loopback addresses that nobody listens on.
func freeAddresses(n int) ([]string, error) {
	var addresses []string
	for range n {
		port, err := process.FreePort()
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, fmt.Sprintf("127.0.0.1:%d", port))
	}
	return addresses, nil
}
