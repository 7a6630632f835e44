package evacuation_test

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/schedulingtest"
)

const zoneKey, hostKey = corev1.LabelTopologyZone, corev1.LabelHostname

// What the tests here say often, by a short name.
var (
	size, node, item, app, cluster = schedulingtest.Size, schedulingtest.Node, schedulingtest.Item, schedulingtest.App, schedulingtest.Cluster
	spread, affinity, antiAffinity = schedulingtest.Spread, schedulingtest.Affinity, schedulingtest.AntiAffinity
	cores, inZone, holds           = schedulingtest.Cores, schedulingtest.InZone, schedulingtest.Holds
)

func all(*scheduling.Item) bool { return true }
