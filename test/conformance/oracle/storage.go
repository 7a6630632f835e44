package oracle

import (
	"fmt"
	"strconv"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/vpsie/vpsie-autoscaler/test/conformance/cluster"
)

// storage feeds the plugins' listers. Its informers are never started: what they would have heard from
// an API server is put into their stores, so that nothing has to be waited for.
type storage struct {
	client  kubernetes.Interface
	factory informers.SharedInformerFactory
	loads   int
}

// load replaces everything the listers know.
//
// The volume binder keeps what it assumed about a claim for as long as the claim's version stays the
// same, so each load has a version of its own.
func (s *storage) load(o cluster.Objects) error {
	s.loads++
	version := strconv.Itoa(s.loads)
	claims := make([]any, 0, len(o.Claims))
	for _, claim := range o.Claims {
		c := *claim
		c.ResourceVersion = version
		claims = append(claims, &c)
	}
	volumes := make([]any, 0, len(o.Volumes))
	for _, volume := range o.Volumes {
		v := *volume
		v.ResourceVersion = version
		volumes = append(volumes, &v)
	}
	core, store := s.factory.Core().V1(), s.factory.Storage().V1()
	contents := []struct {
		informer cache.SharedIndexInformer
		objects  []any
	}{
		{core.Namespaces().Informer(), list(o.Namespaces)},
		{core.PersistentVolumeClaims().Informer(), claims},
		{core.PersistentVolumes().Informer(), volumes},
		{store.StorageClasses().Informer(), list(o.Classes)},
		{store.CSINodes().Informer(), list(o.CSINodes)},
		{store.CSIDrivers().Informer(), list(o.CSIDrivers)},
	}
	for _, c := range contents {
		if err := c.informer.GetIndexer().Replace(c.objects, version); err != nil {
			return fmt.Errorf("fill the scheduler's listers: %w", err)
		}
	}
	return nil
}

func list[T any](objects []T) []any {
	out := make([]any, 0, len(objects))
	for _, object := range objects {
		out = append(out, object)
	}
	return out
}
