package kubesim

import (
	"fmt"
	"io/fs"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/vpsie/vpsie-autoscaler/api/crds"
)

// seed makes what a new cluster has, with our definitions installed.
func (s *Server) seed() {
	cluster := s.As("kube-apiserver")
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease} {
		if err := cluster.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			panic(fmt.Errorf("make namespace %q: %w", name, err))
		}
	}
	for _, text := range definitions() {
		var definition unstructured.Unstructured
		if err := yaml.Unmarshal(text, &definition.Object); err != nil {
			panic(fmt.Errorf("read definition: %w", err))
		}
		if err := cluster.Create(&definition); err != nil {
			panic(fmt.Errorf("install definition %q: %w", definition.GetName(), err))
		}
	}
}

// definitions returns the CustomResourceDefinitions that are built into this program.
func definitions() [][]byte {
	names, err := fs.Glob(crds.FS, "*.yaml")
	if err != nil {
		panic(err)
	}
	texts := make([][]byte, len(names))
	for i, name := range names {
		if texts[i], err = crds.FS.ReadFile(name); err != nil {
			panic(err)
		}
	}
	return texts
}
