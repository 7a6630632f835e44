// Package workload holds waiting pods and machine types in a neutral form that any planner can read: it reads
// them from files, makes them, and turns them into a problem for the engine.
package workload

import (
	"math"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/money"
)

// Workload is what a planner is asked to plan.
type Workload struct {
	// Name tells the workload from others in benchmarks and tests; a workload from files has none.
	Name  string
	Types []Type
	Pods  []*corev1.Pod
	// Daemons are pods of which each machine whose labels they ask for runs one.
	Daemons []*corev1.Pod
	// NodesMax bounds the machines of a plan. Zero means no bound.
	NodesMax int
}

// Type is a kind of machine that may be launched in some zones.
type Type struct {
	Name string `json:"name"`
	// VCPU and MemGiB are the whole machine, before anything is reserved.
	VCPU   float64 `json:"vcpu"`
	MemGiB float64 `json:"memGiB"`
	// Pods is how many pods a node may run.
	Pods             int64 `json:"pods"`
	ReservedMilliCPU int64 `json:"reservedMilliCPU"`
	ReservedMiB      int64 `json:"reservedMiB"`
	// PriceHour is in dollars.
	PriceHour float64  `json:"priceHour"`
	Zones     []string `json:"zones"`
	// Arch is the value of the label kubernetes.io/arch.
	Arch string `json:"arch"`
	// Extended are further resources, such as nvidia.com/gpu.
	Extended corev1.ResourceList `json:"extended,omitempty"`
	// Labels are further labels of the node.
	Labels map[string]string `json:"labels,omitempty"`
}

// MilliCPU is the whole machine's processors in millicores.
func (t *Type) MilliCPU() int64 { return int64(math.Round(t.VCPU * 1000)) }

// MemoryBytes is the whole machine's memory.
func (t *Type) MemoryBytes() int64 { return int64(math.Round(t.MemGiB * (1 << 30))) }

// priceScale is how many of the engine's units of money stand for a dollar an hour. It keeps ten decimals, which
// is more than any price in use has, and leaves room for a billion dollars.
const priceScale = 1e10

// Price is what the engine counts for a machine of the type.
func (t *Type) Price() money.Micros { return money.Micros(math.Round(t.PriceHour * priceScale)) }

// DollarsPerHour turns the engine's count for machines back into dollars an hour.
func DollarsPerHour(price money.Micros) float64 { return float64(price) / priceScale }
