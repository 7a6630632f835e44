package oracle

import (
	"context"
	"fmt"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/latest"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodevolumelimits"
	"k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
)

// judges are the plugins that decide where a pod may run, in the order in which kube-scheduler's
// default profile asks them. The framework insists on a queue sort and on a bind plugin besides.
var judges = map[string]bool{
	names.NodeName:           true,
	names.NodeUnschedulable:  true,
	names.TaintToleration:    true,
	names.NodeAffinity:       true,
	names.NodePorts:          true,
	names.NodeResourcesFit:   true,
	names.VolumeRestrictions: true,
	names.NodeVolumeLimits:   true,
	names.VolumeBinding:      true,
	names.VolumeZone:         true,
	names.PodTopologySpread:  true,
	names.InterPodAffinity:   true,
	names.PrioritySort:       true,
	names.DefaultBinder:      true,
}

// newFramework makes the plugins with the arguments and the feature gates of the default profile.
func newFramework(ctx context.Context, world *world, storage *storage) (framework.Framework, error) {
	metrics.Register()
	defaults, err := latest.Default()
	if err != nil {
		return nil, fmt.Errorf("read the scheduler's default configuration: %w", err)
	}
	profile := defaults.Profiles[0]
	var kept []config.Plugin
	for _, plugin := range profile.Plugins.MultiPoint.Enabled {
		if judges[plugin.Name] {
			kept = append(kept, plugin)
		}
	}
	if len(kept) != len(judges) {
		return nil, fmt.Errorf("the default profile has %d of the %d plugins asked for: correct the list to what kube-scheduler now runs", len(kept), len(judges))
	}
	profile.Plugins = &config.Plugins{MultiPoint: config.PluginSet{Enabled: kept}}
	return runtime.NewFramework(ctx, plugins.NewInTreeRegistry(), &profile,
		runtime.WithClientSet(storage.client),
		runtime.WithInformerFactory(storage.factory),
		runtime.WithSnapshotSharedLister(world),
		runtime.WithSharedCSIManager(nodevolumelimits.NewCSIManager(storage.factory.Storage().V1().CSINodes().Lister())),
		// One world is judged at a time, and goroutines that wait for each other only cost.
		runtime.WithParallelism(1),
	)
}

func newStorage() *storage {
	client := fake.NewClientset()
	return &storage{client: client, factory: informers.NewSharedInformerFactory(client, 0)}
}
