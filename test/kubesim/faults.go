package kubesim

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Request is a request as faults and observers see it.
type Request struct {
	// Client is the name given to TransportFor or As; for Transport it is the first word of the User-Agent.
	Client string
	// Verb is as in RBAC: get, list, watch, create, update, patch, delete or deletecollection.
	Verb string
	// Resource is empty for discovery.
	Resource schema.GroupResource
	// Namespace and Name are empty where the request has none; Name is the path for discovery.
	Namespace, Name string
	// Subresource is for instance "status" or "eviction", or empty.
	Subresource string
	// FieldSelector is that of a list or watch, for instance "spec.nodeName=a", or empty.
	FieldSelector string
	// FieldManager is who is to own the fields that a write sets, or empty.
	FieldManager string
}

// Verdict says what happens to a request. The zero value lets it pass.
type Verdict struct {
	// Delay passes before anything else happens, unless the request's context ends first.
	Delay time.Duration
	// Err is what the client gets: an error of package apierrors as the server's answer, any other as a
	// failure of the connection. The request is not carried out.
	Err error
	// LostReply has the request carried out although the client gets Err.
	LostReply bool
}

// Faults decides what goes wrong. Its methods are called concurrently, in the goroutine of the client.
type Faults interface {
	// Strike is asked once for each request over a transport, before it takes effect.
	Strike(Request) Verdict
	// Due says when a watch may deliver a change that was made at the given time; a time in the past means at
	// once. It is asked when it is the change's turn, so it can hold back what happened before it decided to.
	// What a watch begins with is not held back.
	Due(watch Request, changed time.Time) time.Time
}

// noFaults lets everything pass.
type noFaults struct{}

func (noFaults) Strike(Request) Verdict                    { return Verdict{} }
func (noFaults) Due(_ Request, _ time.Time) (at time.Time) { return at }

// pause waits for d and reports whether the client is still there.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
