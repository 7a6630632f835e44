// Package kube is how services reach the Kubernetes API.
package kube

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// Client limits of one service. A scale-up writes a few objects per machine at once; client-go's
// default of 5 requests a second would make the tenth machine wait for two seconds.
const (
	requestsPerSecond = 100
	requestsBurst     = 200
)

// RESTConfig reads a kubeconfig file; an empty path means the pod's own service account.
func RESTConfig(path string) (*rest.Config, error) {
	var config *rest.Config
	var err error
	if path == "" {
		config, err = rest.InClusterConfig()
	} else {
		config, err = clientcmd.BuildConfigFromFlags("", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read access to Kubernetes (kubeconfig %q): %w", path, err)
	}
	config.QPS, config.Burst = requestsPerSecond, requestsBurst
	return config, nil
}

// Scheme knows the types that the services read and write, and no others.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, policyv1.AddToScheme, coordinationv1.AddToScheme,
		eventsv1.AddToScheme, v1beta1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register API types: %w", err)
		}
	}
	return scheme, nil
}
