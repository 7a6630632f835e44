package kubesim

import (
	"fmt"
	"net/http"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
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
		after, err := applyPatch(r, kind, before, body)
		if err != nil {
			return nil, err
		}
		o := r.newObject()
		if err := decode(after, jsonType, o); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
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

func applyPatch(r *resource, kind types.PatchType, before, body []byte) ([]byte, error) {
	var after []byte
	var err error
	switch kind {
	case types.JSONPatchType:
		var operations jsonpatch.Patch
		if operations, err = jsonpatch.DecodePatch(body); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		if after, err = operations.Apply(before); err != nil {
			return nil, apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", r.group(), "", err.Error(), 0, false)
		}
	case types.StrategicMergePatchType:
		after, err = strategicpatch.StrategicMergePatch(before, body, r.prototype)
	default:
		after, err = jsonpatch.MergePatch(before, body)
	}
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return after, nil
}
