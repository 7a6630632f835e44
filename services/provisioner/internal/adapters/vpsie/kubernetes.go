package vpsie

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

// Roles and types by which a node of a cluster is known to be part of its control plane.
const (
	roleMaster     = "master"
	nodeTypeMaster = 1
)

// clusterUnknown is what VPSie says of a cluster that it does not know (vpsie-api.md §2.2).
const clusterUnknown = "kubernetes not found"

// node is a node of a managed cluster: the union of what clients have seen (vpsie-api.md §3.16).
type node struct {
	Identifier string `json:"identifier"`
	Hostname   string `json:"hostname"`
	Role       string `json:"role"`
	NodeType   number `json:"node_type"`
	CPU        number `json:"cpu"`
	RAM        number `json:"ram"`
	IsDeleted  flag   `json:"is_deleted"`
}

func (n node) isMaster() bool {
	if n.Role != "" {
		return n.Role == roleMaster
	}
	return n.NodeType.whole() == nodeTypeMaster
}

// Workers implements app.Cloud.
func (c *Client) Workers(ctx context.Context, cluster string) (app.Listing, error) {
	const endpoint = "cluster"
	r, err := c.do(ctx, request{endpoint: endpoint, method: http.MethodGet, path: clusterPath(cluster)})
	if err != nil {
		return app.Listing{}, err
	}
	var detail struct {
		Identifier string  `json:"identifier"`
		Nodes      *[]node `json:"nodes"`
		Slaves     *[]node `json:"slaves"`
	}
	if isNothing(r.Data) {
		return app.Listing{}, &app.CloudError{Failure: app.NotFound, Endpoint: endpoint, Message: clusterUnknown}
	}
	if err := json.Unmarshal(r.Data, &detail); err != nil {
		return app.Listing{}, malformed(endpoint, err)
	}
	var nodes []node
	for _, list := range []*[]node{detail.Nodes, detail.Slaves} {
		if list != nil {
			nodes = append(nodes, *list...)
		}
	}
	if detail.Nodes == nil && detail.Slaves == nil {
		// No list at all is not an empty one.
		return app.Listing{}, malformed(endpoint, fmt.Errorf("cluster %q comes without its nodes", cluster))
	}
	listing := app.Listing{ShowsSizes: len(nodes) > 0}
	for _, n := range nodes {
		size := launch.Size{CPU: n.CPU.whole(), MemoryMiB: n.RAM.whole()}
		listing.ShowsSizes = listing.ShowsSizes && size.CPU > 0 && size.MemoryMiB > 0
		if n.isMaster() || n.IsDeleted.set {
			continue
		}
		if n.Hostname == "" {
			return app.Listing{}, malformed(endpoint, fmt.Errorf("a node of cluster %q has no hostname", cluster))
		}
		listing.Workers = append(listing.Workers, launch.Listed{Identifier: n.Identifier, Hostname: n.Hostname, Size: size})
	}
	workers, err := c.identify(ctx, listing.Workers)
	if err != nil {
		return app.Listing{}, err
	}
	listing.Workers = workers
	return listing, nil
}

// identify fills in the identifiers that the listing left out, by hostname.
func (c *Client) identify(ctx context.Context, workers []launch.Listed) ([]launch.Listed, error) {
	const endpoint = "storage vms"
	complete := true
	for _, w := range workers {
		complete = complete && w.Identifier != ""
	}
	if complete {
		return workers, nil
	}
	r, err := c.do(ctx, request{endpoint: endpoint, method: http.MethodGet, path: "/apps/v2/storages/vms"})
	if err != nil {
		return nil, err
	}
	var rows []struct {
		Hostname   string `json:"hostname"`
		Identifier string `json:"identifier"`
	}
	if err := json.Unmarshal(r.Data, &rows); err != nil {
		return nil, malformed(endpoint, err)
	}
	byHostname := make(map[string]string, len(rows))
	for _, row := range rows {
		byHostname[strings.ToLower(row.Hostname)] = row.Identifier
	}
	for i := range workers {
		if workers[i].Identifier == "" {
			workers[i].Identifier = byHostname[strings.ToLower(workers[i].Hostname)]
		}
		if workers[i].Identifier == "" {
			return nil, malformed(endpoint, fmt.Errorf("node %q has no identifier in any listing", workers[i].Hostname))
		}
	}
	return workers, nil
}

