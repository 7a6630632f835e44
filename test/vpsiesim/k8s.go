package vpsiesim

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	nodeTypeMaster = 1
	nodeTypeSlave  = 2
	trafficGB      = 4096
)

func listClusters(c *call) reply {
	m := c.model
	m.mu.Lock()
	defer m.mu.Unlock()
	rows := []object{}
	for _, k := range m.clusters {
		if !k.listed {
			continue
		}
		row := clusterRow(c, k)
		row["upgrade_version"], row["lock"], row["lb_id"], row["user_id"] = k.version, 0, nil, accountUserID
		rows = append(rows, row)
	}
	return list(c, rows)
}

// clusterRow is what the list and the detail of a cluster share.
func clusterRow(c *call, k *cluster) object {
	masters, slaves := 0, 0
	for _, mc := range k.nodes {
		masters += bit(mc.Alive() && mc.Role == RoleMaster)
		slaves += bit(mc.Alive() && mc.Role == RoleSlave)
	}
	return object{
		"cluster_name": k.name, "identifier": k.identifier,
		"count": masters + slaves, "managerCount": masters, "slaveCount": slaves,
		"kube_version": k.version, "nickname": "Starter", "color": "#0a0",
		"cpu": k.offer.VCPU, "ram": k.offer.RAMMiB, "traffic": trafficGB,
		"price":      price(k.offer.PriceCents, c.switches.PriceType),
		"created_by": "Jane Roe", "created_on": stamp(k.createdAt), "updated_on": stamp(k.updatedAt),
	}
}

func getCluster(c *call) reply {
	m := c.model
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.cluster(c.vars["cluster"])
	if k == nil {
		return refused(errNoCluster, nil)
	}
	row := clusterRow(c, k)
	masters, slaves := []object{}, []object{}
	for _, mc := range m.listing(k, c.switches) {
		node := nodeRow(c, mc)
		if mc.Role == RoleMaster {
			masters = append(masters, node)
		} else {
			slaves = append(slaves, node)
		}
	}
	if c.switches.NodeFields == "split" {
		row["masters"], row["slaves"] = masters, slaves
	} else {
		row["nodes"] = append(masters, slaves...)
	}
	return data(row)
}

// listing returns the nodes that a listing of the cluster shows. The caller holds the lock.
func (m *Model) listing(k *cluster, s Switches) []*machine {
	at := time.Now().Add(-time.Duration(s.ListLag))
	var shown []*machine
	for _, mc := range m.machines {
		listed := mc.cluster == k && !mc.ListedAt.IsZero() && !mc.ListedAt.After(at) && (mc.GoneAt.IsZero() || mc.GoneAt.After(at))
		if listed && (mc.Role == RoleMaster || s.ListHides == 0 || m.random.IntN(100) >= s.ListHides) {
			shown = append(shown, mc)
		}
	}
	return shown
}

// nodeRow is the union of the fields that clients have seen on a node.
func nodeRow(c *call, mc *machine) object {
	kind := nodeTypeSlave
	if mc.Role == RoleMaster {
		kind = nodeTypeMaster
	}
	row := object{
		"id": mc.id, "identifier": mc.Identifier, "hostname": mc.Hostname, "user_id": accountUserID,
		"node_id": mc.host, "datacenter_id": mc.cluster.datacenter.ID, "node_type": kind, "created_on": stamp(mc.RequestedAt),
		"default_ip": mc.publicIP(), "ip": mc.publicIP(), "private_ip": mc.PrivateIP,
		"status": "active", "role": string(mc.Role), "cpu": mc.VCPU, "ram": mc.RAMMiB, "disk": mc.DiskGiB,
	}
	if c.switches.NodeFields == "noIdentifier" {
		delete(row, "identifier")
	}
	return row
}

// publicIP is an address of the documentation range 198.18.0.0/15, which is large enough for many machines.
func (mc *machine) publicIP() string { return fmt.Sprintf("198.18.%d.%d", mc.id/250%250, 1+mc.id%250) }

func listOffers(c *call) reply {
	m := c.model
	dcIdentifier := text(c.fields()["dcIdentifier"])
	m.mu.Lock()
	defer m.mu.Unlock()
	if dcIdentifier == "" {
		return refused(errLost, nil)
	}
	rows := []object{}
	if _, ok := m.datacenter(dcIdentifier); ok {
		for _, o := range m.offers {
			if !o.managed() || slices.Contains(m.hidden, o.ID) {
				continue
			}
			cents := o.PriceCents
			if m.pricePercent != 0 {
				cents = cents * m.pricePercent / 100
			}
			rows = append(rows, object{
				"id": o.ID, "identifier": o.identifierIn(dcIdentifier), "name": o.Nickname, "nickname": o.Nickname,
				"cpu": o.VCPU, "ram": o.RAMMiB, "disk": o.DiskGiB, "ssd": o.DiskGiB, "traffic": trafficGB,
				"price": price(cents, c.switches.PriceType),
			})
		}
	}
	return list(c, rows)
}

