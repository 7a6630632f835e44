package vpsiesim

import (
	"slices"
	"strings"
)

// Machine returns the ledger row of one machine, by identifier, at a fraction of Truth's cost.
func (m *Model) Machine(identifier string) (Machine, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	mc := m.byID[identifier]
	if mc == nil {
		return Machine{}, false
	}
	return mc.Machine, true
}

// MachineNamed returns the ledger row of the newest machine with this hostname, in whatever case.
func (m *Model) MachineNamed(hostname string) (Machine, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, mc := range slices.Backward(m.machines) {
		if strings.EqualFold(mc.Hostname, hostname) {
			return mc.Machine, true
		}
	}
	return Machine{}, false
}

// AddFault makes matching calls go wrong from now on and returns the fault's id.
func (m *Model) AddFault(f Fault) (string, error) {
	added, err := m.addFaults([]Fault{f})
	if err != nil {
		return "", err
	}
	return added[0].ID, nil
}

// RemoveFault ends a fault and returns how many calls it hit. One that expired counts as none.
func (m *Model) RemoveFault(id string) int {
	hits := 0
	m.mu.Lock()
	for _, f := range m.faults {
		if f.ID == id {
			hits = f.Hits
		}
	}
	m.mu.Unlock()
	m.removeFault(id)
	return hits
}

// HideOffers takes sizes off the market, by id, and puts all others on it. Machines of them live on.
func (m *Model) HideOffers(ids []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hidden = slices.Clone(ids)
}

// ScalePrices makes every size cost this many percent of its price in the seed, from now on.
func (m *Model) ScalePrices(percent int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pricePercent = percent
}
