// Package kube tells the planner when its custom resources change.
package kube

import (
	"context"
	"fmt"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// CacheOptions trims what the informers keep.
func CacheOptions() *cache.Options {
	return &cache.Options{DefaultTransform: cache.TransformStripManagedFields()}
}

// Watch calls changed whenever a NodeGroup or a VPSieNode changed in a way that may change a plan.
func Watch(ctx context.Context, informers cache.Cache, changed func()) error {
	for _, object := range []client.Object{&v1beta1.NodeGroup{}, &v1beta1.VPSieNode{}} {
		informer, err := informers.GetInformer(ctx, object)
		if err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { changed() },
			UpdateFunc: func(before, after any) {
				if matters(before, after) {
					changed()
				}
			},
			DeleteFunc: func(any) { changed() },
		})
		if err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}
	}
	return nil
}

// matters drops the planner's own writes to the status of NodeGroups.
func matters(before, after any) bool {
	a, ok := before.(*v1beta1.NodeGroup)
	b, ok2 := after.(*v1beta1.NodeGroup)
	if !ok || !ok2 {
		return true
	}
	return a.Generation != b.Generation || a.DeletionTimestamp.IsZero() != b.DeletionTimestamp.IsZero()
}
