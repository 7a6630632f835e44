package paid

import (
	"encoding/json"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

const (
	// firstOffer and firstDatacenter keep clear of the ids of the simulated cloud's own catalogue.
	firstOffer      = 1000
	firstDatacenter = 100
	centsPerDollar  = 100
	hoursPerMonth   = 730
	mibPerGiB       = 1024
	diskGiBPerVCPU  = 20
	kubeVersion     = "1.37.2"
	nodesMax        = 2000
)

// zones are those of the neutral catalogue. Each is a datacenter with a managed cluster and a NodeGroup of its own.
var zones = []string{"z1", "z2", "z3"}

// seed is the neutral catalogue as the simulated cloud sells it.
func seed(types []workload.Type) vpsiesim.Seed {
	var s vpsiesim.Seed
	for i, zone := range zones {
		s.Datacenters = append(s.Datacenters, vpsiesim.Datacenter{ID: firstDatacenter + i, Identifier: zone, Name: zone, State: zone, Country: "Neutral"})
		s.Clusters = append(s.Clusters, vpsiesim.SeedCluster{
			Identifier: clusterIn(zone), Name: "neutral-" + zone, Datacenter: zone, KubeVersion: kubeVersion, SizeID: firstOffer, Masters: 1,
		})
	}
	for i := range types {
		t := &types[i]
		s.Offers = append(s.Offers, vpsiesim.Offer{
			ID: firstOffer + i, Nickname: t.Name, Category: "G", VCPU: int(t.VCPU), RAMMiB: int(t.MemGiB * mibPerGiB),
			DiskGiB: diskGiBPerVCPU * int(t.VCPU), PriceCents: int64(t.PriceHour*hoursPerMonth*centsPerDollar + 0.5),
		})
	}
	return s
}

func clusterIn(zone string) string { return "cluster-" + zone }

// writeSeed writes the catalogue to a file that the simulated cloud reads.
func writeSeed(file string, types []workload.Type) error {
	body, err := json.Marshal(seed(types))
	if err != nil {
		return fmt.Errorf("encode the catalogue: %w", err)
	}
	return os.WriteFile(file, body, 0o600)
}

// groups are one NodeGroup a zone; each may launch every type.
func groups(types []workload.Type) []*v1beta1.NodeGroup {
	var offerings []int64
	for i := range types {
		offerings = append(offerings, int64(firstOffer+i))
	}
	var out []*v1beta1.NodeGroup
	for _, zone := range zones {
		out = append(out, &v1beta1.NodeGroup{
			ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceDefault, Name: zone},
			Spec: v1beta1.NodeGroupSpec{
				MaxNodes: nodesMax, Offerings: offerings,
				Cluster: v1beta1.ClusterReference{Identifier: clusterIn(zone), Datacenter: zone},
			},
		})
	}
	return out
}
