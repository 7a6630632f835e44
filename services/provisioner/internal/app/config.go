package app

import (
	"errors"
	"fmt"
	"time"
)

// Config says how patient the provisioner is.
type Config struct {
	LaunchSettle    time.Duration `help:"How long listings are searched after an unclear answer to a launch request before it is repeated, and how long a deleted machine is ignored when new machines are matched to launch requests." default:"12m"`
	LaunchPoll      time.Duration `help:"First interval between listings while a machine is awaited; it grows to 15s." default:"1s"`
	DrainSettle     time.Duration `help:"How long, at most 1m, a Node stays tainted before its pods are read again and evicted. The time does not count for drainTimeout." default:"5s"`
	AbsenceInterval time.Duration `help:"Shortest interval between the two listings that confirm a machine's absence." default:"10s"`
	MissingAfter    time.Duration `help:"How long listings must lack a machine whose Node is not Ready before its VPSieNode and Node are removed." default:"12m30s"`
	OrphanPolicy    string        `help:"What happens to orphans, machines of ours whose NodeGroup is gone: Report or Delete." default:"Report" enum:"Report,Delete"`
	ClusterPoll     time.Duration `help:"How often to list the machines of an idle VPSie cluster; several clusters share the calls." default:"15s"`
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	var problems []error
	for _, d := range []struct {
		flag string
		time.Duration
	}{
		{"launch-settle", c.LaunchSettle}, {"launch-poll", c.LaunchPoll}, {"absence-interval", c.AbsenceInterval},
		{"missing-after", c.MissingAfter}, {"cluster-poll", c.ClusterPoll},
	} {
		if d.Duration <= 0 {
			problems = append(problems, errors.New(d.flag+" must be positive"))
		}
	}
	if c.DrainSettle < 0 || c.DrainSettle > drainSettleMax {
		problems = append(problems, fmt.Errorf("drain-settle must be from 0 to %s; every component sees a taint long before that", drainSettleMax))
	}
	return errors.Join(problems...)
}

const (
	// drainSettleMax is well below the time for which a taint is remembered (taintKept).
	drainSettleMax = time.Minute
	// deleteAgain is how long a machine may stay listed before its deletion is requested again.
	deleteAgain = time.Minute
	// failedRetention is how long a failed intent stays visible; backoffs are derived from it.
	failedRetention = 30 * time.Minute
	// concludeTimeout bounds the record of what became of a batch, also while the process stops.
	concludeTimeout = 15 * time.Second
	pollMax         = 15 * time.Second
	pollGrowth      = 1.5
	writersMax      = 8
)
