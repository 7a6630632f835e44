package generate

import (
	"math/rand/v2"

	"k8s.io/apimachinery/pkg/api/resource"
)

// source draws from a seed: the same seed gives the same draws.
type source struct{ rand *rand.Rand }

func newSource(seed uint64) source { return source{rand.New(rand.NewPCG(seed, 0x5eed))} }

// chance is true percent times out of a hundred.
func (s source) chance(percent int) bool { return s.rand.IntN(100) < percent }

// between draws from low to high, both included.
func (s source) between(low, high int) int { return low + s.rand.IntN(high-low+1) }

// pick draws one of the values.
func pick[T any](s source, from ...T) T { return from[s.rand.IntN(len(from))] }

// some draws one to most of the values, in their order.
func some[T any](s source, most int, from ...T) []T {
	wanted := s.between(1, min(most, len(from)))
	var out []T
	for i, value := range from {
		// Each value left has the same chance to fill one of the places left.
		if s.rand.IntN(len(from)-i) < wanted-len(out) {
			out = append(out, value)
		}
	}
	return out
}

func quantity(text string) resource.Quantity { return resource.MustParse(text) }
