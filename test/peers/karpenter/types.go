package karpenter

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	v1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
	"sigs.k8s.io/karpenter/pkg/cloudprovider/fake"
	"sigs.k8s.io/karpenter/pkg/scheduling"

	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

// TypesCount is how many types Karpenter's benchmark may launch.
const TypesCount = 400

// OwnTypes are the types of Karpenter's benchmark as Karpenter makes them, on spot and on demand at the same price.
func OwnTypes() []*cloudprovider.InstanceType { return fake.InstanceTypes(TypesCount) }

// Types translates neutral types: on demand at one price in every zone. Labels and extended resources are not
// translated, so a type that has any is an error.
func Types(neutral []workload.Type) ([]*cloudprovider.InstanceType, error) {
	out := make([]*cloudprovider.InstanceType, 0, len(neutral))
	for i := range neutral {
		t := &neutral[i]
		if len(t.Labels)+len(t.Extended) > 0 {
			return nil, fmt.Errorf("type %s has labels or extended resources, which Karpenter would not get to know: leave them out", t.Name)
		}
		made := fake.NewInstanceType(t.Name, fake.WithOfferings(offerings(t)...), fake.WithArchitecture(t.Arch), fake.WithOperatingSystems(string(corev1.Linux)),
			fake.WithResources(corev1.ResourceList{
				corev1.ResourceCPU: milli(t.MilliCPU()), corev1.ResourceMemory: whole(t.MemoryBytes()), corev1.ResourcePods: whole(t.Pods),
			}))
		// In place of what the fake reserves.
		made.Overhead = &cloudprovider.InstanceTypeOverhead{KubeReserved: corev1.ResourceList{
			corev1.ResourceCPU: milli(t.ReservedMilliCPU), corev1.ResourceMemory: whole(t.ReservedMiB << 20),
		}}
		out = append(out, made)
	}
	return out, nil
}

func offerings(t *workload.Type) []cloudprovider.Offering {
	out := make([]cloudprovider.Offering, 0, len(t.Zones))
	for _, zone := range t.Zones {
		out = append(out, cloudprovider.Offering{
			Available: true, Price: t.PriceHour,
			Requirements: scheduling.NewLabelRequirements(map[string]string{
				corev1.LabelTopologyZone: zone, v1.CapacityTypeLabelKey: v1.CapacityTypeOnDemand,
			}),
		})
	}
	return out
}

func milli(amount int64) resource.Quantity {
	return *resource.NewMilliQuantity(amount, resource.DecimalSI)
}
func whole(amount int64) resource.Quantity { return *resource.NewQuantity(amount, resource.BinarySI) }
