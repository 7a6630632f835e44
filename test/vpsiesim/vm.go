package vpsiesim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// vmFlagNames are the create fields that are flags.
var vmFlagNames = []string{
	"addPublicIpV4", "addPublicIpV6", "addPrivateIp", "backupEnabled", "weeklyBackupEnabled", "monthlyBackupEnabled",
}

// parseVM understands a create request as the switches say.
func (c *call) parseVM(f object) (vmRequest, error) {
	r := vmRequest{
		resource: text(f["resourceIdentifier"]), os: text(f["osIdentifier"]), datacenter: text(f["dcIdentifier"]),
		hostname: text(f["hostname"]), notes: text(f["notes"]), processID: text(f["processId"]),
		script: text(f["scriptIdentifier"]), sshKey: text(f["sshKeyIdentifier"]), flags: map[string]bool{},
	}
	switch project := f["projectId"].(type) {
	case json.Number:
		if c.switches.NumericProjectID == "refused" {
			return r, refuse(http.StatusBadRequest, "projectId must be a string")
		}
	case string:
		if project != DefaultProject {
			return r, refuse(http.StatusBadRequest, "Project not found")
		}
	default:
		return r, errLost
	}
	for _, name := range vmFlagNames {
		switch v := f[name].(type) {
		case string:
			if c.switches.VMFlags == "intsOnly" {
				return r, refuse(http.StatusBadRequest, name+" must be a number")
			}
			r.flags[name] = v == "1"
		case json.Number:
			r.flags[name] = v.String() == "1" && c.switches.VMFlags != "stringsOnly"
		case bool:
			r.flags[name] = v && c.switches.VMFlags != "stringsOnly"
		}
	}
	tags, _ := f["tags"].([]any)
	for _, tag := range tags {
		r.tags = append(r.tags, text(tag))
	}
	return r, nil
}

func createVM(c *call) reply {
	r, err := c.parseVM(c.fields())
	if err != nil {
		return refused(err, nil)
	}
	row, err := c.model.createVM(r, c.caller)
	if err != nil {
		return refused(err, nil)
	}
	switch c.switches.VMCreateReply {
	case "object":
		return data(object{"identifier": row.Identifier, "hostname": row.Hostname})
	case "true":
		return data(true)
	case "lost":
		rep := data(object{})
		rep.lost = true
		return rep
	}
	return data(object{})
}

func deleteVM(c *call) reply {
	f := c.fields()
	if !c.hasDeleteStatistic(f) {
		return failed(http.StatusInternalServerError, "Internal Server Error")
	}
	err := c.model.deleteVM(text(f["vmIdentifier"]), text(f["password"]), c.caller)
	return refused(err, object{})
}

func changeVM(change func(*vm)) func(*call) reply {
	return func(c *call) reply {
		return refused(c.model.changeVM(text(c.fields()["vmIdentifier"]), change), true)
	}
}

// vmRow is a machine of the VM list. The caller holds the model's lock.
func (m *Model) vmRow(v *vm) object {
	dc, _ := m.datacenter(v.request.datacenter)
	row := machineRow(v.machine, dc)
	row["default_ip"] = ""
	if v.request.flags["addPublicIpV4"] {
		row["default_ip"] = v.publicIP()
	}
	row["private_ip"] = nil
	if v.request.flags["addPrivateIp"] {
		row["private_ip"] = v.PrivateIP
	}
	row["power"], row["is_active"], row["is_locked"] = bit(v.power), bit(v.active), bit(v.locked)
	row["is_deleted"], row["dropped_on"] = bit(!v.GoneAt.IsZero()), stamp(v.GoneAt)
	row["notes"], row["last_updated"] = v.request.notes, stamp(v.updatedAt)
	return row
}

// machineRow has the fields that all kinds of machines share.
func machineRow(mc *machine, dc Datacenter) object {
	return object{
		"id": mc.id, "identifier": mc.Identifier, "hostname": mc.Hostname, "user_id": accountUserID,
		"project_id": defaultProjectID, "boxsize_id": mc.SizeID, "boximage_id": 12, "node_id": mc.host,
		"datacenter_id": dc.ID, "dcIdentifier": dc.Identifier, "state": dc.State,
		"default_ip": mc.publicIP(), "default_ipv6": "", "private_ip": mc.PrivateIP,
		"ram": mc.RAMMiB, "cpu": mc.VCPU, "ssd": mc.DiskGiB, "traffic": trafficGB,
		"power": 1, "is_active": 1, "is_deleted": 0, "is_locked": 0, "is_suspended": 0, "is_terminated": 0, "boxes_suspended": 0,
		"category": "Linux", "fullname": "Ubuntu 24.04", "vmDescription": "Ubuntu 24.04", "notes": nil,
		"created_on": stamp(mc.RequestedAt), "last_updated": stamp(mc.ListedAt), "dropped_on": nil,
		"script_id": nil, "sshkey_id": nil, "is_fip_available": 1, "is_bucket_available": 0,
		"firstname": "Jane", "lastname": "Roe", "username": "jane",
	}
}

