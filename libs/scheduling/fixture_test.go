package scheduling_test

import "github.com/vpsie/vpsie-autoscaler/libs/scheduling/schedulingtest"

// What the tests here say often, by a short name.
var (
	size, node, item, cluster      = schedulingtest.Size, schedulingtest.Node, schedulingtest.Item, schedulingtest.Cluster
	spread, affinity, antiAffinity = schedulingtest.Spread, schedulingtest.Affinity, schedulingtest.AntiAffinity
	holds                          = schedulingtest.Holds
)
