//go:build integration

package cluster_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vpsie/vpsie-autoscaler/test/cluster"
)

func TestNATS(t *testing.T) {
	n, err := cluster.StartNATS(t.Context(), cluster.NATSOptions{Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	request(t, n, "$JS.API.STREAM.CREATE.KEPT", `{"name":"KEPT","subjects":["kept"],"storage":"file"}`, `"did_create":true`)

	n.Kill()
	if conn, err := net.Dial("tcp", address(n)); err == nil {
		t.Error("a killed server still accepts connections", conn.Close())
	}
	start(t, n)
	request(t, n, "$JS.API.STREAM.INFO.KEPT", "", `"name":"KEPT"`)

	if err := n.Wipe(); err == nil {
		t.Error("a running server let its store be wiped")
	}
	n.Stop()
	if err := n.Wipe(); err != nil {
		t.Fatal(err)
	}
	start(t, n)
	request(t, n, "$JS.API.STREAM.INFO.KEPT", "", `"code":404`)

	if _, err := os.Stat(filepath.Join(n.Dir, "store")); err != nil {
		t.Errorf("store is not where Wipe looks for it: %v", err)
	}
}

func start(t *testing.T, n *cluster.NATS) {
	t.Helper()
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// request speaks the text protocol itself, because nothing else here needs a NATS client.
func request(t *testing.T, n *cluster.NATS, subject, payload, want string) {
	t.Helper()
	conn, err := net.Dial("tcp", address(n))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "CONNECT {\"verbose\":false}\r\nSUB answer 1\r\nPUB %s answer %d\r\n%s\r\n", subject, len(payload), payload)
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "MSG answer") {
			continue
		}
		if !lines.Scan() || !strings.Contains(lines.Text(), want) {
			t.Errorf("request %s: answer %s, want it to contain %s", subject, lines.Text(), want)
		}
		return
	}
	t.Fatalf("request %s: no answer: %v", subject, lines.Err())
}

func address(n *cluster.NATS) string { return strings.TrimPrefix(n.URL, "nats://") }
