package disruption

import (
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// Fact is something about a machine that is known or unknown. The zero Fact is unknown, and a guard that needs it
// refuses. Only guards read facts.
type Fact[T any] struct {
	value T
	known bool
}

// Known returns a fact with a value.
func Known[T any](value T) Fact[T] { return Fact[T]{value, true} }

// reading is what one guard reads of a view.
type reading struct {
	*View
	// blind says that the guard read an unknown fact.
	blind bool
}

func read[T any](r *reading, f Fact[T]) T {
	r.blind = r.blind || !f.known
	return f.value
}

func (r *reading) machine() *v1beta1.VPSieNode {
	if r.Machine == nil {
		r.blind = true
		return &v1beta1.VPSieNode{}
	}
	return r.Machine
}
