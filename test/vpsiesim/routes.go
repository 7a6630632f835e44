package vpsiesim

import (
	"net/http"
	"strings"
)

// endpoint is one method and path that VPSie serves.
type endpoint struct {
	name    string // as faults and call counts name it
	method  string
	pattern string // below /apps/v2 unless it starts with /api; {name} matches one segment
	handle  func(*call) reply
	open    bool // needs no token
}

const appsPrefix = "/apps/v2"

// routes lists literal paths before those with variables, because the first match wins.
var routes = expand([]endpoint{
	{name: "auth.login", method: "POST", pattern: "/auth/from/api", handle: login, open: true},
	{name: "profile.user", method: "GET", pattern: "/profile/user", handle: profile},
	{name: "datacenter.list", method: "GET", pattern: "/datacenter", handle: listDatacenters},
	{name: "project.list", method: "GET", pattern: "/projects", handle: listProjects},
	{name: "project.get", method: "GET", pattern: "/projects/{identifier}", handle: getProject},
	{name: "plan.categories", method: "GET", pattern: "/api/v2/plans/category", handle: listCategories},
	{name: "plan.categories", method: "GET", pattern: "/plans/category", handle: listCategories},
	{name: "plan.list", method: "POST", pattern: "/resources", handle: listPlans},
	{name: "tag.list", method: "GET", pattern: "/tags", handle: listTags},
	{name: "tag.add", method: "POST", pattern: "/tags/add", handle: addTags},
	{name: "tag.edit", method: "PUT", pattern: "/tags/edit", handle: editTags},
	{name: "tag.delete", method: "DELETE", pattern: "/tags/delete", handle: deleteTags},

	{name: "storage.vms", method: "GET", pattern: "/storages/vms", handle: listAttachable},
	{name: "vm.virtualMachines", method: "GET", pattern: "/virtualMachines", handle: listVirtualMachines},
	{name: "vm.allOfUser", method: "GET", pattern: "/vms/all/user", handle: listAllVMs},
	{name: "vm.list", method: "GET", pattern: "/vm", handle: listVMs},
	{name: "vm.pending", method: "GET", pattern: "/vm/pending", handle: listPendingVMs},
	{name: "vm.create", method: "POST", pattern: "/vm", handle: createVM},
	{name: "vm.create", method: "POST", pattern: "/custom/vm", handle: createVM},
	{name: "vm.delete", method: "DELETE", pattern: "/vm", handle: deleteVM},
	{name: "vm.start", method: "POST", pattern: "/vm/start", handle: changeVM(func(v *vm) { v.power = true })},
	{name: "vm.stop", method: "POST", pattern: "/vm/stop", handle: changeVM(func(v *vm) { v.power = false })},
	{name: "vm.restart", method: "POST", pattern: "/vm/restart", handle: changeVM(func(v *vm) { v.power = true })},
	{name: "vm.lock", method: "POST", pattern: "/vm/lock", handle: changeVM(func(v *vm) { v.locked = true })},
	{name: "vm.unlock", method: "POST", pattern: "/vm/unlock", handle: changeVM(func(v *vm) { v.locked = false })},
	{name: "vm.status", method: "GET", pattern: "/vm/status/{identifier}", handle: vmStatus},
	{name: "vm.get", method: "GET", pattern: "/vm/{identifier}", handle: getVM},

	{name: "k8s.listClusters", method: "GET", pattern: "/k8s/cluster/all", handle: listClusters},
	{name: "k8s.getCluster", method: "GET", pattern: "/k8s/cluster/byId/{cluster}", handle: getCluster},
	{name: "k8s.createCluster", method: "POST", pattern: "/k8s/create/cluster", handle: createCluster},
	{name: "k8s.deleteCluster", method: "DELETE", pattern: "/k8s/cluster/byId/{cluster}", handle: deleteCluster},
	{name: "k8s.offers", method: "POST", pattern: "/k8s/offers", handle: listOffers},
	{name: "k8s.listGroups", method: "GET", pattern: "/k8s/node/groups/byClusterId/{cluster}", handle: listGroups},
	{name: "k8s.addGroup", method: "POST", pattern: "/k8s/cluster/add/group", handle: addGroup},
	{name: "k8s.deleteGroup", method: "DELETE", pattern: "/k8s/cluster/delete/group/{group}", handle: deleteGroup},
	{name: "k8s.addSlaveToGroup", method: "POST", pattern: "/k8s/cluster/byId/{cluster}/add/slave/group/{group}", handle: addToGroup(RoleSlave)},
	{name: "k8s.addMasterToGroup", method: "POST", pattern: "/k8s/cluster/byId/{cluster}/add/master/group/{group}", handle: addToGroup(RoleMaster)},
	{name: "k8s.addSlave", method: "POST", pattern: "/k8s/cluster/byId/{cluster}/add/slave", handle: addSlave},
	{name: "k8s.deleteSlave", method: "DELETE", pattern: "/k8s/cluster/byId/{cluster}/delete/slave", handle: deleteSlave},
	{name: "k8s.reduce", method: "DELETE", pattern: "/k8s/cluster/byId/{cluster}/reduce", handle: reduce(RoleSlave)},
	{name: "k8s.reduceSlave", method: "DELETE", pattern: "/k8s/cluster/byId/{cluster}/reduce/slave", handle: reduce(RoleSlave)},
	{name: "k8s.reduceMaster", method: "DELETE", pattern: "/k8s/cluster/byId/{cluster}/reduce/master", handle: reduce(RoleMaster)},
})

