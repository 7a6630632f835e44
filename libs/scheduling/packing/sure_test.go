package packing_test

import (
	"slices"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling/packing"
)

func TestSure(t *testing.T) {
	small, large := option("g", "z1", 4, 44), option("g", "z1", 16, 160) // a tenth dearer a core
	tests := map[string]struct {
		why     string
		cpu, mi int64
		pods    int
		nodes   int
		options []*packing.Option
		want    []bool
	}{
		"FullMachineOfTheBestSize": {
			cpu: 1000, mi: 2048, pods: 16, nodes: -1, options: []*packing.Option{small, large}, want: []bool{true},
		},
		"HalfAMachine": {
			why: "what comes next may fill another one", cpu: 1000, mi: 2048, pods: 8, nodes: -1, options: []*packing.Option{large}, want: []bool{false},
		},
		"FullMachineOfASizeThatDoesNotStayRight": {
			why: "four times as many pods are served for less", cpu: 1000, mi: 2048, pods: 4, nodes: -1, options: []*packing.Option{small, large}, want: []bool{false},
		},
		"MemoryIsLeftOver": {
			why: "pods that ask for more memory would use it", cpu: 1000, mi: 256, pods: 16, nodes: -1, options: []*packing.Option{small, large}, want: []bool{false},
		},
		"MemoryIsLeftOverWithoutAChoice": {
			why: "there is no other size to wait for", cpu: 1000, mi: 256, pods: 16, nodes: -1, options: []*packing.Option{large}, want: []bool{true},
		},
		"OneMachineOfMany": {
			why: "the rest waits", cpu: 1000, mi: 2048, pods: 20, nodes: -1, options: []*packing.Option{large}, want: []bool{true, false},
		},
		"LastMachinesOfALimit": {
			why: "a bound of nodes is kept by larger machines", cpu: 1000, mi: 2048, pods: 16, nodes: 3,
			options: []*packing.Option{large, option("g", "z1", 64, 640)}, want: []bool{false},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			web := item("web", "web", func(s *scheduling.Shape) { s.Requests = size(tc.cpu, tc.mi) })
			p := problem(nil, []packing.Demand{{Item: web, Count: tc.pods}}, tc.options...)
			limit := bounds.Unlimited
			limit.Nodes = int64(tc.nodes)
			p.Limits["g"] = limit
			got := packing.Pack(p)
			sure := packing.Sure(p, &got)
			slices.SortFunc(sure, func(a, b bool) int {
				switch {
				case a == b:
					return 0
				case a:
					return -1
				}
				return 1
			})
			if !slices.Equal(sure, tc.want) {
				t.Errorf("launches are sure: %v, want %v; %s", sure, tc.want, tc.why)
			}
		})
	}
}
