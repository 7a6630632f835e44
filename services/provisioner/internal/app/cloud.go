// Package app carries out the life of a machine, from the intent to launch it until its absence is confirmed.
package app

import (
	"context"
	"errors"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/money"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

// Guard says why a call that changes something must not be sent now. A Cloud asks it right before each attempt, since waiting for the
// rate limit may take long. The error is a *CloudError with Failure Held.
type Guard func(context.Context) error

// Cloud is what the provisioner asks of VPSie. Every method returns *CloudError for what went
// wrong, and all may be called concurrently. What changes something is sent only while its guard agrees.
type Cloud interface {
	// Workers returns every worker of a managed cluster; a listing is complete or an error.
	Workers(ctx context.Context, cluster string) (Listing, error)
	// Offerings returns every size that managed clusters of a datacenter can use.
	Offerings(ctx context.Context, datacenter string) ([]Offering, error)
	// Groups returns the numeric id of the VPSie group of each size in a cluster.
	Groups(ctx context.Context, cluster string) (map[int64]int64, error)
	// CreateGroup makes the VPSie group of a size. It is never repeated by itself.
	CreateGroup(ctx context.Context, g Guard, cluster, name string, offering int64) error
	// AddWorker launches one machine into a VPSie group. It is never repeated by itself.
	AddWorker(ctx context.Context, g Guard, cluster string, group int64) error
	// DeleteWorker deletes the machine with this identifier. That VPSie knows no such machine is no error
	// but the answer gone.
	DeleteWorker(ctx context.Context, g Guard, cluster, identifier string) (gone bool, err error)
}

// Listing is the workers of a managed cluster at one moment.
type Listing struct {
	Workers []launch.Listed
	// ShowsSizes says that this cluster's machines are listed with their sizes.
	ShowsSizes bool
}

// Offering is a size that VPSie sells.
type Offering struct {
	ID           int64
	Name         string
	Size         launch.Size
	DiskBytes    int64
	MonthlyPrice money.Micros
}

// Failure is what a failed call means for whoever made it.
type Failure int

const (
	// OutcomeUnknown means that the call may or may not have taken effect.
	OutcomeUnknown Failure = iota
	// NotMade means that the call provably took no effect and may be made again later.
	NotMade
	// Unauthorized means that VPSie refused the credentials; nothing took effect.
	Unauthorized
	// NotFound means that what the call speaks of does not exist; nothing took effect.
	NotFound
	// Refused means that VPSie understood and said no; nothing took effect.
	Refused
	// Held means that the call was kept back on our side and says nothing of VPSie; nothing took effect.
	Held
)

// CloudError is a failed call to VPSie.
type CloudError struct {
	Failure Failure
	// Code is the reason code of a refusal.
	Code reason.Code
	// Scope is what a refusal is about, empty where the call was not refused.
	Scope v1beta1.RefusalScope
	// Message is VPSie's own text or what happened to the connection, free of secrets.
	Message string
	// RetryAfter is how long VPSie asked to be left alone, zero when it did not.
	RetryAfter time.Duration
	// Endpoint names the call.
	Endpoint string
}

func (e *CloudError) Error() string { return "VPSie " + e.Endpoint + ": " + e.Message }

// AsCloudError returns the CloudError in err; other errors are outcomes that nobody knows.
func AsCloudError(err error) *CloudError {
	if e, ok := errors.AsType[*CloudError](err); ok {
		return e
	}
	return &CloudError{Failure: OutcomeUnknown, Message: err.Error(), Endpoint: "call"}
}

// Health is how VPSie's API is doing, as the client saw it.
type Health struct {
	// Known is false until the first call was answered or failed for good.
	Known        bool
	Unauthorized bool
	BreakerOpen  bool
	// Message is what the last failed call said, empty while all is well.
	Message string
}
