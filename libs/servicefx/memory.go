package servicefx

import (
	"os"
	"runtime/debug"
)

// collectAt is the growth of the heap, in percent, at which garbage is collected. Services live on
// small heaps, where Go's default of 100 wastes as much as it holds.
const collectAt = 25

// tuneMemory trades a little time for memory, unless the environment says otherwise.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
}
