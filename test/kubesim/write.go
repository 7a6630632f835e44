package kubesim

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const optimisticLock = "the object has been modified; please apply your changes to the latest version and try again"

// create stores a new object, which belongs to the server from then on.
func (s *Server) create(req Request, r *resource, o client.Object) (*record, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := fitsRequest(req, r, o); err != nil {
		return nil, err
	}
	if err := s.admitNamespace(r, o.GetNamespace()); err != nil {
		return nil, err
	}
	if o.GetResourceVersion() != "" {
		return nil, errors.New("resourceVersion should not be set on objects to be created")
	}
	if o.GetName() == "" && o.GetGenerateName() != "" {
		o.SetName(s.names.generate(o.GetGenerateName()))
	}
	o.SetUID(s.names.uid())
	o.SetCreationTimestamp(now())
	o.SetDeletionTimestamp(nil)
	o.SetDeletionGracePeriodSeconds(nil)
	o.SetManagedFields(nil)
	o.SetGeneration(0)
	if r.generations {
		o.SetGeneration(1)
	}
	if r.statusSubresource && !r.statusOnCreate {
		clearPart(o, r.statusIndex)
	}
	if r.defaults != nil {
		r.defaults(o)
	}
	if r.onCreate != nil {
		r.onCreate(o)
	}
	problems := validation.ValidateObjectMetaAccessor(o, r.namespaced, validation.NameIsDNSSubdomain, field.NewPath("metadata"))
	if r.validate != nil {
		problems = append(problems, r.validate(o, nil)...)
	}
	if len(problems) > 0 {
		return nil, apierrors.NewInvalid(r.groupKind(), o.GetName(), problems)
	}
	if s.stored(r, client.ObjectKeyFromObject(o)) != nil {
		return nil, apierrors.NewAlreadyExists(r.group(), o.GetName())
	}
	req.Name = o.GetName()
	stored := s.commit(req, r, nil, o)
	s.expireEvents(req, stored)
	return stored, nil
}

// replace stores what a client made of an object; only the status counts where the request says so.
func (s *Server) replace(req Request, r *resource, o client.Object) (*record, error) {
	if err := fitsRequest(req, r, o); err != nil {
		return nil, err
	}
	if err := misnamed(req, o); err != nil {
		return nil, err
	}
	return s.update(req, r, func(old *record) (client.Object, error) {
		if uid := o.GetUID(); uid != "" && uid != old.object.GetUID() {
			return nil, apierrors.NewConflict(r.group(), req.Name, errOtherUID(uid, old.object.GetUID()))
		}
		if o.GetResourceVersion() == "" && r.needsVersion {
			return nil, apierrors.NewInvalid(r.qualified(), req.Name, field.ErrorList{
				field.Invalid(field.NewPath("metadata", "resourceVersion"), 0, "must be specified for an update"),
			})
		}
		return o, nil
	})
}

// update stores what change makes of an object. It is called with the stored one, which it must not change.
func (s *Server) update(req Request, r *resource, change func(old *record) (client.Object, error)) (*record, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	old := s.stored(r, client.ObjectKey{Namespace: req.Namespace, Name: req.Name})
	if old == nil {
		return nil, apierrors.NewNotFound(r.group(), req.Name)
	}
	o, err := change(old)
	if err != nil {
		return nil, err
	}
	if v := o.GetResourceVersion(); v != "" && v != old.object.GetResourceVersion() {
		return nil, apierrors.NewConflict(r.group(), req.Name, errors.New(optimisticLock))
	}
	if err := r.prepareUpdate(req, o, old.object); err != nil {
		return nil, err
	}
	return s.storeUpdate(req, old, o)
}

// storeUpdate stores a changed object, unless nothing changed, and lets it go when that was the last finalizer.
func (s *Server) storeUpdate(req Request, old *record, o client.Object) (*record, error) {
	o.SetResourceVersion(old.object.GetResourceVersion())
	if same, err := old.equals(o); err != nil || same {
		return old, err
	}
	if old.object.GetDeletionTimestamp() != nil && len(o.GetFinalizers()) == 0 && graceOf(old.object) == 0 {
		return s.commit(req, old.resource, old, nil), nil
	}
	stored := s.commit(req, old.resource, old, o)
	s.expireEvents(req, stored)
	return stored, nil
}

// equals reports whether an object would be stored as the record is already.
func (r *record) equals(o client.Object) (bool, error) {
	m := mediaJSON
	if r.resource.protobuf {
		m = mediaProtobuf
	}
	was, err := r.bytes(m)
	if err != nil {
		return false, err
	}
	is, err := encode(o, m)
	return bytes.Equal(was, is), err
}

