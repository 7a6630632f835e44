// Package text writes and cuts what people read.
package text

import (
	"fmt"
	"strings"
)

// BytesMax is how long a text may be that Truncate leaves as it is. The API server takes events with notes of 1 KiB.
const BytesMax = 1000

// Truncate cuts a text to what an event holds. What was cut ends with an ellipsis.
func Truncate(s string) string {
	if len(s) <= BytesMax {
		return s
	}
	return strings.ToValidUTF8(s[:BytesMax], "") + "…"
}

// Count writes how many there are, with the words for one of them or for several.
func Count(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}
