// Package reasons renders the registry of reason codes for people.
package reasons

import (
	"fmt"
	"strings"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
)

const preamble = `# Reason codes

Every decision, refusal and hold carries one of these codes: in decision records, in the ` + "`recentDecisions`" + ` of a NodeGroup, in Pod events, and as the
reason of conditions and events in CamelCase. Codes are never renamed. This page is made by ` + "`make generate`" + ` from ` + "`api/reason`" + `.
`

// Page is the page of reason codes, in Markdown: a table of the codes in the registry's order.
func Page() string {
	var b strings.Builder
	b.WriteString(preamble)
	b.WriteString("\n| Code | Records | Meaning | What to do |\n| --- | --- | --- | --- |\n")
	for _, e := range reason.Entries {
		kinds := make([]string, len(e.Kinds))
		for i, k := range e.Kinds {
			kinds[i] = string(k)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", e.Code, strings.Join(kinds, ", "), e.Meaning, e.Remedy)
	}
	return b.String()
}
