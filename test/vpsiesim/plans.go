package vpsiesim

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strings"
)

// Well-known identifiers of the default seed, for tests and demos.
const (
	DefaultCluster    = "7e01f0aa-44dd-11f0-8f00-0242ac110005"
	DefaultDatacenter = "3c6a9f10-55ee-11ee-8f00-0242ac110005"
	DefaultProject    = "1d2e3f40-33cc-11ef-9c51-0242ac110005"
	DefaultOSImage    = "9a3c8e10-22bb-11ef-9c51-0242ac110005"

	otherDatacenter  = "4d7b0a21-55ee-11ee-8f00-0242ac110005"
	defaultProjectID = 4242
	accountUserID    = 777
	kubeVersion      = "1.37.2"
)

// Datacenter is a place where machines can be launched.
type Datacenter struct {
	ID         int    `json:"id"`
	Identifier string `json:"identifier"`
	Name       string `json:"name"`
	State      string `json:"state"`
	Country    string `json:"country"`
}

// Offer is a machine size; its id is what managed node groups call KubeSizeID.
type Offer struct {
	ID       int    `json:"id"`
	Nickname string `json:"nickname"`
	// Category is the letter of the plan line: A shared CPU, G general, C compute, M memory.
	Category string `json:"category"`
	VCPU     int    `json:"vcpu"`
	RAMMiB   int    `json:"ramMiB"`
	DiskGiB  int    `json:"diskGiB"`
	// PriceCents is the price of a month; zero means 876 cents a vCPU and 292 cents a GiB.
	PriceCents int64 `json:"priceCents,omitempty"`
}

// PricePerHour is the monthly price over 730 hours.
func (o Offer) PricePerHour() Money { return Money(o.PriceCents * microsPerCent / hoursPerMonth) }

// identifierIn is the mapping id that VPSie gives an offer in one datacenter.
func (o Offer) identifierIn(datacenter string) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", datacenter, o.ID)
	sum := h.Sum64()
	return fmt.Sprintf("%08x-%04x-11ef-9c51-0242ac110005", uint32(sum>>32), uint16(sum))
}

// managed reports whether managed Kubernetes sells the size: the ballooning shared line is for plain machines only.
func (o Offer) managed() bool { return o.Category != "A" }

type category struct{ letter, identifier, name string }

var categories = []category{
	{"A", "a1000000-66aa-11ef-9c51-0242ac110005", "Shared CPU"},
	{"G", "a2000000-66aa-11ef-9c51-0242ac110005", "General Purpose"},
	{"C", "a3000000-66aa-11ef-9c51-0242ac110005", "Compute Optimized"},
	{"M", "a4000000-66aa-11ef-9c51-0242ac110005", "Memory Optimized"},
}

// SeedCluster is a managed cluster that exists when the simulator starts.
type SeedCluster struct {
	Identifier  string        `json:"identifier"`
	Name        string        `json:"name"`
	Datacenter  string        `json:"datacenter"`
	KubeVersion string        `json:"kubeVersion"`
	SizeID      int           `json:"sizeId"`
	Masters     int           `json:"masters"`
	Workers     []SeedWorkers `json:"workers,omitempty"`
}

// SeedWorkers are foreign workers of one size that a cluster starts with.
type SeedWorkers struct {
	SizeID int `json:"sizeId"`
	Count  int `json:"count"`
}

// Seed is the catalogue and the clusters a simulator starts with.
type Seed struct {
	Datacenters []Datacenter  `json:"datacenters,omitempty"`
	Offers      []Offer       `json:"offers,omitempty"`
	Clusters    []SeedCluster `json:"clusters,omitempty"`
}

