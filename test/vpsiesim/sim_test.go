package vpsiesim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

const (
	clusterPath = "/apps/v2/k8s/cluster/byId/" + vpsiesim.DefaultCluster
	groupsPath  = "/apps/v2/k8s/node/groups/byClusterId/" + vpsiesim.DefaultCluster
	survey      = `"deleteStatistic":{"reason":"test","note":""}`
	addGroup22  = `{"clusterIdentifier":"` + vpsiesim.DefaultCluster + `","groupName":"small","KubeSizeID":22}`
)

// client calls a simulator in process.
type client struct {
	t    *testing.T
	sim  *vpsiesim.Sim
	http *http.Client
}

func start(t *testing.T, cfg vpsiesim.Config) *client {
	t.Helper()
	sim := vpsiesim.New(cfg)
	t.Cleanup(sim.Close)
	return &client{t, sim, &http.Client{Transport: vpsiesim.Transport(sim.Handler())}}
}

// instant is a configuration in which nothing takes time, with more switches of the form name=value.
func instant(t *testing.T, switches ...string) vpsiesim.Config {
	t.Helper()
	s := vpsiesim.DefaultSwitches()
	s.ListDelay, s.BootDelay, s.DeleteDelay = 0, 0, 0
	return vpsiesim.Config{Switches: with(t, s, switches...), ClientID: "id", ClientSecret: "secret"}
}

func with(t *testing.T, s vpsiesim.Switches, switches ...string) *vpsiesim.Switches {
	t.Helper()
	for _, text := range switches {
		name, value, _ := strings.Cut(text, "=")
		var err error
		if s, err = s.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	return &s
}

// answer is a decoded reply.
type answer struct {
	status int
	header http.Header
	body   map[string]any
	text   string
}

func (a answer) rows(t *testing.T) []map[string]any {
	t.Helper()
	list, ok := a.body["data"].([]any)
	if !ok {
		t.Fatalf("data is no list: %s", a.text)
	}
	rows := []map[string]any{}
	for _, v := range list {
		rows = append(rows, v.(map[string]any))
	}
	return rows
}

func (c *client) try(ctx context.Context, method, path, body string, header ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://vpsie.test"+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Vpsie-Auth", vpsiesim.DefaultToken)
	req.Header.Set("User-Agent", "tester/1")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Del(header[i])
		if header[i+1] != "" {
			req.Header.Set(header[i], header[i+1])
		}
	}
	rep, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = rep.Body.Close() }()
	b, err := io.ReadAll(rep.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: rep.StatusCode, header: rep.Header, text: string(b)}
	_ = json.Unmarshal(b, &a.body)
	return a, nil
}

func (c *client) do(method, path, body string, header ...string) answer {
	c.t.Helper()
	a, err := c.try(c.t.Context(), method, path, body, header...)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// ok is do for a call that must succeed.
func (c *client) ok(method, path, body string) answer {
	c.t.Helper()
	a := c.do(method, path, body)
	if a.status != http.StatusOK || a.body["error"] != false {
		c.t.Fatalf("%s %s: %d %s", method, path, a.status, a.text)
	}
	return a
}

// addGroup creates the group of size 22 and returns the path that adds a node to it.
func (c *client) addGroup() string {
	c.t.Helper()
	id := c.ok("POST", "/apps/v2/k8s/cluster/add/group", addGroup22).body["data"].(map[string]any)["groupId"].(string)
	return clusterPath + "/add/slave/group/" + id
}

// workers returns the workers in the cluster detail.
func (c *client) workers() []map[string]any {
	c.t.Helper()
	var slaves []map[string]any
	detail := c.ok("GET", clusterPath, "").body["data"].(map[string]any)
	for _, v := range detail["nodes"].([]any) {
		if node := v.(map[string]any); node["role"] == "slave" {
			slaves = append(slaves, node)
		}
	}
	return slaves
}

func has(a answer, text string) bool { return bytes.Contains([]byte(a.text), []byte(text)) }

// fakeBooter is a Kubernetes cluster in memory.
type fakeBooter struct {
	mu    sync.Mutex
	away  bool
	nodes map[string]bool // by name; true while the kubelet runs
	pods  map[string]int
}

func newFakeBooter() *fakeBooter {
	return &fakeBooter{nodes: map[string]bool{}, pods: map[string]int{}}
}

var errAway = errors.New("connection refused")

func (b *fakeBooter) Boot(_ context.Context, m vpsiesim.Machine) error { return b.set(m, true) }
func (b *fakeBooter) Halt(_ context.Context, m vpsiesim.Machine) error { return b.set(m, false) }

func (b *fakeBooter) set(m vpsiesim.Machine, running bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return errAway
	}
	b.nodes[m.NodeName()] = running
	return nil
}

func (b *fakeBooter) PodsOn(_ context.Context, hostname string) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return 0, errAway
	}
	return b.pods[hostname], nil
}

func (b *fakeBooter) setAway(away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = away
}

// running reports whether the node exists and whether its kubelet runs.
func (b *fakeBooter) running(name string) (exists, runs bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	runs, exists = b.nodes[name]
	return exists, runs
}
