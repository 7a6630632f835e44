// Package servicefx is the base every service starts from: configuration, logs, traces,
// metrics, health, the Kubernetes manager with leader election, and an orderly stop.
package servicefx

import (
	"errors"
	"fmt"
	"time"
)

// Config is what every service can be told. Values come, in falling precedence, from flags,
// environment variables (VPSIE_ and the flag in capitals), the configuration file, defaults.
type Config struct {
	LogLevel   string `help:"Lowest level that is logged: debug, info, warn or error." default:"info" enum:"debug,info,warn,error"`
	OpsAddress string `help:"Address of health, readiness, metrics and pprof." default:"127.0.0.1:0"`
	Kubeconfig string `help:"Kubeconfig file; empty uses the pod's service account." type:"path"`
	// Namespace holds the Lease.
	Namespace     string        `help:"Namespace of the service's Lease." default:"vpsie-autoscaler"`
	LeaseDuration time.Duration `help:"How long a dead leader blocks its successor." default:"10s"`
	StopTimeout   time.Duration `help:"How long an orderly stop may take." default:"25s"`
}

// Validate reports every problem of the configuration at once.
func (c Config) Validate() error {
	var problems []error
	if c.Namespace == "" {
		problems = append(problems, errors.New("namespace is empty, but the Lease needs one; set --namespace"))
	}
	if c.LeaseDuration < 3*time.Second {
		problems = append(problems, fmt.Errorf("lease-duration %s is below 3s: with a slow API server the leader would lose its Lease; raise it", c.LeaseDuration))
	}
	if c.StopTimeout <= 0 {
		problems = append(problems, fmt.Errorf("stop-timeout %s must be positive", c.StopTimeout))
	}
	return errors.Join(problems...)
}
