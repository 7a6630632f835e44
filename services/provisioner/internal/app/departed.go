package app

import (
	"maps"
	"time"
)

// departure is where and when a machine went.
type departure struct {
	cluster string
	at      time.Time
}

// depart remembers that a machine is gone, for as long as listings may lag.
func (c *Clusters) depart(cluster, identifier string, at time.Time) {
	now := c.clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.departed[identifier] = departure{cluster, at}
	maps.DeleteFunc(c.departed, func(_ string, d departure) bool { return now.Sub(d.at) > c.config.LaunchSettle })
}

// rememberAbsent remembers the machines that are gone by what an earlier process may have seen.
func (c *Clusters) rememberAbsent(r *roster) {
	for _, n := range r.absent {
		if at := n.Status.LastAbsentAt; at != nil {
			c.depart(r.cluster, n.Status.Identifier, at.Time)
		}
	}
}

// gone are the machines of a cluster that VPSie confirmed to be gone and that a listing may show once more.
func (c *Clusters) gone(cluster string) map[string]bool {
	now := c.clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	gone := map[string]bool{}
	for identifier, d := range c.departed {
		if d.cluster == cluster && now.Sub(d.at) <= c.config.LaunchSettle {
			gone[identifier] = true
		}
	}
	return gone
}
