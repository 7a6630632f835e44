// Command reasons explains reason codes, and prints the page of them in the documentation.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/tools/internal/reasons"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run explains the codes, or prints the page where none is named. It returns 2 where one does not exist.
func run(codes []string, stdout, stderr io.Writer) int {
	if len(codes) == 0 {
		fmt.Fprint(stdout, reasons.Page())
		return 0
	}
	status := 0
	for _, code := range codes {
		entry, known := reason.Find(code)
		if !known {
			fmt.Fprintf(stderr, "reasons: there is no reason code %q; docs/reasons.md lists all, as records and as conditions show them\n", code)
			status = 2
			continue
		}
		fmt.Fprint(stdout, entry.Help())
	}
	return status
}