func listGroups(c *call) reply {
	m := c.model
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.cluster(c.vars["cluster"])
	if k == nil {
		return refused(errNoCluster, nil)
	}
	rows := []object{}
	for _, g := range k.groups {
		deleted := !g.droppedAt.IsZero()
		rows = append(rows, object{
			"id": g.id, "identifier": g.identifier, "group_name": g.name, "boxsize_id": g.offer.ID,
			"cpu": g.offer.VCPU, "ram": g.offer.RAMMiB, "ssd": g.offer.DiskGiB, "traffic": trafficGB,
			"nodes_count": k.countIn(g, c.switches.NodesCountRequested), "cluster_id": k.id, "project_id": defaultProjectID,
			"user_id": accountUserID, "datacenter_id": k.datacenter.ID, "dcIdentifier": k.datacenter.Identifier,
			"is_active": bit(!deleted), "is_deleted": bit(deleted), "notes": nil,
			"created_on": stamp(g.createdAt), "last_updated": stamp(g.updatedAt), "dropped_on": stamp(g.droppedAt),
		})
	}
	return list(c, rows)
}

// countIn counts the group's nodes that exist, or those that were asked for and not asked away.
func (c *cluster) countIn(g *group, requested bool) int {
	n := 0
	for _, mc := range c.nodes {
		if mc.group != g {
			continue
		}
		if requested && mc.DeleteRequestedAt.IsZero() || !requested && mc.Alive() {
			n++
		}
	}
	return n
}

func addGroup(c *call) reply {
	f := c.fields()
	cluster, name, size := text(f["clusterIdentifier"]), text(f["groupName"]), number(f["KubeSizeID"])
	if cluster == "" || name == "" || size == 0 {
		return refused(errLost, nil)
	}
	id, err := c.model.AddGroup(cluster, name, size)
	return refused(err, object{"groupId": strconv.Itoa(id)})
}

// hasDeleteStatistic reports whether the survey that the server dereferences is there.
func (c *call) hasDeleteStatistic(f object) bool {
	_, ok := f["deleteStatistic"].(object)
	return ok || c.switches.MissingDeleteStatistic == "accepted"
}

func deleteGroup(c *call) reply {
	if !c.hasDeleteStatistic(c.fields()) {
		return failed(http.StatusInternalServerError, "Internal Server Error")
	}
	return refused(c.model.DeleteGroup(c.vars["group"], c.caller), true)
}

func addToGroup(role Role) func(*call) reply {
	return func(c *call) reply {
		id, err := strconv.Atoi(c.vars["group"])
		if err != nil || id <= 0 {
			id = -1 // the UUID of a group does not work here
		}
		return added(c, role, id)
	}
}

// addSlave puts a node into the default group unless the body names another.
func addSlave(c *call) reply { return added(c, RoleSlave, number(c.fields()["groupId"])) }

func added(c *call, role Role, groupID int) reply {
	mc, err := c.model.AddNode(c.vars["cluster"], role, groupID, c.caller)
	if err == nil && c.switches.NodeAddReply == "object" {
		return data(object{"id": 0, "identifier": mc.Identifier, "hostname": mc.Hostname, "status": "pending"})
	}
	return refused(err, true)
}

func deleteSlave(c *call) reply {
	identifier := text(c.fields()["identifier"])
	if identifier == "" {
		return refused(errLost, nil)
	}
	err := c.model.DeleteNode(c.vars["cluster"], identifier, c.caller)
	if errors.Is(err, errNodeUnknown) && c.switches.DeleteUnknownSlave == "false" {
		return data(false)
	}
	return refused(err, true)
}

func reduce(role Role) func(*call) reply {
	return func(c *call) reply {
		return refused(c.model.Reduce(c.vars["cluster"], role, number(c.fields()["groupId"]), c.caller), true)
	}
}

func createCluster(c *call) reply {
	f := c.fields()
	n := newCluster{
		name: text(f["clusterName"]), datacenter: text(f["dcIdentifier"]), resource: text(f["resourceIdentifier"]),
		version: strings.TrimPrefix(fmt.Sprint(f["kuberVer"]), "v"),
		masters: number(f["nodesCountMaster"]), slaves: number(f["nodesCountSlave"]),
	}
	if f["kuberVer"] == nil || number(f["vpcId"]) == 0 || text(f["projectIdentifier"]) != DefaultProject {
		return refused(errLost, nil)
	}
	return refused(c.model.CreateCluster(n, c.caller), object{})
}

func deleteCluster(c *call) reply {
	if !c.hasDeleteStatistic(c.fields()) {
		return failed(http.StatusInternalServerError, "Internal Server Error")
	}
	return refused(c.model.DeleteCluster(c.vars["cluster"], c.caller), true)
}

// managedNodes returns the listed nodes of all clusters. The caller holds the lock.
func (m *Model) managedNodes() []*machine {
	var nodes []*machine
	for _, k := range m.clusters {
		nodes = append(nodes, slices.DeleteFunc(slices.Clone(k.nodes), func(mc *machine) bool { return !mc.Alive() })...)
	}
	return nodes
}
