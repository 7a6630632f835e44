package karpenter_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/test/peers/karpenter"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

// TestOurTypesAreKarpenters compares the types that the engine may launch with those that Karpenter may.
func TestOurTypesAreKarpenters(t *testing.T) {
	ours, theirs := workload.KarpenterTypes(karpenter.TypesCount), karpenter.OwnTypes()
	if len(ours) != len(theirs) {
		t.Fatalf("%d types of ours, %d of Karpenter's", len(ours), len(theirs))
	}
	batch, err := (&workload.Workload{Types: ours}).Batch()
	if err != nil {
		t.Fatal(err)
	}
	allocatable := map[string]scheduling.Resources{}
	for _, o := range batch.Options {
		allocatable[o.OfferingName] = o.Empty.Allocatable
	}
	for i, own := range theirs {
		prices := map[string]float64{}
		for _, o := range own.Offerings.Available() {
			prices[o.Zone()] = o.Price
		}
		want := map[string]float64{}
		for _, zone := range ours[i].Zones {
			want[zone] = ours[i].PriceHour
		}
		if own.Name != ours[i].Name || !maps.Equal(prices, want) {
			t.Errorf("type %d is %s for %v, in Karpenter %s for %v", i, ours[i].Name, want, own.Name, prices)
		}
		if room := scheduling.ResourcesOf(own.Allocatable()); !maps.Equal(allocatable[own.Name], room) {
			t.Errorf("type %s has room for %v, in Karpenter for %v", own.Name, allocatable[own.Name], room)
		}
	}
}

// TestMixIsKarpenters compares with the pods that makeDiversePods(1003) of Karpenter v1.14.1 makes when it is the
// first to draw random numbers: the sum is of one line a pod as below.
func TestMixIsKarpenters(t *testing.T) {
	sum := sha256.New()
	for _, p := range workload.KarpenterMix(1003).Pods {
		affinity, err := json.Marshal(p.Spec.Affinity)
		if err != nil {
			t.Fatal(err)
		}
		spread, err := json.Marshal(p.Spec.TopologySpreadConstraints)
		if err != nil {
			t.Fatal(err)
		}
		r := p.Spec.Containers[0].Resources.Requests
		fmt.Fprintln(sum, p.Namespace, p.Labels["my-label"], p.Labels["my-affininity"], p.Labels["app"],
			r.Cpu().MilliValue(), r.Memory().Value(), string(affinity), string(spread))
	}
	if got, want := fmt.Sprintf("%x", sum.Sum(nil)), "9a12beff1f5c01cca85bb2bbc314d870e9a1d460f0fcbd9c5409ae35d6c26738"; got != want {
		t.Errorf("the sum of the pods is %s, want %s", got, want)
	}
}

// TestNeutralTypesKeepTheirRoom compares what is left of a neutral type for pods in Karpenter with what it is for the engine.
func TestNeutralTypesKeepTheirRoom(t *testing.T) {
	catalogue := workload.Catalogue()
	translated, err := karpenter.Types(catalogue)
	if err != nil {
		t.Fatal(err)
	}
	batch, err := (&workload.Workload{Types: catalogue}).Batch()
	if err != nil {
		t.Fatal(err)
	}
	// What the engine may launch, one line a type and zone.
	var want, got []string
	for _, o := range batch.Options {
		want = append(want, line(o.OfferingName, o.Empty.Labels[corev1.LabelTopologyZone], batch.Types[o].PriceHour, o.Empty.Allocatable))
	}
	for _, own := range translated {
		for _, o := range own.Offerings.Available() {
			got = append(got, line(own.Name, o.Zone(), o.Price, scheduling.ResourcesOf(own.Allocatable())))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) || len(want) != 63 {
		t.Errorf("Karpenter may launch\n%v\nwant\n%v", got, want)
	}
}

func line(name, zone string, price float64, room scheduling.Resources) string {
	return fmt.Sprintf("%s in %s at %v with %v", name, zone, price, room)
}

func TestPreferringPodsAreTheirOwn(t *testing.T) {
	names := map[string]bool{}
	for _, p := range karpenter.PreferringPods(17) {
		names[p.Name], names[string(p.UID)] = true, true
	}
	if len(names) != 17 {
		t.Errorf("17 pods have %d names, which are their UIDs as well", len(names))
	}
}
