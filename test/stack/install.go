package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/crds"
	"github.com/vpsie/vpsie-autoscaler/test/build"
)

const (
	// fieldOwner is who installs, in the objects' managed fields.
	fieldOwner = "vpsie-stack"
	// tokenLifetime is how long the services can act; a demo may be left running for days.
	tokenLifetime = 7 * 24 * time.Hour
	installPoll   = 50 * time.Millisecond
)

// install applies the custom resource definitions and the rights of the services.
func (s *Stack) install(ctx context.Context) error {
	if s.options.Bare {
		return nil
	}
	definitions, err := s.apply(ctx, crds.FS, ".")
	if err != nil {
		return err
	}
	root, err := build.Root()
	if err != nil {
		return err
	}
	if _, err := s.apply(ctx, os.DirFS(root), "deploy/rbac"); err != nil {
		return err
	}
	for _, definition := range definitions {
		if err := s.awaitEstablished(ctx, definition); err != nil {
			return err
		}
	}
	return nil
}

// apply applies every object in the YAML files of a folder, in the order of the files' names.
func (s *Stack) apply(ctx context.Context, files fs.FS, folder string) ([]*unstructured.Unstructured, error) {
	entries, err := fs.ReadDir(files, folder)
	if err != nil {
		return nil, err
	}
	var applied []*unstructured.Unstructured
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) != ".yaml" {
			continue
		}
		objects, err := readObjects(files, filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		for _, object := range objects {
			err := s.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner(fieldOwner), client.ForceOwnership)
			if err != nil {
				return nil, fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
			}
			applied = append(applied, object)
		}
	}
	return applied, nil
}

func readObjects(files fs.FS, name string) ([]*unstructured.Unstructured, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var objects []*unstructured.Unstructured
	documents := yaml.NewYAMLOrJSONDecoder(f, 4096)
	for {
		object := &unstructured.Unstructured{}
		switch err := documents.Decode(object); {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, fmt.Errorf("parse %s: %w", name, err)
		case len(object.Object) > 0:
			objects = append(objects, object)
		}
	}
}

// awaitEstablished waits until the API server serves a custom resource.
func (s *Stack) awaitEstablished(ctx context.Context, definition *unstructured.Unstructured) error {
	err := wait.PollUntilContextCancel(ctx, installPoll, true, func(ctx context.Context) (bool, error) {
		if err := s.Client.Get(ctx, client.ObjectKeyFromObject(definition), definition); err != nil {
			return false, err
		}
		conditions, _, err := unstructured.NestedSlice(definition.Object, "status", "conditions")
		if err != nil {
			return false, err
		}
		for _, c := range conditions {
			if c, ok := c.(map[string]any); ok && c["type"] == "Established" && c["status"] == "True" {
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("wait for custom resource %s: %w", definition.GetName(), err)
	}
	return nil
}

// writeKubeconfig writes what a service reaches the cluster with, at an address: a token as a pod of its would have.
func (s *Stack) writeKubeconfig(ctx context.Context, name, file, address string) error {
	token, err := s.token(ctx, name)
	if err != nil {
		return err
	}
	admin := rest.CopyConfig(s.config)
	if err := rest.LoadTLSFiles(admin); err != nil {
		return fmt.Errorf("read certificates of the cluster: %w", err)
	}
	server, err := url.Parse(serverURL(admin))
	if err != nil {
		return fmt.Errorf("parse address of the cluster: %w", err)
	}
	server.Host = address
	config := clientcmdapi.NewConfig()
	config.Clusters["vpsie"] = &clientcmdapi.Cluster{
		Server: server.String(), TLSServerName: serverName(admin),
		CertificateAuthorityData: admin.CAData, InsecureSkipTLSVerify: admin.Insecure,
	}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["vpsie"] = &clientcmdapi.Context{Cluster: "vpsie", AuthInfo: name}
	config.CurrentContext = "vpsie"
	data, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("encode kubeconfig of %s: %w", name, err)
	}
	return os.WriteFile(file, data, 0o600)
}

// token returns a token with which a service is known to the cluster, none where nobody is.
func (s *Stack) token(ctx context.Context, name string) (string, error) {
	if s.options.Bare {
		return "", nil
	}
	request := &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(tokenLifetime.Seconds()))},
	}
	token, err := s.Kube.CoreV1().ServiceAccounts(Namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("request token of %s: %w", name, err)
	}
	return token.Status.Token, nil
}
