package scaling

import (
	"fmt"
)

// number writes how many there are, with the words for one of them or for several.
func number(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}
