// Package reasons renders the registry of reason codes for people.
package reasons

import (
	"fmt"
	"strings"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
)

const preamble = `# Reason codes

Every decision, refusal and hold carries one of these codes: in decision records, in the ` + "`recentDecisions`" + ` of a NodeGroup, in Pod events, and as the
reason of conditions and events in CamelCase. Codes are never renamed. ` + "`go run ./tools/cmd/reasons CODE`" + ` explains one in a terminal, in either spelling. This page is made by ` + "`make generate`" + ` from ` + "`api/reason`" + `.
`

const parameters = `
## Parameters

Records carry values for programs: those of the code, above, and those of the kind, below, which may differ by subject. Each is written as its type
says. A record about a VPSieNode also carries ` + "`machine`" + `. A record lacks a parameter that is marked "if known" where the value is not known.

| Kind | Subject | Parameters |
| --- | --- | --- |
`

const types = `
| Type | How a value is written |
| --- | --- |
`

// Page is the page of reason codes, in Markdown: a table of the codes in the registry's order.
func Page() string {
	var b strings.Builder
	b.WriteString(preamble)
	b.WriteString("\n| Code | Records | Meaning | What to do | Parameters |\n| --- | --- | --- | --- | --- |\n")
	for _, e := range reason.Entries {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", e.Code, e.KindNames(), e.Meaning, e.Remedy, list(e.Parameters()))
	}
	b.WriteString(parameters)
	for _, k := range reason.Kinds {
		subject := k.Subject
		if subject == "" {
			subject = "any"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", k.Kind, subject, list(k.Parameters))
	}
	b.WriteString(types)
	for _, t := range reason.Types {
		fmt.Fprintf(&b, "| %s | %s |\n", t.Type, t.Meaning)
	}
	return b.String()
}

// list has one parameter in a line.
func list(all []reason.Parameter) string {
	lines := make([]string, len(all))
	for i, p := range all {
		lines[i] = p.String()
	}
	return strings.Join(lines, "<br>")
}
