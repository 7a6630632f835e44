package vpsiesim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

const adminIndex = `vpsiesim admin API; errors are {"error": "text"}

GET    /admin/healthz
GET    /admin/truth                  the ledger: machines, counts, money, clusters, calls
GET    /admin/calls                  calls by endpoint and outcome, and their rate
POST   /admin/reset-calls
GET    /admin/endpoints              endpoint names for faults
GET    /admin/switches
PATCH  /admin/switches               {"name": value, ...} changes these
PUT    /admin/switches               {"name": value, ...} changes these and resets the others
GET    /admin/faults
POST   /admin/faults                 one fault or a list: {"endpoint"|"method"|"path", "kind", ...}
DELETE /admin/faults                 all
DELETE /admin/faults/{id}
POST   /admin/token                  {"token"|"clientSecret"|"revoke"|"revokeExchanged"}
POST   /admin/machines               {"cluster", "sizeId", "count", "groupId", "hostname", "noNode"} seeds foreign workers
DELETE /admin/machines/{identifier}  as a person in the console; ?vanish=true takes it away at once
`

const seedCountMax = 2000

// SeedRequest asks for foreign workers in a cluster.
type SeedRequest struct {
	// Cluster is the identifier of the cluster; empty means DefaultCluster.
	Cluster string `json:"cluster,omitempty"`
	// SizeID is the offer; zero means that of the cluster's masters.
	SizeID  int `json:"sizeId,omitempty"`
	GroupID int `json:"groupId,omitempty"`
	// Count is how many; zero means one.
	Count int `json:"count,omitempty"`
	// Hostname is for a single machine; empty lets VPSie choose.
	Hostname string `json:"hostname,omitempty"`
	// NoNode leaves the machine without a Node for ever.
	NoNode bool `json:"noNode,omitempty"`
}

// SeedMachines puts foreign workers into a cluster; they are listed at once and register at once.
func (m *Model) SeedMachines(r SeedRequest) ([]Machine, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.Cluster == "" {
		r.Cluster = DefaultCluster
	}
	r.Count = max(r.Count, 1)
	c := m.cluster(r.Cluster)
	switch {
	case c == nil:
		return nil, fmt.Errorf("cluster %q does not exist", r.Cluster)
	case r.Count > seedCountMax:
		return nil, fmt.Errorf("count %d is above %d", r.Count, seedCountMax)
	case r.Hostname != "" && r.Count > 1:
		return nil, errors.New("a hostname fits one machine only")
	}
	offer, g := c.offer, c.group(r.GroupID)
	if r.GroupID != 0 {
		if g == nil {
			return nil, fmt.Errorf("group %d does not exist", r.GroupID)
		}
		offer = g.offer
	}
	if r.SizeID != 0 {
		known := false
		if offer, known = m.offer(r.SizeID); !known {
			return nil, fmt.Errorf("size %d does not exist", r.SizeID)
		}
	}
	var rows []Machine
	for range r.Count {
		mc := m.newNode(c, g, order{role: RoleSlave, offer: offer, foreign: true, by: "admin", hostname: r.Hostname, noNode: r.NoNode})
		m.list(mc)
		rows = append(rows, mc.row(mc.ListedAt))
	}
	return rows, nil
}

// RemoveMachine deletes a node of a managed cluster as a person in the console would, or makes it vanish at once.
func (m *Model) RemoveMachine(identifier string, how HowDeleted) error {
	m.mu.Lock()
	mc := m.deletable(identifier)
	if mc == nil {
		m.mu.Unlock()
		return fmt.Errorf("machine %q is not listed", identifier)
	}
	d := deletion{how: how, by: "admin", immediate: how == DeletedByVanishing}
	fresh := m.beginDelete(d, mc)
	m.mu.Unlock()
	m.endDelete(d, fresh)
	return nil
}

// newAdmin serves the admin API of a model.
func newAdmin(m *Model) http.Handler {
	mux := http.NewServeMux()
	get := func(pattern string, f func() any) {
		mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, _ *http.Request) { writeAdmin(w, f(), nil) })
	}
	change := func(pattern string, f func(r *http.Request, body []byte) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestBytesMax))
			if err != nil {
				writeAdmin(w, nil, err)
				return
			}
			answer, err := f(r, body)
			writeAdmin(w, answer, err)
		})
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, adminIndex) })
	get("/admin/healthz", func() any { return map[string]string{"status": "ok"} })
	get("/admin/truth", func() any { return m.Truth() })
	get("/admin/calls", func() any { return m.Calls() })
	get("/admin/endpoints", func() any { return Endpoints() })
	get("/admin/switches", func() any { return m.Switches() })
	get("/admin/faults", func() any { return m.Faults() })
	change("PATCH /admin/switches", func(_ *http.Request, body []byte) (any, error) {
		return switchesAfter(m, m.setSwitches(nil, body))
	})
	change("PUT /admin/switches", func(_ *http.Request, body []byte) (any, error) {
		defaults := DefaultSwitches()
		return switchesAfter(m, m.setSwitches(&defaults, body))
	})
	change("POST /admin/faults", func(_ *http.Request, body []byte) (any, error) {
		list, err := parseFaults(body)
		if err != nil {
			return nil, err
		}
		return m.addFaults(list)
	})
	change("DELETE /admin/faults", func(*http.Request, []byte) (any, error) {
		m.removeFault("")
		return m.Faults(), nil
	})
	change("DELETE /admin/faults/{id}", func(r *http.Request, _ []byte) (any, error) {
		if !m.removeFault(r.PathValue("id")) {
			return nil, fmt.Errorf("fault %q does not exist", r.PathValue("id"))
		}
		return m.Faults(), nil
	})
	change("POST /admin/token", func(_ *http.Request, body []byte) (any, error) {
		var c TokenChange
		if err := decodeStrict(body, &c); err != nil {
			return nil, err
		}
		if c == (TokenChange{}) {
			return nil, errors.New("nothing to change: want token, clientSecret, revoke or revokeExchanged")
		}
		m.changeTokens(c)
		return map[string]bool{"changed": true}, nil
	})
	change("POST /admin/reset-calls", func(*http.Request, []byte) (any, error) {
		m.resetCalls()
		return m.Calls(), nil
	})
	change("POST /admin/machines", func(_ *http.Request, body []byte) (any, error) {
		var r SeedRequest
		if err := decodeStrict(body, &r); err != nil {
			return nil, err
		}
		return m.SeedMachines(r)
	})
	change("DELETE /admin/machines/{identifier}", func(r *http.Request, _ []byte) (any, error) {
		how := DeletedInConsole
		if vanish, _ := strconv.ParseBool(r.URL.Query().Get("vanish")); vanish {
			how = DeletedByVanishing
		}
		return map[string]bool{"deleted": true}, m.RemoveMachine(r.PathValue("identifier"), how)
	})
	return mux
}

func switchesAfter(m *Model, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return m.Switches(), nil
}

// writeAdmin answers with JSON, and with 400 for an error.
func writeAdmin(w http.ResponseWriter, answer any, err error) {
	status := http.StatusOK
	if err != nil {
		status, answer = http.StatusBadRequest, map[string]string{"error": err.Error()}
	}
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the client may be gone
}
