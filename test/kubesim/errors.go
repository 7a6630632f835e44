package kubesim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// errDryRun refuses what would otherwise take effect although it must not.
var errDryRun = apierrors.NewBadRequest("kubesim does not know dry runs")

func errNoPath() error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound,
		Message: "the server could not find the requested resource", Details: &metav1.StatusDetails{},
	}}
}

// errExpired answers a resourceVersion whose history is gone.
func errExpired(asked, oldest int64) error {
	return apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%d)", asked, oldest))
}

// errTooLarge answers a resourceVersion that is not there yet.
func errTooLarge(asked, newest int64) error {
	err := apierrors.NewTimeoutError(fmt.Sprintf("Too large resource version: %d, current: %d", asked, newest), 1)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: metav1.CauseTypeResourceVersionTooLarge, Message: "Too large resource version"}}
	return err
}

// errOtherUID says, in the words of the API server, that a client means another object of the same name.
func errOtherUID(asked, stored types.UID) error {
	return fmt.Errorf("Precondition failed: UID in precondition: %s, UID in object meta: %s", asked, stored) //nolint:staticcheck,revive // as above
}

// statusOf is the answer to an error.
func statusOf(err error) metav1.Status {
	var known apierrors.APIStatus
	if !errors.As(err, &known) {
		// The API server gives errors that it does not know this code, and no reason.
		known = &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: err.Error(),
		}}
	}
	status := known.Status()
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	return status
}

// succeeded is the answer to what leaves no object.
func succeeded(r *resource, name string) metav1.Status {
	return metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess,
		Details: &metav1.StatusDetails{Group: r.gvr.Group, Kind: r.gvr.Resource, Name: name},
	}
}

// encodeStatus writes a status as an object of its own.
func encodeStatus(status metav1.Status, m media) []byte {
	raw, err := encode(&status, m)
	if err != nil {
		panic(err) // a status is a plain structure
	}
	return wrap(status.APIVersion, status.Kind, raw, m)
}

func jsonBody(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // it is made here of plain structures
	}
	return b
}
