package kubesim

import (
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Subresources that are not only a part of the object.
const (
	subStatus   = "status"
	subBinding  = "binding"
	subEviction = "eviction"
	subFinalize = "finalize"
)

// resource says how one kind of object is served.
type resource struct {
	gvr        schema.GroupVersionResource
	kind       string
	namespaced bool
	// prototype is a pointer to an empty object; nil serves unstructured ones.
	prototype client.Object
	// protobuf is false for custom resources.
	protobuf bool
	// custom resources keep everything but the status when the status is written.
	custom bool
	// statusSubresource keeps writes to the object and to its status apart.
	statusSubresource bool
	// statusOnCreate keeps the status that a creation carries.
	statusOnCreate bool
	// generations counts changes of the specification in metadata.generation.
	generations bool
	// needsVersion refuses updates without a resourceVersion.
	needsVersion bool
	// subresources are those besides status.
	subresources []subresource
	// fields are what field selectors may name besides metadata.name and metadata.namespace.
	fields map[string]func(client.Object) string

	// defaults completes what clients leave out, in creations and updates.
	defaults func(client.Object)
	// onCreate, onUpdate and onStatus set what clients cannot; the status is kept apart before.
	onCreate           func(client.Object)
	onUpdate, onStatus func(o, old client.Object)
	// validate reports what is wrong with an object; old is nil for a creation.
	validate func(o, old client.Object) field.ErrorList
	// grace is how long, in seconds, a deletion waits for whoever runs the object; nil means not at all.
	grace func(client.Object, *metav1.DeleteOptions) int64

	// specIndex and statusIndex are the fields of the prototype, or nil.
	specIndex, statusIndex []int
}

// subresource is something that is only created or replaced below an object.
type subresource struct {
	name, kind, verb string
	group, version   string // of the kind; empty means those of the resource
}

func (r *resource) group() schema.GroupResource { return r.gvr.GroupResource() }
func (r *resource) apiVersion() string          { return r.gvr.GroupVersion().String() }
func (r *resource) groupKind() schema.GroupKind {
	return schema.GroupKind{Group: r.gvr.Group, Kind: r.kind}
}

// qualified is how the registry of built-in resources names itself in some errors: by the resource as a kind.
func (r *resource) qualified() schema.GroupKind {
	return schema.GroupKind{Group: r.gvr.Group, Kind: r.gvr.Resource}
}

// complete derives what is derived; it is called once.
func (r *resource) complete() {
	if r.prototype == nil {
		return
	}
	t := reflect.TypeOf(r.prototype).Elem()
	if f, ok := t.FieldByName("Spec"); ok {
		r.specIndex = f.Index
	}
	if f, ok := t.FieldByName("Status"); ok {
		r.statusIndex = f.Index
	}
}

// newObject returns an empty object that knows its kind.
func (r *resource) newObject() client.Object {
	if r.prototype == nil {
		u := &unstructured.Unstructured{Object: map[string]any{}}
		u.SetGroupVersionKind(r.gvr.GroupVersion().WithKind(r.kind))
		return u
	}
	o := reflect.New(reflect.TypeOf(r.prototype).Elem()).Interface().(client.Object)
	o.GetObjectKind().SetGroupVersionKind(r.gvr.GroupVersion().WithKind(r.kind))
	return o
}

// shallowCopy returns an object that shares everything below the first level.
func (r *resource) shallowCopy(o client.Object) client.Object {
	if r.prototype == nil {
		return o.DeepCopyObject().(client.Object)
	}
	c := reflect.New(reflect.TypeOf(o).Elem())
	c.Elem().Set(reflect.ValueOf(o).Elem())
	return c.Interface().(client.Object)
}

// take copies a part of one object into another, which shares it from then on.
func take(to, from client.Object, index []int) {
	if index != nil {
		reflect.ValueOf(to).Elem().FieldByIndex(index).Set(reflect.ValueOf(from).Elem().FieldByIndex(index))
	}
}

// clear empties a part of an object.
func clearPart(o client.Object, index []int) {
	if index != nil {
		reflect.ValueOf(o).Elem().FieldByIndex(index).SetZero()
	}
}

// part returns a part of an object.
func part(o client.Object, index []int) any {
	if index == nil {
		return nil
	}
	return reflect.ValueOf(o).Elem().FieldByIndex(index).Addr().Interface()
}
