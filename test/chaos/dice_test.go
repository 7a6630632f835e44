//go:build chaos

package chaos_test

import (
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// roll returns the dice of a test. The environment variable CHAOS_SEED repeats what they chose.
func roll(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("CHAOS_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("CHAOS_SEED: %v", err)
		}
	}
	t.Logf("dice: CHAOS_SEED=%d repeats them", seed)
	name := fnv.New64a()
	_, _ = name.Write([]byte(t.Name())) // never fails
	return rand.New(rand.NewPCG(seed, name.Sum64()))
}

// between draws a time from low to high.
func between(dice *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(dice.Int64N(int64(high-low)))
}

// shuffled returns the elements in an order that the dice choose.
func shuffled[T any](dice *rand.Rand, of ...T) []T {
	dice.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
	return of
}