// vmRows are the rows of the VM list, with the nodes of managed clusters if asked. The caller holds the lock.
func (m *Model) vmRows(withManaged bool) []object {
	rows := []object{}
	for _, v := range m.vms {
		if v.row {
			rows = append(rows, m.vmRow(v))
		}
	}
	if withManaged {
		for _, mc := range m.managedNodes() {
			rows = append(rows, machineRow(mc, mc.cluster.datacenter))
		}
	}
	return rows
}

func listVMs(c *call) reply {
	c.model.mu.Lock()
	defer c.model.mu.Unlock()
	project := c.request.URL.Query().Get("projectId")
	if project != "" && project != DefaultProject && project != fmt.Sprint(defaultProjectID) {
		return list(c, []object{})
	}
	return list(c, c.model.vmRows(c.switches.VMListManaged))
}

func listAllVMs(c *call) reply {
	c.model.mu.Lock()
	defer c.model.mu.Unlock()
	return list(c, c.model.vmRows(true))
}

func listVirtualMachines(c *call) reply {
	c.model.mu.Lock()
	defer c.model.mu.Unlock()
	rows := c.model.vmRows(c.switches.VMListManaged)
	for _, row := range rows {
		row["is_agent_active"] = row["is_active"]
	}
	return list(c, rows)
}

func getVM(c *call) reply {
	m := c.model
	m.mu.Lock()
	defer m.mu.Unlock()
	v, err := m.listedVM(c.vars["identifier"])
	if err != nil {
		return refused(err, nil)
	}
	tags := []object{}
	for _, tag := range v.request.tags {
		tags = append(tags, object{"name": tag})
	}
	return data(object{
		"vmData": m.vmRow(v), "imageCategories": []object{}, "vmTags": tags,
		"privateIpData": []object{}, "floatingIpData": []object{},
	})
}

func vmStatus(c *call) reply {
	m := c.model
	m.mu.Lock()
	defer m.mu.Unlock()
	v, err := m.listedVM(strings.TrimSpace(c.vars["identifier"]))
	if err != nil {
		return refused(err, nil)
	}
	status := "stopped"
	if v.power {
		status = "running"
	}
	return data(object{
		"cpu": v.VCPU, "ballon": v.RAMMiB, "uptime": 0, "pid": "1", "disk": v.DiskGiB, "running-machine": "pc", "running-qemu": "9.0",
		"status": status, "diskread": "0", "diskwrite": "0", "fullname": "Ubuntu 24.04",
	})
}

func listPendingVMs(c *call) reply {
	m := c.model
	m.mu.Lock()
	defer m.mu.Unlock()
	rows := []object{}
	for _, v := range m.vms {
		if v.pending {
			rows = append(rows, v.pendingRow())
		}
	}
	return list(c, rows)
}

// pendingRow echoes the create request.
func (v *vm) pendingRow() object {
	r := v.request
	echo := object{
		"resourceIdentifier": r.resource, "osIdentifier": r.os, "dcIdentifier": r.datacenter, "hostname": r.hostname,
		"tags": r.tags, "projectId": defaultProjectID, "vmPassword": "generated-" + v.job, "processId": r.processID,
		"sshKeyIdentifier": r.sshKey, "scriptIdentifier": r.script, "notes": r.notes,
		"isGeneratedPassword": true, "requestIp": "192.0.2.1", "isCreateFromLibrary": false,
	}
	for _, name := range vmFlagNames {
		echo[name] = r.flags[name]
	}
	return object{
		"id": v.job, "user": object{"id": accountUserID}, "user_id": accountUserID, "data": echo,
		"resourceData": object{}, "osData": object{}, "datacenter": []object{}, "running": bit(v.running), "type": "vm",
	}
}

// listAttachable lists every machine that a volume could be attached to, nodes of managed clusters included.
func listAttachable(c *call) reply {
	m := c.model
	m.mu.Lock()
	defer m.mu.Unlock()
	rows := []object{}
	attachable := func(full object, kind string) {
		row := object{"type": kind}
		for _, key := range []string{
			"hostname", "identifier", "datacenter_id", "default_ip", "default_ipv6", "private_ip", "ssd", "state",
			"is_fip_available", "is_bucket_available", "dcIdentifier", "fullname", "category",
		} {
			row[key] = full[key]
		}
		rows = append(rows, row)
	}
	for _, v := range m.vms {
		if v.row && v.GoneAt.IsZero() {
			attachable(m.vmRow(v), "vm")
		}
	}
	for _, mc := range m.managedNodes() {
		attachable(machineRow(mc, mc.cluster.datacenter), "k8s")
	}
	return list(c, rows)
}
