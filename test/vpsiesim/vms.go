package vpsiesim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// vm is a plain machine, or the wish for one.
//
//	pending ──ListDelay──► gap, in no list ──► listed, inactive ──BootDelay──► active ──delete──► gone
//	   └─ vanish, stuck
type vm struct {
	*machine
	job       string // id in the pending list
	request   vmRequest
	pending   bool
	running   bool // being worked on, while pending
	active    bool
	power     bool
	locked    bool
	row       bool // in the VM list
	createdAt time.Time
	updatedAt time.Time
}

// vmRequest is a create request after its flags were understood.
type vmRequest struct {
	resource, os, datacenter, hostname, notes, processID string
	script, sshKey                                       string
	flags                                                map[string]bool
	tags                                                 []string
}

const (
	vmGap     = 3 * time.Second
	vmGapLong = time.Minute
)

var (
	errVMUnknown = refuse(http.StatusNotFound, "Virtual machine not found")
	errPassword  = refuse(http.StatusOK, "You entered the wrong password")
	errPackage   = refuse(http.StatusBadRequest, "Please select the right package for this OS")
)

// createVM queues a plain machine and returns its ledger row.
func (m *Model) createVM(r vmRequest, by string) (Machine, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.adds.requested++
	if r.resource == "" || r.os == "" || r.datacenter == "" || r.hostname == "" {
		return Machine{}, errLost
	}
	dc, known := m.datacenter(r.datacenter)
	offer, ok := m.offerIn(r.datacenter, r.resource)
	if !known || !ok {
		return Machine{}, errPackage
	}
	if m.switches.DuplicateHostname == "refused" && m.hasVM(func(v *vm) bool { return strings.EqualFold(v.Hostname, r.hostname) }) {
		return Machine{}, refuse(http.StatusConflict, "Hostname already exists")
	}
	if i := slices.IndexFunc(m.vms, func(v *vm) bool { return r.processID != "" && v.request.processID == r.processID }); i >= 0 {
		switch m.switches.RepeatedProcessID {
		case "refused":
			return Machine{}, refuse(http.StatusConflict, "Process already exists")
		case "deduplicated":
			return m.vms[i].Machine, nil
		}
	}
	listing := m.switches.VMListing
	if m.soldOut(offer, dc.Identifier) {
		if m.switches.CapacityExhaustion == "refused" {
			return Machine{}, errSoldOut
		}
		listing = "vanish"
	}
	m.adds.accepted++
	v := m.newVM(r, offer, by)
	m.schedule(v, listing)
	return v.Machine, nil
}

func (m *Model) newVM(r vmRequest, offer Offer, by string) *vm {
	now := time.Now().UTC()
	id := m.nextID()
	v := &vm{
		job: fmt.Sprintf("%d", m.nextID()), request: r, pending: true, createdAt: now, updatedAt: now,
		machine: &machine{id: id, host: 10 + id%7, Machine: Machine{
			Identifier: m.newIdentifier(), Hostname: r.hostname, Role: RoleVM,
			SizeID: offer.ID, VCPU: offer.VCPU, RAMMiB: offer.RAMMiB, DiskGiB: offer.DiskGiB,
			RequestedAt: now, RequestedBy: by, PricePerHour: offer.PricePerHour(), PodsAtDeletion: PodsUnknown,
			PrivateIP: fmt.Sprintf("10.30.%d.%d", id/250%250, 1+id%250), NeverRegisters: true,
		}},
	}
	m.machines = append(m.machines, v.machine)
	m.byID[v.Identifier] = v.machine
	m.vms = append(m.vms, v)
	return v
}

// schedule leads a queued machine through its life. The caller holds the lock.
func (m *Model) schedule(v *vm, listing string) {
	gap := map[string]time.Duration{"gap": vmGap, "longGap": vmGapLong}[listing]
	boot := time.Duration(m.switches.BootDelay)
	locked := func(f func()) func() {
		return func() { m.mu.Lock(); defer m.mu.Unlock(); f() }
	}
	listed := func() {
		v.row, v.ListedAt = true, time.Now().UTC()
		m.after(boot, locked(func() { v.active, v.power, v.updatedAt = true, true, time.Now().UTC() }))
	}
	delay := time.Duration(m.switches.ListDelay)
	m.after(delay/2, locked(func() { v.running = true }))
	if listing == "stuck" {
		return
	}
	m.after(delay, locked(func() {
		v.pending = false
		switch {
		case listing == "vanish":
			v.lost = true
			m.vms = slices.DeleteFunc(m.vms, func(other *vm) bool { return other == v })
		case gap == 0:
			listed()
		default:
			m.after(gap, locked(listed))
		}
	}))
}

func (m *Model) hasVM(is func(*vm) bool) bool { return slices.ContainsFunc(m.vms, is) }

// listedVM finds a machine of the VM list that was not deleted. The caller holds the lock.
func (m *Model) listedVM(identifier string) (*vm, error) {
	for _, v := range m.vms {
		if v.Identifier == identifier && v.row && v.GoneAt.IsZero() {
			return v, nil
		}
	}
	return nil, errVMUnknown
}

// deleteVM removes a plain machine if the account password is right.
func (m *Model) deleteVM(identifier, password, by string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.switches.VMDeletePassword == "required" && password != m.tokens.password {
		return errPassword
	}
	v, err := m.listedVM(identifier)
	if err != nil {
		return err
	}
	if !v.DeleteRequestedAt.IsZero() {
		return nil
	}
	v.DeleteRequestedAt, v.HowDeleted, v.DeletedBy = time.Now().UTC(), DeletedAsVM, by
	rowStays := m.switches.VMDelete == "rowStays"
	gone := func() {
		v.GoneAt, v.power, v.active, v.row = time.Now().UTC(), false, false, rowStays
		if !rowStays {
			m.vms = slices.DeleteFunc(m.vms, func(other *vm) bool { return other == v })
		}
	}
	if m.switches.VMDelete == "immediate" {
		gone()
		return nil
	}
	m.after(time.Duration(m.switches.DeleteDelay), func() { m.mu.Lock(); defer m.mu.Unlock(); gone() })
	return nil
}

// changeVM applies f to a listed machine.
func (m *Model) changeVM(identifier string, f func(*vm)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, err := m.listedVM(identifier)
	if err != nil {
		return err
	}
	f(v)
	v.updatedAt = time.Now().UTC()
	return nil
}
