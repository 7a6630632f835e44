package cluster

import (
	"fmt"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Identity is who the API server takes a client for.
type Identity struct {
	User   string
	Groups []string
}

var admin = Identity{User: "admin", Groups: []string{"system:masters"}}

// ServiceAccount returns the identity of pods that run under the named service account:
// RBAC bindings to the account apply to it, whether or not the account exists.
func ServiceAccount(namespace, name string) Identity {
	return Identity{
		User:   fmt.Sprintf("system:serviceaccount:%s:%s", namespace, name),
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace},
	}
}

// WriteKubeconfig writes a kubeconfig with a client certificate for id, readable by its owner only.
func (c *Cluster) WriteKubeconfig(path string, id Identity) error {
	pair, err := c.keys.client(id)
	if err != nil {
		return fmt.Errorf("certificate for %q: %w", id.User, err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["vpsie"] = &clientcmdapi.Cluster{Server: c.URL, CertificateAuthorityData: c.keys.ca.certPEM}
	config.AuthInfos[id.User] = &clientcmdapi.AuthInfo{
		ClientCertificateData: pair.certPEM,
		ClientKeyData:         pair.keyPEM,
	}
	config.Contexts["vpsie"] = &clientcmdapi.Context{Cluster: "vpsie", AuthInfo: id.User}
	config.CurrentContext = "vpsie"
	data, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("encode kubeconfig for %q: %w", id.User, err)
	}
	return os.WriteFile(path, data, 0o600)
}
