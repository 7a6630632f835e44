package kubesim

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kjson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// patch applies a patch to the newest state of an object. A resourceVersion in it is a condition.
func (s *Server) patch(req Request, r *resource, contentType string, body []byte) (*record, error) {
	mediaType, _, _ := strings.Cut(contentType, ";")
	kind := types.PatchType(strings.TrimSpace(mediaType))
	if !r.patchable(kind) {
		return nil, unsupportedPatch(r, kind)
	}
	return s.update(req, r, func(old *record) (client.Object, error) {
		before, err := old.bytes(mediaJSON)
		if err != nil {
			return nil, err
		}
		o := r.newObject()
		if kind == types.MergePatchType {
			err = mergeInto(o, before, body)
		} else {
			err = patchInto(o, r, kind, before, body)
		}
		if err != nil {
			return nil, err
		}
		if err := fitsRequest(req, r, o); err != nil {
			return nil, err
		}
		return o, misnamed(req, o)
	})
}

func (r *resource) patchable(kind types.PatchType) bool {
	switch kind {
	case types.MergePatchType, types.JSONPatchType:
		return true
	case types.StrategicMergePatchType:
		return !r.custom && r.prototype != nil
	}
	return false
}

func unsupportedPatch(r *resource, kind types.PatchType) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnsupportedMediaType, Reason: metav1.StatusReasonUnsupportedMediaType,
		Message: fmt.Sprintf("the body of the request was in an unknown format: %s is not served for %s", kind, r.group()),
	}}
}

// mergeInto sets o to an object after a merge patch. It decodes once, as most patches of the services are of this kind.
func mergeInto(o client.Object, before, body []byte) error {
	var target, patch map[string]any
	if err := errors.Join(kjson.Unmarshal(before, &target), kjson.Unmarshal(body, &patch)); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	merge(target, patch)
	if u, ok := o.(*unstructured.Unstructured); ok {
		u.Object = target
		return nil
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(target, o); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	return nil
}

// merge is the algorithm of RFC 7396, section 2, for two objects.
func merge(target, patch map[string]any) {
	for name, value := range patch {
		if value == nil {
			delete(target, name)
			continue
		}
		members, ok := value.(map[string]any)
		if !ok {
			target[name] = value
			continue
		}
		inner, ok := target[name].(map[string]any)
		if !ok {
			inner = map[string]any{}
			target[name] = inner
		}
		merge(inner, members)
	}
}

// patchInto sets o to an object after a JSON patch or a strategic merge patch.
func patchInto(o client.Object, r *resource, kind types.PatchType, before, body []byte) error {
	var after []byte
	var err error
	if kind == types.JSONPatchType {
		var operations jsonpatch.Patch
		if operations, err = jsonpatch.DecodePatch(body); err != nil {
			return apierrors.NewBadRequest(err.Error())
		}
		if after, err = operations.Apply(before); err != nil {
			return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", r.group(), "", err.Error(), 0, false)
		}
	} else if after, err = strategicpatch.StrategicMergePatch(before, body, r.prototype); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if err := decode(after, jsonType, o); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	return nil
}
