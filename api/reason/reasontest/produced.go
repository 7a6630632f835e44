// Package reasontest holds services to their reason codes: what the code of a service names its tests must produce.
package reasontest

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
)

// Produced collects the codes that the tests of a package produced. It is safe for concurrent use; its zero value is ready.
type Produced struct {
	mu    sync.Mutex
	codes map[reason.Code]bool
}

// Add notes codes that a decision, a record or a plan carried.
func (p *Produced) Add(codes ...reason.Code) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.codes == nil {
		p.codes = map[reason.Code]bool{}
	}
	for _, code := range codes {
		p.codes[code] = true
	}
}

// Main runs the tests of a package and returns the exit status of its test binary: not zero where a test failed, or where code in one of
// the folders, tests aside, names a code that no test produced and that is not among those produced elsewhere. A run of some tests only is
// not held to that.
func (p *Produced) Main(m *testing.M, elsewhere []reason.Code, folders ...string) int {
	status := m.Run()
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return status
		}
	}
	if status != 0 {
		return status
	}
	named, err := Named(folders...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		code := named[name]
		if !p.codes[code] && !slices.Contains(elsewhere, code) {
			fmt.Fprintf(os.Stderr, "no test of the package produces %s, which its code names\n", code)
			status = 1
		}
		if p.codes[code] && slices.Contains(elsewhere, code) {
			fmt.Fprintf(os.Stderr, "%s is said to be produced elsewhere, but a test of the package produces it\n", code)
			status = 1
		}
	}
	return status
}