// Offerings implements app.Cloud.
func (c *Client) Offerings(ctx context.Context, datacenter string) ([]app.Offering, error) {
	const endpoint = "offers"
	r, err := c.do(ctx, request{
		endpoint: endpoint, method: http.MethodPost, path: "/apps/v2/k8s/offers",
		body: map[string]string{"dcIdentifier": datacenter},
	})
	if err != nil {
		return nil, err
	}
	var rows []struct {
		ID       number `json:"id"`
		Name     string `json:"name"`
		Nickname string `json:"nickname"`
		CPU      number `json:"cpu"`
		RAM      number `json:"ram"`
		Disk     number `json:"disk"`
		SSD      number `json:"ssd"`
		Price    number `json:"price"`
	}
	// A datacenter without offers has an empty list; no list is an accident, not an empty shop.
	if isNothing(r.Data) {
		return nil, malformed(endpoint, errors.New("reply has no list of sizes"))
	}
	if err := json.Unmarshal(r.Data, &rows); err != nil {
		return nil, malformed(endpoint, err)
	}
	offerings := make([]app.Offering, 0, len(rows))
	for _, row := range rows {
		price, err := money.FromDollars(row.Price.value)
		// A size whose price or shape is unknown cannot be compared with others, so it is not for sale.
		if err != nil || !row.Price.set || row.ID.whole() == 0 || row.CPU.whole() == 0 || row.RAM.whole() == 0 {
			continue
		}
		name := row.Nickname
		if name == "" {
			name = row.Name
		}
		offerings = append(offerings, app.Offering{
			ID: row.ID.whole(), Name: labelValue(name, row.ID.whole()),
			Size:      launch.Size{CPU: row.CPU.whole(), MemoryMiB: row.RAM.whole()},
			DiskBytes: max(row.Disk.whole(), row.SSD.whole()) << 30, MonthlyPrice: price,
		})
	}
	return offerings, nil
}

// labelValue makes a name usable as the value of the instance-type label.
func labelValue(name string, id int64) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '-'
	}, name)
	clean = strings.Trim(clean[:min(len(clean), 63)], "-_.")
	if clean == "" {
		return "vpsie-" + strconv.FormatInt(id, 10)
	}
	return clean
}

// Groups implements app.Cloud.
func (c *Client) Groups(ctx context.Context, cluster string) (map[int64]int64, error) {
	const endpoint = "groups"
	r, err := c.do(ctx, request{
		endpoint: endpoint, method: http.MethodGet, path: "/apps/v2/k8s/node/groups/byClusterId/" + url.PathEscape(cluster),
	})
	if err != nil {
		return nil, err
	}
	var rows []struct {
		ID        number `json:"id"`
		BoxsizeID number `json:"boxsize_id"`
		IsDeleted flag   `json:"is_deleted"`
	}
	if !isNothing(r.Data) {
		if err := json.Unmarshal(r.Data, &rows); err != nil {
			return nil, malformed(endpoint, err)
		}
	}
	groups := make(map[int64]int64, len(rows))
	for _, row := range rows {
		if row.IsDeleted.set || row.ID.whole() == 0 || row.BoxsizeID.whole() == 0 {
			continue
		}
		groups[row.BoxsizeID.whole()] = row.ID.whole()
	}
	return groups, nil
}

// CreateGroup implements app.Cloud.
func (c *Client) CreateGroup(ctx context.Context, g app.Guard, cluster, name string, offering int64) error {
	_, err := c.do(ctx, request{
		endpoint: "add group", method: http.MethodPost, path: "/apps/v2/k8s/cluster/add/group", changes: true, guard: g,
		body: struct {
			Cluster string `json:"clusterIdentifier"`
			Name    string `json:"groupName"`
			Size    int64  `json:"KubeSizeID"`
		}{cluster, name, offering},
	})
	return err
}

// AddWorker implements app.Cloud.
func (c *Client) AddWorker(ctx context.Context, g app.Guard, cluster string, group int64) error {
	const endpoint = "add node"
	r, err := c.do(ctx, request{
		endpoint: endpoint, method: http.MethodPost, changes: true, guard: g,
		path: clusterPath(cluster) + "/add/slave/group/" + strconv.FormatInt(group, 10),
	})
	if err == nil && isNothing(r.Data) {
		return malformed(endpoint, errors.New("the reply neither accepts nor refuses the request"))
	}
	return err
}

// DeleteWorker implements app.Cloud.
func (c *Client) DeleteWorker(ctx context.Context, g app.Guard, cluster, identifier string) (bool, error) {
	r, err := c.do(ctx, request{
		endpoint: "delete node", method: http.MethodDelete, path: clusterPath(cluster) + "/delete/slave",
		changes: true, guard: g, repeatable: true, body: map[string]string{"identifier": identifier},
	})
	if err != nil {
		// That it does not know the cluster says nothing of a machine.
		if e := app.AsCloudError(err); e.Failure == app.NotFound && !strings.Contains(strings.ToLower(e.Message), clusterUnknown) {
			return true, nil
		}
		return false, err
	}
	// Of a machine that it does not know VPSie says "not found", false or null (vpsie-api.md §7.1). No body, or one without data, is
	// how it may say yes (§2.1), and proves nothing.
	return len(r.Data) > 0 && isNothing(r.Data), nil
}

func clusterPath(cluster string) string {
	return "/apps/v2/k8s/cluster/byId/" + url.PathEscape(cluster)
}

// isNothing reports whether a payload says that there is nothing (vpsie-api.md §2.1).
func isNothing(raw json.RawMessage) bool {
	text := string(bytes.TrimSpace(raw))
	return text == "" || text == "null" || text == "false"
}

func malformed(endpoint string, err error) error {
	return &app.CloudError{Failure: app.OutcomeUnknown, Endpoint: endpoint, Message: "unexpected reply: " + err.Error()}
}
