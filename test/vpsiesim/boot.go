package vpsiesim

import (
	"context"
	"strings"
	"time"
)

// Booter turns machines into Kubernetes Nodes. Its methods may be called concurrently and must be repeatable.
type Booter interface {
	// Boot registers the machine's Node under its lower-cased hostname.
	Boot(ctx context.Context, m Machine) error
	// Halt stops the machine's kubelet; it succeeds when the Node is gone already.
	Halt(ctx context.Context, m Machine) error
	// PodsOn counts the pods bound to a Node, without pods of DaemonSets and pods that ended or are being deleted.
	PodsOn(ctx context.Context, hostname string) (int, error)
}

const (
	bootCallTimeout    = 10 * time.Second
	bootRetryDelay     = 200 * time.Millisecond
	bootRetryDelayMax  = 15 * time.Second
	bootAttemptsMax    = 120 // about half an hour without a Kubernetes API
	podsOnTimeout      = 5 * time.Second
	bootDelayDoublings = 7
)

// boot registers the machine, again and again while the Kubernetes API is away.
func (m *Model) boot(mc *machine) {
	m.mu.Lock()
	row := m.bootRow(mc)
	m.mu.Unlock()
	if !row.GoneAt.IsZero() {
		return
	}
	if m.booter != nil {
		ctx, cancel := context.WithTimeout(m.ctx, bootCallTimeout)
		err := m.booter.Boot(ctx, row)
		cancel()
		if err != nil {
			m.retry(mc, err, m.boot)
			return
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	mc.attempts, mc.BootError, mc.RegisteredAt = 0, "", time.Now().UTC()
	if !mc.GoneAt.IsZero() {
		m.after(0, func() { m.halt(mc) }) // it went away while it was registering
	}
}

// halt stops the kubelet of a machine that is gone.
func (m *Model) halt(mc *machine) {
	if m.booter == nil {
		return
	}
	m.mu.Lock()
	row := m.bootRow(mc)
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(m.ctx, bootCallTimeout)
	defer cancel()
	if err := m.booter.Halt(ctx, row); err != nil {
		m.retry(mc, err, m.halt)
	}
}

// bootRow is the ledger row with what the booter needs beside it. The caller holds the lock.
func (m *Model) bootRow(mc *machine) Machine {
	row := mc.Machine
	row.AllocatableShare, row.DeleteNodeObject = m.switches.AllocatableShare, m.switches.DeleteNodeObject
	return row
}

func (m *Model) retry(mc *machine, err error, step func(*machine)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	mc.attempts++
	mc.BootError = err.Error()
	if mc.attempts >= bootAttemptsMax {
		return
	}
	delay := min(bootRetryDelay<<min(mc.attempts-1, bootDelayDoublings), bootRetryDelayMax)
	m.after(delay, func() { step(mc) })
}

// podsOn counts the pods on a worker, or returns PodsUnknown.
func (m *Model) podsOn(hostname string, role Role) int {
	if m.booter == nil || role != RoleSlave {
		return PodsUnknown
	}
	ctx, cancel := context.WithTimeout(m.ctx, podsOnTimeout)
	defer cancel()
	n, err := m.booter.PodsOn(ctx, strings.ToLower(hostname))
	if err != nil {
		return PodsUnknown
	}
	return n
}
