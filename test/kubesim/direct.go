package kubesim

import (
	"fmt"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Object is a Kubernetes object whose pointer type is P.
type Object[T any] interface {
	*T
	client.Object
}

// Get returns the stored object, or nil when there is none. It is shared and must not be changed.
func Get[T any, P Object[T]](s *Server, namespace, name string) P {
	t := tableOf[T, P](s)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if found := t.records[client.ObjectKey{Namespace: namespace, Name: name}]; found != nil {
		return found.object.(P)
	}
	return nil
}

// List returns the stored objects of a namespace, or of all for an empty one, by namespace and name.
// They are shared and must not be changed.
func List[T any, P Object[T]](s *Server, namespace string) []P {
	t := tableOf[T, P](s)
	s.mu.RLock()
	defer s.mu.RUnlock()
	found := t.in(namespace)
	list := make([]P, len(found))
	for i, r := range found {
		list[i] = r.object.(P)
	}
	return list
}

// tableOf panics on a type that is not served, which is a programming mistake.
func tableOf[T any, P Object[T]](s *Server) *table {
	r := s.resources.byType[reflect.TypeFor[P]()]
	if r == nil {
		panic(fmt.Sprintf("kubesim: %v is not served", reflect.TypeFor[P]()))
	}
	return s.tables[r]
}

// Direct writes in the same process, with what requests over a transport mean but without faults.
// It is for what a simulated world does: its scheduler, kubelets and controllers.
type Direct struct {
	server  *Server
	client  string
	manager string
}

// As returns access under a client's name.
func (s *Server) As(client string) Direct { return Direct{server: s, client: client} }

// ManagedBy returns a client whose writes are a field manager's.
func (d Direct) ManagedBy(manager string) Direct {
	d.manager = manager
	return d
}

// Create stores an object and brings it up to date.
func (d Direct) Create(o client.Object) error {
	r, req, err := d.request("create", o, "")
	if err != nil {
		return err
	}
	return d.write(r, o, func(sent client.Object) (*record, error) { return d.server.create(req, r, sent) })
}

// Update replaces an object, except for its status where that is a subresource, and brings it up to date.
// An object without a resourceVersion is replaced unconditionally where the API allows that.
func (d Direct) Update(o client.Object) error { return d.update(o, "") }

// UpdateStatus replaces the status of an object and brings the object up to date.
func (d Direct) UpdateStatus(o client.Object) error { return d.update(o, subStatus) }

func (d Direct) update(o client.Object, sub string) error {
	r, req, err := d.request("update", o, sub)
	if err != nil {
		return err
	}
	return d.write(r, o, func(sent client.Object) (*record, error) { return d.server.replace(req, r, sent) })
}

// Delete deletes an object by its name, as far as grace periods and finalizers let it.
// Preconditions are taken from the options alone.
func (d Direct) Delete(o client.Object, options metav1.DeleteOptions) error {
	r, req, err := d.request("delete", o, "")
	if err != nil {
		return err
	}
	_, err = d.server.remove(req, r, &options)
	return err
}

// Bind puts a pod on a node, as a scheduler does.
func (d Direct) Bind(namespace, pod, node string) error {
	r := d.server.resources.pods
	req := Request{Client: d.client, Verb: "create", Resource: r.group(), Namespace: namespace, Name: pod, Subresource: subBinding}
	return d.server.bind(req, bindingTo(namespace, pod, node))
}

// Finalize lets a namespace that is being deleted go, as the namespace controller does once it is empty.
func (d Direct) Finalize(namespace string) error {
	r := d.server.resources.namespaces
	req := Request{Client: d.client, Verb: "update", Resource: r.group(), Name: namespace, Subresource: subFinalize}
	return d.server.finalize(req)
}

func (d Direct) request(verb string, o client.Object, sub string) (*resource, Request, error) {
	r := d.server.resources.of(o)
	if r == nil {
		return nil, Request{}, fmt.Errorf("%s %T: the type is not served", verb, o)
	}
	return r, Request{
		Client: d.client, Verb: verb, Resource: r.group(), Namespace: o.GetNamespace(), Name: o.GetName(), Subresource: sub,
		FieldManager: d.manager,
	}, nil
}

// write passes a copy on that went through the wire format, which cuts times to seconds and shares nothing.
func (d Direct) write(r *resource, o client.Object, do func(client.Object) (*record, error)) error {
	sent, err := r.copyOverWire(o)
	if err != nil {
		return err
	}
	stored, err := do(sent)
	if err != nil {
		return err
	}
	assign(o, stored.object.DeepCopyObject())
	return nil
}

// assign sets what the pointer to points at.
func assign(to, from any) { reflect.ValueOf(to).Elem().Set(reflect.ValueOf(from).Elem()) }
