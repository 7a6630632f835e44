package cluster

import (
	"fmt"
	"syscall"
)

// APIServer is the part of the control plane that everybody talks to.
const APIServer = "kube-apiserver"

// Freeze stops a part of the control plane where it stands, without its knowledge, until Thaw.
func (c *Cluster) Freeze(part string) error { return c.signal(part, syscall.SIGSTOP) }

// Thaw lets a frozen part go on; one that is not frozen is left alone.
func (c *Cluster) Thaw(part string) error { return c.signal(part, syscall.SIGCONT) }

func (c *Cluster) signal(part string, signal syscall.Signal) error {
	for _, p := range c.processes {
		if p.Name == part {
			p.Signal(signal)
			return nil
		}
	}
	return fmt.Errorf("control plane has no part %q", part)
}

// Freeze stops the server where it stands, without its knowledge, until Thaw. A stopped server is left alone.
func (n *NATS) Freeze() {
	if n.process != nil {
		n.process.Signal(syscall.SIGSTOP)
	}
}

// Thaw lets a frozen server go on.
func (n *NATS) Thaw() {
	if n.process != nil {
		n.process.Signal(syscall.SIGCONT)
	}
}
