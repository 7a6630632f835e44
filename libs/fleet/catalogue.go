package fleet

import (
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// Health is how VPSie's API is doing.
type Health int

const (
	// HealthUnknown means that nobody could tell.
	HealthUnknown Health = iota
	// Healthy means that calls are answered.
	Healthy
	// Unauthorized means that VPSie refuses the credentials.
	Unauthorized
	// Unavailable means that calls fail and are kept back.
	Unavailable
)

// Catalogue is what VPSie sells for one cluster.
type Catalogue struct {
	Health        Health
	HealthMessage string
	// ClusterKnown says that VPSie was asked for the cluster; ClusterFound what it answered.
	ClusterKnown, ClusterFound bool
	ClusterMessage             string
	// Known says that the offerings were read at least once; without it they are unknown, not none.
	Known     bool
	Offerings []Offering
}

// Offering is a size, and whether it is in backoff.
type Offering struct {
	scheduling.Offering
	BackoffUntil   time.Time
	BackoffReason  reason.Code
	BackoffMessage string
}

// Find returns the offering of a size, nil when it is not sold any more.
func (c *Catalogue) Find(size int64) *Offering {
	for i := range c.Offerings {
		if c.Offerings[i].ID == size {
			return &c.Offerings[i]
		}
	}
	return nil
}
