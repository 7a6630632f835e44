package kubesim

import (
	"fmt"
	"math/rand/v2"

	"k8s.io/apimachinery/pkg/types"
)

const (
	suffixLength  = 5
	suffixLetters = "bcdfghjklmnpqrstvwxz2456789"
	generatedMax  = 63
)

// nameSource makes names and uids that are the same in each run. The server's writing guards it.
type nameSource struct{ made uint64 }

// uid returns the next one.
func (n *nameSource) uid() types.UID {
	n.made++
	return types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012x", n.made))
}

// generate completes a prefix.
func (n *nameSource) generate(prefix string) string {
	n.made++
	random := rand.New(rand.NewPCG(n.made, 0))
	suffix := make([]byte, suffixLength)
	for i := range suffix {
		suffix[i] = suffixLetters[random.IntN(len(suffixLetters))]
	}
	return prefix[:min(len(prefix), generatedMax-suffixLength)] + string(suffix)
}
