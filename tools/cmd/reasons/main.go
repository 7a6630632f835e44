// Command reasons prints the page of reason codes in the documentation.
package main

import (
	"fmt"

	"github.com/vpsie/vpsie-autoscaler/tools/internal/reasons"
)

func main() { fmt.Print(reasons.Page()) }
