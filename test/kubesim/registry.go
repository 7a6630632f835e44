package kubesim

import (
	"maps"
	"reflect"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
)

// registry is everything that is served.
type registry struct {
	all        []*resource
	byType     map[reflect.Type]*resource
	byGVR      map[schema.GroupVersionResource]*resource
	byKind     map[schema.GroupVersionKind]*resource
	pods       *resource
	namespaces *resource
	budgets    *resource
	crds       *resource
}

func newRegistry() *registry {
	g := &registry{
		byType: map[reflect.Type]*resource{}, byGVR: map[schema.GroupVersionResource]*resource{}, byKind: map[schema.GroupVersionKind]*resource{},
	}
	for _, list := range [][]*resource{coreResources(), appsResources(), otherResources(), customResources()} {
		g.all = append(g.all, list...)
	}
	for _, r := range g.all {
		r.complete()
		g.byGVR[r.gvr], g.byKind[r.gvr.GroupVersion().WithKind(r.kind)] = r, r
		if r.prototype != nil {
			g.byType[reflect.TypeOf(r.prototype)] = r
		}
	}
	g.pods = g.byType[reflect.TypeFor[*corev1.Pod]()]
	g.namespaces = g.byType[reflect.TypeFor[*corev1.Namespace]()]
	g.budgets = g.byType[reflect.TypeFor[*policyv1.PodDisruptionBudget]()]
	g.crds = g.byGVR[crdResource]
	return g
}

// of returns the resource of an object, or nil.
func (g *registry) of(o client.Object) *resource {
	if r := g.byType[reflect.TypeOf(o)]; r != nil {
		return r
	}
	if r := g.byKind[o.GetObjectKind().GroupVersionKind()]; r != nil && r.prototype == nil {
		return r
	}
	return nil
}

// builtIn describes a resource of Kubernetes itself.
func builtIn(gv schema.GroupVersion, name, kind string, prototype client.Object, namespaced bool) *resource {
	return &resource{gvr: gv.WithResource(name), kind: kind, prototype: prototype, namespaced: namespaced, protobuf: true}
}

func coreResources() []*resource {
	v1 := corev1.SchemeGroupVersion
	pods := builtIn(v1, "pods", "Pod", &corev1.Pod{}, true)
	pods.statusSubresource, pods.generations = true, true
	pods.defaults, pods.onCreate, pods.onStatus, pods.validate, pods.grace = defaultPod, newPod, podStatusUpdate, validatePod, podGrace
	pods.subresources = []subresource{
		{name: subBinding, kind: "Binding", verb: "create"},
		{name: subEviction, kind: "Eviction", verb: "create", group: policyv1.GroupName, version: "v1"},
	}
	pods.fields = map[string]func(client.Object) string{
		"spec.nodeName":            podField(func(p *corev1.Pod) string { return p.Spec.NodeName }),
		"spec.schedulerName":       podField(func(p *corev1.Pod) string { return p.Spec.SchedulerName }),
		"status.phase":             podField(func(p *corev1.Pod) string { return string(p.Status.Phase) }),
		"status.nominatedNodeName": podField(func(p *corev1.Pod) string { return p.Status.NominatedNodeName }),
	}

	nodes := builtIn(v1, "nodes", "Node", &corev1.Node{}, false)
	nodes.statusSubresource, nodes.statusOnCreate = true, true
	nodes.onCreate, nodes.validate = newNode, validateNode
	nodes.fields = map[string]func(client.Object) string{"spec.unschedulable": func(o client.Object) string {
		return strconv.FormatBool(o.(*corev1.Node).Spec.Unschedulable)
	}}

	namespaces := builtIn(v1, "namespaces", "Namespace", &corev1.Namespace{}, false)
	namespaces.statusSubresource, namespaces.onCreate = true, newNamespace
	namespaces.onUpdate = func(o, old client.Object) { take(o, old, namespaces.specIndex) }
	namespaces.fields = map[string]func(client.Object) string{"status.phase": func(o client.Object) string {
		return string(o.(*corev1.Namespace).Status.Phase)
	}}

	claims := builtIn(v1, "persistentvolumeclaims", "PersistentVolumeClaim", &corev1.PersistentVolumeClaim{}, true)
	claims.statusSubresource, claims.defaults, claims.onCreate = true, defaultClaim, newClaim
	volumes := builtIn(v1, "persistentvolumes", "PersistentVolume", &corev1.PersistentVolume{}, false)
	volumes.statusSubresource, volumes.defaults, volumes.onCreate = true, defaultVolume, newVolume
	return []*resource{
		pods, nodes, namespaces, claims, volumes,
		builtIn(v1, "configmaps", "ConfigMap", &corev1.ConfigMap{}, true),
		builtIn(v1, "secrets", "Secret", &corev1.Secret{}, true),
		builtIn(v1, "events", "Event", &corev1.Event{}, true),
	}
}

