package kubesim

import (
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
)

// serverVersion is what the server calls itself.
const serverVersion = "v1.37.2"

// discover answers paths that lead to no resource.
func (s *Server) discover(path string) (reply, error) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case path == "/version":
		return answer(version.Info{Major: "1", Minor: "37", GitVersion: serverVersion})
	case path == "/api":
		return answer(metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions", APIVersion: "v1"}, Versions: []string{"v1"}})
	case path == "/apis":
		return answer(s.resources.groups())
	case len(parts) == 2 && parts[0] == "api":
		return s.resources.listOf(schema.GroupVersion{Version: parts[1]})
	case len(parts) == 3 && parts[0] == "apis":
		return s.resources.listOf(schema.GroupVersion{Group: parts[1], Version: parts[2]})
	}
	return reply{}, errNoPath()
}

func answer(v any) (reply, error) {
	return reply{code: http.StatusOK, contentType: jsonType, body: jsonBody(v)}, nil
}

// groups lists the API groups; each has one version.
func (g *registry) groups() metav1.APIGroupList {
	list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	seen := map[string]bool{"": true}
	for _, r := range g.all {
		if seen[r.gvr.Group] {
			continue
		}
		seen[r.gvr.Group] = true
		v := metav1.GroupVersionForDiscovery{GroupVersion: r.apiVersion(), Version: r.gvr.Version}
		list.Groups = append(list.Groups, metav1.APIGroup{
			Name: r.gvr.Group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v,
		})
	}
	return list
}

// listOf lists the resources of a group and version.
func (g *registry) listOf(gv schema.GroupVersion) (reply, error) {
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv.String()}
	for _, r := range g.all {
		if r.gvr.GroupVersion() != gv {
			continue
		}
		list.APIResources = append(list.APIResources, metav1.APIResource{
			Name: r.gvr.Resource, SingularName: strings.ToLower(r.kind), Namespaced: r.namespaced, Kind: r.kind,
			Verbs: metav1.Verbs{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"},
		})
		if r.statusSubresource {
			list.APIResources = append(list.APIResources, metav1.APIResource{
				Name: r.gvr.Resource + "/" + subStatus, Namespaced: r.namespaced, Kind: r.kind, Verbs: metav1.Verbs{"get", "patch", "update"},
			})
		}
		for _, sub := range r.subresources {
			list.APIResources = append(list.APIResources, metav1.APIResource{
				Name: r.gvr.Resource + "/" + sub.name, Namespaced: r.namespaced, Kind: sub.kind, Group: sub.group, Version: sub.version,
				Verbs: metav1.Verbs{sub.verb},
			})
		}
	}
	if len(list.APIResources) == 0 {
		return reply{}, errNoPath()
	}
	return answer(list)
}