// DefaultSeed returns two datacenters, the offers and the cluster HEL-Kubernetes-49ab without workers.
func DefaultSeed() Seed {
	return Seed{
		Datacenters: []Datacenter{
			{ID: 3, Identifier: DefaultDatacenter, Name: "Helsinki", State: "Uusimaa", Country: "Finland"},
			{ID: 4, Identifier: otherDatacenter, Name: "Amsterdam", State: "Noord-Holland", Country: "Netherlands"},
		},
		Offers: []Offer{
			{ID: 11, Nickname: "shared-1vcpu-2gb", Category: "A", VCPU: 1, RAMMiB: 2048, DiskGiB: 40, PriceCents: 1000},
			{ID: 12, Nickname: "shared-2vcpu-4gb", Category: "A", VCPU: 2, RAMMiB: 4096, DiskGiB: 80, PriceCents: 2000},
			{ID: 21, Nickname: "g-1vcpu-2gb", Category: "G", VCPU: 1, RAMMiB: 2048, DiskGiB: 40},
			{ID: 22, Nickname: "g-2vcpu-4gb", Category: "G", VCPU: 2, RAMMiB: 4096, DiskGiB: 80},
			{ID: 23, Nickname: "g-4vcpu-8gb", Category: "G", VCPU: 4, RAMMiB: 8192, DiskGiB: 160},
			{ID: 24, Nickname: "g-8vcpu-16gb", Category: "G", VCPU: 8, RAMMiB: 16384, DiskGiB: 320},
			{ID: 25, Nickname: "g-16vcpu-32gb", Category: "G", VCPU: 16, RAMMiB: 32768, DiskGiB: 640},
			{ID: 31, Nickname: "m-2vcpu-8gb", Category: "M", VCPU: 2, RAMMiB: 8192, DiskGiB: 80},
			{ID: 32, Nickname: "m-4vcpu-16gb", Category: "M", VCPU: 4, RAMMiB: 16384, DiskGiB: 160},
			{ID: 33, Nickname: "m-8vcpu-32gb", Category: "M", VCPU: 8, RAMMiB: 32768, DiskGiB: 320},
			{ID: 34, Nickname: "m-16vcpu-64gb", Category: "M", VCPU: 16, RAMMiB: 65536, DiskGiB: 640},
			{ID: 41, Nickname: "c-2vcpu-2gb", Category: "C", VCPU: 2, RAMMiB: 2048, DiskGiB: 40},
			{ID: 42, Nickname: "c-4vcpu-4gb", Category: "C", VCPU: 4, RAMMiB: 4096, DiskGiB: 80},
			{ID: 43, Nickname: "c-8vcpu-8gb", Category: "C", VCPU: 8, RAMMiB: 8192, DiskGiB: 160},
			{ID: 44, Nickname: "c-16vcpu-16gb", Category: "C", VCPU: 16, RAMMiB: 16384, DiskGiB: 320},
		},
		Clusters: []SeedCluster{{
			Identifier: DefaultCluster, Name: "HEL-Kubernetes-49ab", Datacenter: DefaultDatacenter,
			KubeVersion: kubeVersion, SizeID: 22, Masters: 1,
		}},
	}
}

// Add appends the JSON seed document read from r; equal ids replace what s had.
func (s *Seed) Add(r io.Reader) error {
	var more Seed
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&more); err != nil {
		return fmt.Errorf("decode seed: %w", err)
	}
	s.Datacenters = merge(s.Datacenters, more.Datacenters, func(d Datacenter) string { return d.Identifier })
	s.Offers = merge(s.Offers, more.Offers, func(o Offer) string { return fmt.Sprint(o.ID) })
	s.Clusters = merge(s.Clusters, more.Clusters, func(c SeedCluster) string { return c.Identifier })
	return nil
}

// merge keeps the order of old and appends what is new.
func merge[T any](old, more []T, key func(T) string) []T {
	at := make(map[string]int, len(old))
	for i, v := range old {
		at[key(v)] = i
	}
	for _, v := range more {
		if i, ok := at[key(v)]; ok {
			old[i] = v
			continue
		}
		at[key(v)] = len(old)
		old = append(old, v)
	}
	return old
}

// clone copies what complete changes.
func (s Seed) clone() Seed {
	s.Offers, s.Clusters = slices.Clone(s.Offers), slices.Clone(s.Clusters)
	return s
}

// complete fills defaults in and reports every problem at once.
func (s Seed) complete() error {
	var problems []error
	datacenters, offers := map[string]bool{}, map[int]bool{}
	for _, d := range s.Datacenters {
		datacenters[d.Identifier] = true
	}
	for i := range s.Offers {
		o := &s.Offers[i]
		if o.ID <= 0 || o.VCPU <= 0 || o.RAMMiB <= 0 || o.DiskGiB <= 0 || o.PriceCents < 0 {
			problems = append(problems, fmt.Errorf("offer %d needs a positive id, vcpu, ramMiB and diskGiB", o.ID))
		}
		if o.PriceCents == 0 {
			o.PriceCents = 876*int64(o.VCPU) + 292*int64(o.RAMMiB)/1024
		}
		if o.Category == "" {
			o.Category = "G"
		}
		offers[o.ID] = true
	}
	for i := range s.Clusters {
		c := &s.Clusters[i]
		if c.KubeVersion == "" {
			c.KubeVersion = kubeVersion
		}
		if c.Identifier == "" || strings.TrimSpace(c.Name) == "" {
			problems = append(problems, fmt.Errorf("cluster %d of the seed needs an identifier and a name", i))
		}
		if !datacenters[c.Datacenter] {
			problems = append(problems, fmt.Errorf("cluster %q is in the unknown datacenter %q", c.Name, c.Datacenter))
		}
		sizes := []int{c.SizeID}
		for _, w := range c.Workers {
			sizes = append(sizes, w.SizeID)
		}
		for _, size := range sizes {
			if !offers[size] {
				problems = append(problems, fmt.Errorf("cluster %q uses the unknown size %d", c.Name, size))
			}
		}
	}
	return errors.Join(problems...)
}