// prepareUpdate sets what the client may not change and judges the rest.
func (r *resource) prepareUpdate(req Request, o, old client.Object) error {
	if req.Subresource == subStatus && r.custom {
		written := o
		o.SetManagedFields(nil)
		kept := r.shallowCopy(old)
		take(kept, written, r.statusIndex)
		assign(o, kept)
	}
	if r.defaults != nil {
		r.defaults(o)
	}
	if o.GetUID() == "" {
		o.SetUID(old.GetUID())
	}
	o.SetCreationTimestamp(old.GetCreationTimestamp())
	if marked := old.GetDeletionTimestamp(); marked != nil {
		o.SetDeletionTimestamp(marked)
	}
	if o.GetDeletionGracePeriodSeconds() == nil {
		o.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	}
	o.SetGeneration(old.GetGeneration())
	o.SetManagedFields(nil)
	if pod, ok := o.(*corev1.Pod); ok {
		ownNomination(req, pod, old.(*corev1.Pod))
	}
	if req.Subresource == subStatus {
		r.keepSpec(o, old)
	} else {
		r.keepStatus(o, old)
	}
	problems := validateMetaUpdate(o, old)
	if r.validate != nil {
		problems = append(problems, r.validate(o, old)...)
	}
	if len(problems) > 0 {
		return apierrors.NewInvalid(r.groupKind(), o.GetName(), problems)
	}
	return nil
}

// keepSpec prepares a write of the status.
func (r *resource) keepSpec(o, old client.Object) {
	take(o, old, r.specIndex)
	if r.onStatus != nil {
		r.onStatus(o, old)
	}
}

// keepStatus prepares a write of everything else.
func (r *resource) keepStatus(o, old client.Object) {
	if r.statusSubresource {
		take(o, old, r.statusIndex)
	}
	if r.onUpdate != nil {
		r.onUpdate(o, old)
	}
	if r.generations && !equality.Semantic.DeepEqual(part(o, r.specIndex), part(old, r.specIndex)) {
		o.SetGeneration(old.GetGeneration() + 1)
	}
}

// validateMetaUpdate is what apimachinery checks of an update, without what cannot have changed.
func validateMetaUpdate(o, old client.Object) field.ErrorList {
	path := field.NewPath("metadata")
	var problems field.ErrorList
	for _, fixed := range [...]struct {
		name string
		same bool
	}{
		{"name", o.GetName() == old.GetName()},
		{"namespace", o.GetNamespace() == old.GetNamespace()},
		{"uid", o.GetUID() == old.GetUID()},
		{"deletionTimestamp", o.GetDeletionTimestamp().Equal(old.GetDeletionTimestamp())},
		{"deletionGracePeriodSeconds", graceOf(o) == graceOf(old)},
	} {
		if !fixed.same {
			problems = append(problems, field.Invalid(path.Child(fixed.name), nil, validation.FieldImmutableErrorMsg))
		}
	}
	if !maps.Equal(o.GetLabels(), old.GetLabels()) {
		problems = append(problems, metav1validation.ValidateLabels(o.GetLabels(), path.Child("labels"))...)
	}
	if !maps.Equal(o.GetAnnotations(), old.GetAnnotations()) {
		problems = append(problems, validation.ValidateAnnotations(o.GetAnnotations(), path.Child("annotations"))...)
	}
	if slices.Equal(o.GetFinalizers(), old.GetFinalizers()) {
		return problems
	}
	problems = append(problems, validation.ValidateFinalizers(o.GetFinalizers(), path.Child("finalizers"))...)
	if old.GetDeletionTimestamp() != nil {
		problems = append(problems, validation.ValidateNoNewFinalizers(o.GetFinalizers(), old.GetFinalizers(), path.Child("finalizers"))...)
	}
	return problems
}

// fitsRequest completes the namespace of an object and refuses one that belongs elsewhere.
func fitsRequest(req Request, r *resource, o client.Object) error {
	if r.namespaced && o.GetNamespace() == "" {
		o.SetNamespace(req.Namespace)
	}
	if o.GetNamespace() != req.Namespace {
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	if kind := o.GetObjectKind().GroupVersionKind(); kind.Kind != "" && kind != r.gvr.GroupVersion().WithKind(r.kind) {
		return apierrors.NewBadRequest(fmt.Sprintf("the object provided is %s, expected %s", kind, r.gvr.GroupVersion().WithKind(r.kind)))
	}
	o.GetObjectKind().SetGroupVersionKind(r.gvr.GroupVersion().WithKind(r.kind))
	return nil
}

// misnamed refuses an object that the request does not name.
func misnamed(req Request, o client.Object) error {
	if o.GetName() == req.Name {
		return nil
	}
	return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", o.GetName(), req.Name))
}

// stored returns the newest record of a key, or nil.
func (s *Server) stored(r *resource, key client.ObjectKey) *record {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tables[r].records[key]
}

// now is the time as the API knows it, in whole seconds.
func now() metav1.Time { return metav1.NewTime(time.Now().Truncate(time.Second)) }

// graceOf returns the seconds that a deletion waits, or 0.
func graceOf(o client.Object) int64 {
	if g := o.GetDeletionGracePeriodSeconds(); g != nil {
		return *g
	}
	return 0
}

func parseRevision(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, apierrors.NewBadRequest(fmt.Sprintf("invalid resource version %q", text))
	}
	return n, nil
}