func appsResources() []*resource {
	v1 := appsv1.SchemeGroupVersion
	list := []*resource{
		builtIn(v1, "deployments", "Deployment", &appsv1.Deployment{}, true),
		builtIn(v1, "replicasets", "ReplicaSet", &appsv1.ReplicaSet{}, true),
		builtIn(v1, "statefulsets", "StatefulSet", &appsv1.StatefulSet{}, true),
		builtIn(v1, "daemonsets", "DaemonSet", &appsv1.DaemonSet{}, true),
	}
	for _, r := range list {
		r.statusSubresource, r.generations, r.defaults = true, true, defaultWorkload
	}
	// A Deployment counts its annotations as a part of what is asked for.
	list[0].onUpdate = func(o, old client.Object) {
		if !maps.Equal(o.GetAnnotations(), old.GetAnnotations()) {
			o.SetGeneration(old.GetGeneration() + 1)
		}
	}
	return list
}

func otherResources() []*resource {
	budgets := builtIn(policyv1.SchemeGroupVersion, "poddisruptionbudgets", "PodDisruptionBudget", &policyv1.PodDisruptionBudget{}, true)
	budgets.statusSubresource, budgets.generations, budgets.needsVersion = true, true, true
	classes := builtIn(storagev1.SchemeGroupVersion, "storageclasses", "StorageClass", &storagev1.StorageClass{}, false)
	classes.defaults = defaultStorageClass
	csiNodes := builtIn(storagev1.SchemeGroupVersion, "csinodes", "CSINode", &storagev1.CSINode{}, false)
	csiNodes.needsVersion = true
	csiDrivers := builtIn(storagev1.SchemeGroupVersion, "csidrivers", "CSIDriver", &storagev1.CSIDriver{}, false)
	csiDrivers.needsVersion = true
	leases := builtIn(coordinationv1.SchemeGroupVersion, "leases", "Lease", &coordinationv1.Lease{}, true)
	leases.needsVersion = true
	return []*resource{
		budgets, classes, csiNodes, csiDrivers, leases,
		builtIn(schedulingv1.SchemeGroupVersion, "priorityclasses", "PriorityClass", &schedulingv1.PriorityClass{}, false),
		builtIn(eventsv1.SchemeGroupVersion, "events", "Event", &eventsv1.Event{}, true),
	}
}

// crdResource serves the definitions of custom resources as they are written.
var crdResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

func customResources() []*resource {
	custom := func(name, kind string, prototype client.Object) *resource {
		return &resource{
			gvr: v1beta1.GroupVersion.WithResource(name), kind: kind, prototype: prototype, namespaced: true, custom: true,
			statusSubresource: true, generations: true, needsVersion: true,
		}
	}
	list := []*resource{
		custom("nodegroups", "NodeGroup", &v1beta1.NodeGroup{}),
		custom("vpsienodes", "VPSieNode", &v1beta1.VPSieNode{}),
	}
	for _, r := range list {
		r.followSchema()
	}
	return append(list, &resource{gvr: crdResource, kind: "CustomResourceDefinition"})
}

func podField(of func(*corev1.Pod) string) func(client.Object) string {
	return func(o client.Object) string { return of(o.(*corev1.Pod)) }
}
