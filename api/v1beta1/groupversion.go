// Package v1beta1 is the API of the VPSie node autoscaler: what may be launched
// (NodeGroup) and the machines that were (VPSieNode).
//
// +kubebuilder:object:generate=true
// +groupName=autoscaler.vpsie.com
package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of every type in this package.
var GroupVersion = schema.GroupVersion{Group: "autoscaler.vpsie.com", Version: "v1beta1"}

// AddToScheme registers the types of this package with a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &NodeGroup{}, &NodeGroupList{}, &VPSieNode{}, &VPSieNodeList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
