package text_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vpsie/vpsie-autoscaler/libs/text"
)

// noteMax is the API server's limit on the note of an event, in bytes.
const noteMax = 1024

func TestTruncate(t *testing.T) {
	for name, s := range map[string]string{"Empty": "", "Full": strings.Repeat("x", text.BytesMax)} {
		if got := text.Truncate(s); got != s {
			t.Errorf("%s: %q, want it as it was", name, got)
		}
	}
	for name, s := range map[string]string{"Long": strings.Repeat("x", 2*text.BytesMax), "InsideALetter": "x" + strings.Repeat("ä", text.BytesMax)} {
		got := text.Truncate(s)
		if len(got) > noteMax || !utf8.ValidString(got) || !strings.HasPrefix(s, strings.TrimSuffix(got, "…")) || !strings.HasSuffix(got, "…") {
			t.Errorf("%s: %q of %d bytes, want the beginning and an ellipsis", name, got, len(got))
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 nodes", 1: "1 node", 2: "2 nodes"} {
		if got := text.Count(n, "node", "nodes"); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
