package vpsiesim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const adminReplyBytesMax = 256 << 20

// AdminClient speaks the admin API; its zero value needs URL.
type AdminClient struct {
	// URL is the address of the admin listener, for instance http://127.0.0.1:8080.
	URL string
	// HTTP is the client to use; nil means http.DefaultClient.
	HTTP *http.Client
}

// Truth returns the ledger.
func (a *AdminClient) Truth(ctx context.Context) (Truth, error) {
	var t Truth
	return t, a.do(ctx, http.MethodGet, "/admin/truth", nil, &t)
}

// Calls returns the call counts.
func (a *AdminClient) Calls(ctx context.Context) (Calls, error) {
	var c Calls
	return c, a.do(ctx, http.MethodGet, "/admin/calls", nil, &c)
}

// ResetCalls starts the call counts anew.
func (a *AdminClient) ResetCalls(ctx context.Context) error {
	return a.do(ctx, http.MethodPost, "/admin/reset-calls", nil, nil)
}

// Switches returns the present behaviour.
func (a *AdminClient) Switches(ctx context.Context) (Switches, error) {
	var s Switches
	return s, a.do(ctx, http.MethodGet, "/admin/switches", nil, &s)
}

// SetSwitches changes the named switches and leaves the others alone.
func (a *AdminClient) SetSwitches(ctx context.Context, values map[string]any) error {
	return a.do(ctx, http.MethodPatch, "/admin/switches", values, nil)
}

// Faults returns the faults that can still act.
func (a *AdminClient) Faults(ctx context.Context) ([]Fault, error) {
	var list []Fault
	return list, a.do(ctx, http.MethodGet, "/admin/faults", nil, &list)
}

// AddFaults appends faults and returns them with their ids.
func (a *AdminClient) AddFaults(ctx context.Context, list ...Fault) ([]Fault, error) {
	var added []Fault
	return added, a.do(ctx, http.MethodPost, "/admin/faults", list, &added)
}

// ClearFaults removes every fault.
func (a *AdminClient) ClearFaults(ctx context.Context) error {
	return a.do(ctx, http.MethodDelete, "/admin/faults", nil, nil)
}

// RemoveFault removes one fault.
func (a *AdminClient) RemoveFault(ctx context.Context, id string) error {
	return a.do(ctx, http.MethodDelete, "/admin/faults/"+url.PathEscape(id), nil, nil)
}

// ChangeToken rotates or revokes credentials.
func (a *AdminClient) ChangeToken(ctx context.Context, c TokenChange) error {
	return a.do(ctx, http.MethodPost, "/admin/token", c, nil)
}

// SeedMachines puts foreign workers into a cluster.
func (a *AdminClient) SeedMachines(ctx context.Context, r SeedRequest) ([]Machine, error) {
	var rows []Machine
	return rows, a.do(ctx, http.MethodPost, "/admin/machines", r, &rows)
}

// DeleteMachine deletes a node as a person in the console would.
func (a *AdminClient) DeleteMachine(ctx context.Context, identifier string) error {
	return a.do(ctx, http.MethodDelete, "/admin/machines/"+url.PathEscape(identifier), nil, nil)
}

// VanishMachine takes a node away at once.
func (a *AdminClient) VanishMachine(ctx context.Context, identifier string) error {
	return a.do(ctx, http.MethodDelete, "/admin/machines/"+url.PathEscape(identifier)+"?vanish=true", nil, nil)
}

func (a *AdminClient) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode body of %s %s: %w", method, path, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(a.URL, "/")+path, body)
	if err != nil {
		return err
	}
	client := a.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	rep, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = rep.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(rep.Body, adminReplyBytesMax))
	if err != nil {
		return fmt.Errorf("read reply of %s %s: %w", method, path, err)
	}
	if rep.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, rep.Status, bytes.TrimSpace(b))
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("decode reply of %s %s: %w", method, path, err)
	}
	return nil
}

// decodeStrict reads a JSON object without unknown fields; an empty body reads as {}.
func decodeStrict(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("decode body: %w", err)
	}
	return nil
}