// expand gives every pattern its prefix; the VM family answers below /apps/v2 and /api/v2.
func expand(short []endpoint) []endpoint {
	var full []endpoint
	for _, ep := range short {
		pattern := ep.pattern
		if !strings.HasPrefix(pattern, "/api/") {
			ep.pattern = appsPrefix + pattern
		}
		full = append(full, ep)
		if pattern == "/vm" || pattern == "/custom/vm" || strings.HasPrefix(pattern, "/vm/") {
			ep.pattern = "/api/v2" + pattern
			full = append(full, ep)
		}
	}
	return full
}

// route finds the endpoint of a call; what nobody serves gets one without a handler.
//
// http.ServeMux is not used because it answers some paths itself, with redirects and 405.
func route(method, path string) (endpoint, map[string]string) {
	segments := strings.Split(strings.TrimSuffix(path, "/"), "/")
	for _, ep := range routes {
		if ep.method != method {
			continue
		}
		if vars, ok := matchSegments(strings.Split(ep.pattern, "/"), segments); ok {
			return ep, vars
		}
	}
	return endpoint{name: unknownEndpoint, method: method, pattern: path}, nil
}

func matchSegments(pattern, segments []string) (map[string]string, bool) {
	if len(pattern) != len(segments) {
		return nil, false
	}
	var vars map[string]string
	for i, p := range pattern {
		if name, ok := strings.CutPrefix(p, "{"); ok && segments[i] != "" {
			if vars == nil {
				vars = map[string]string{}
			}
			vars[strings.TrimSuffix(name, "}")] = segments[i]
			continue
		}
		if p != segments[i] {
			return nil, false
		}
	}
	return vars, true
}

// Endpoints returns the names that faults and call counts use, each once, in the order of the routes.
func Endpoints() []string {
	var names []string
	seen := map[string]bool{}
	for _, ep := range routes {
		if !seen[ep.name] {
			seen[ep.name] = true
			names = append(names, ep.name)
		}
	}
	return names
}

// login exchanges client credentials; the body may be JSON or a form.
func login(c *call) reply {
	var id, secret string
	isForm := strings.HasPrefix(c.request.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
	switch {
	case isForm && c.switches.LoginBody != "json":
		form := c.form()
		id, secret = form.Get("clientId"), form.Get("clientSecret")
	case !isForm && c.switches.LoginBody != "form":
		fields := c.fields()
		id, secret = text(fields["clientId"]), text(fields["clientSecret"])
	}
	s, err := c.model.login(id, secret)
	if err != nil {
		return refused(err, nil)
	}
	access := object{"token": s.access, "expires": stamp(s.accessEnds)}
	refresh := object{"token": s.refresh, "expires": stamp(s.refreshEnds)}
	if c.switches.LoginReply == "accessToken" {
		return reply{status: http.StatusOK, body: object{"accessToken": access, "refreshToken": refresh}}
	}
	return reply{status: http.StatusOK, body: object{"error": false, "token": object{"access": access, "refresh": refresh}}}
}
