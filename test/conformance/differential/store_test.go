package differential

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/test/conformance/cluster"
)

var _ scheduling.Storage = (*store)(nil)

// store is a cluster's storage as the engine asks about it.
type store struct {
	claims  map[string]*corev1.PersistentVolumeClaim
	volumes map[string]*corev1.PersistentVolume
	classes map[string]*storagev1.StorageClass
	users   map[string]int
}

func newStore(o cluster.Objects, arriving []*corev1.Pod) *store {
	s := &store{
		claims: map[string]*corev1.PersistentVolumeClaim{}, volumes: map[string]*corev1.PersistentVolume{},
		classes: map[string]*storagev1.StorageClass{}, users: map[string]int{},
	}
	for _, c := range o.Claims {
		s.claims[c.Namespace+"/"+c.Name] = c
	}
	for _, v := range o.Volumes {
		s.volumes[v.Name] = v
	}
	for _, c := range o.Classes {
		s.classes[c.Name] = c
	}
	for _, pods := range [][]*corev1.Pod{o.Pods, arriving} {
		for _, pod := range pods {
			for claim := range claimsOf(pod) {
				s.users[claim]++
			}
		}
	}
	return s
}

func claimsOf(pod *corev1.Pod) map[string]bool {
	out := map[string]bool{}
	for _, v := range pod.Spec.Volumes {
		switch {
		case v.PersistentVolumeClaim != nil:
			out[pod.Namespace+"/"+v.PersistentVolumeClaim.ClaimName] = true
		case v.Ephemeral != nil:
			out[pod.Namespace+"/"+pod.Name+"-"+v.Name] = true
		}
	}
	return out
}

// Claim implements scheduling.Storage.
func (s *store) Claim(namespace, name string) *corev1.PersistentVolumeClaim {
	return s.claims[namespace+"/"+name]
}

// Volume implements scheduling.Storage.
func (s *store) Volume(name string) *corev1.PersistentVolume { return s.volumes[name] }

// Class implements scheduling.Storage.
func (s *store) Class(name string) *storagev1.StorageClass { return s.classes[name] }

// IsShared implements scheduling.Storage.
func (s *store) IsShared(namespace, name string) bool { return s.users[namespace+"/"+name] > 1 }

// attachLimits are the volumes of each driver that each node can attach; a driver without a number has no limit.
func attachLimits(nodes []*storagev1.CSINode) map[string]map[string]int64 {
	out := map[string]map[string]int64{}
	for _, n := range nodes {
		out[n.Name] = map[string]int64{}
		for _, d := range n.Spec.Drivers {
			if d.Allocatable != nil && d.Allocatable.Count != nil {
				out[n.Name][d.Name] = int64(*d.Allocatable.Count)
			}
		}
	}
	return out
}
