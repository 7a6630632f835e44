package kubesim

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// route is where a path leads.
type route struct {
	request  Request
	resource *resource
	query    url.Values
}

// parse reads a request's method and address. A path without a resource is left to discovery.
func (g *registry) parse(r *http.Request) (route, error) {
	out := route{request: Request{Verb: "get", Name: r.URL.Path}}
	if r.URL.RawQuery != "" {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return out, apierrors.NewBadRequest(err.Error())
		}
		out.query = query
	}
	var gv schema.GroupVersion
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		gv.Version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		gv.Group, gv.Version, parts = parts[1], parts[2], parts[3:]
	default:
		return out, nil
	}
	namespace := ""
	if parts[0] == "namespaces" && len(parts) > 2 && parts[2] != subStatus {
		namespace, parts = parts[1], parts[2:]
	}
	out.resource = g.byGVR[gv.WithResource(parts[0])]
	if out.resource == nil || len(parts) > 3 {
		return out, errNoPath()
	}
	out.request = Request{Resource: out.resource.group(), Namespace: namespace}
	if len(parts) > 1 {
		out.request.Name = parts[1]
	}
	if len(parts) > 2 {
		out.request.Subresource = parts[2]
	}
	out.request.Verb = verb(r.Method, out)
	if out.request.Verb == "list" || out.request.Verb == "watch" {
		out.request.FieldSelector = out.query.Get("fieldSelector")
	}
	out.request.FieldManager = out.query.Get("fieldManager")
	if !out.resource.hasSubresource(out.request.Subresource) {
		return out, errNoPath()
	}
	if !out.allowed() {
		return out, apierrors.NewMethodNotSupported(out.resource.group(), out.request.Verb)
	}
	return out, nil
}

func verb(method string, r route) string {
	named := r.request.Name != ""
	switch method {
	case http.MethodGet:
		switch watching := r.query.Get("watch"); {
		case watching == "true" || watching == "1":
			return "watch"
		case named:
			return "get"
		}
		return "list"
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		if named {
			return "delete"
		}
		return "deletecollection"
	}
	return strings.ToLower(method)
}

func (r *resource) hasSubresource(name string) bool {
	return name == "" || name == subStatus && r.statusSubresource ||
		slices.ContainsFunc(r.subresources, func(s subresource) bool { return s.name == name })
}

// allowed reports whether the resource has the verb where the path leads.
func (r route) allowed() bool {
	req, res := r.request, r.resource
	if res.namespaced && req.Name != "" && req.Namespace == "" || !res.namespaced && req.Namespace != "" {
		return false
	}
	switch {
	case req.Subresource == subStatus:
		return req.Verb == "get" || req.Verb == "update" || req.Verb == "patch"
	case req.Subresource != "":
		return slices.ContainsFunc(res.subresources, func(s subresource) bool { return s.name == req.Subresource && s.verb == req.Verb })
	case req.Verb == "create":
		return req.Name == "" && (!res.namespaced || req.Namespace != "")
	case req.Verb == "update" || req.Verb == "patch":
		return req.Name != ""
	}
	return true
}
