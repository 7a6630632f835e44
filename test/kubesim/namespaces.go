package kubesim

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// newNamespace is what the API server makes of a new namespace.
func newNamespace(o client.Object) {
	n := o.(*corev1.Namespace)
	n.Spec.Finalizers = []corev1.FinalizerName{corev1.FinalizerKubernetes}
	n.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	n.Labels[corev1.LabelMetadataName] = n.Name
}

// holdNamespace marks a namespace that is being deleted and reports whether it has to be emptied first.
func holdNamespace(o client.Object) bool {
	n := o.(*corev1.Namespace)
	n.Status.Phase = corev1.NamespaceTerminating
	return len(n.Spec.Finalizers) > 0
}

// finalize takes the last hold off a namespace; one that is being deleted goes.
func (s *Server) finalize(req Request) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	r := s.resources.namespaces
	old := s.stored(r, client.ObjectKey{Name: req.Name})
	if old == nil {
		return apierrors.NewNotFound(r.group(), req.Name)
	}
	n := r.shallowCopy(old.object).(*corev1.Namespace)
	n.Spec.Finalizers = nil
	_, err := s.storeUpdate(req, old, n)
	return err
}

// admitNamespace refuses what is created in a namespace that is not there or that goes.
func (s *Server) admitNamespace(r *resource, name string) error {
	if !r.namespaced {
		return nil
	}
	namespaces := s.resources.namespaces
	found := s.stored(namespaces, client.ObjectKey{Name: name})
	if found == nil {
		return apierrors.NewNotFound(namespaces.group(), name)
	}
	if found.object.GetDeletionTimestamp() == nil {
		return nil
	}
	err := apierrors.NewForbidden(r.group(), "", fmt.Errorf("unable to create new content in namespace %s because it is being terminated", name))
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
		Type: corev1.NamespaceTerminatingCause, Field: "metadata.namespace", Message: fmt.Sprintf("namespace %s is being terminated", name),
	})
	return err
}
