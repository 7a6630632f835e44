// Package inventory compares what VPSie lists in a cluster with the machines that are known there, over time: a
// listing lags and flaps, so one alone proves nothing.
package inventory

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/domain/launch"
)

const (
	// SightingsMin is how many listings in a row must agree before anything follows from them.
	SightingsMin = 2
	// UnclaimedFor is how long a machine must have been listed as unclaimed before it is looked after.
	UnclaimedFor = 5 * time.Minute
	// suspectShare is the share of the known machines, in percent, above which their absence is not believed.
	suspectShare = 20
	// suspectFor is how long such a listing is not believed; after that it is not sudden any more.
	suspectFor = time.Hour
	// rememberFor is how long an unclaimed machine is remembered while listings lack it.
	rememberFor = 2 * time.Hour
)

// Known is a machine that a VPSieNode claims.
type Known struct {
	// Intent is the name of the VPSieNode, as namespace/name.
	Intent     string
	Identifier string
	// Leaving says that its deletion was requested, so that its absence says nothing.
	Leaving bool
	// Unclaimed says that no VPSieNode claims it, and only its Node tells of it.
	Unclaimed bool
}

// Sightings are the listings in a row that showed the same.
type Sightings struct {
	First, Last time.Time
	Count       int
}

func (s Sightings) add(at time.Time) Sightings {
	if s.Count == 0 {
		s.First = at
	}
	s.Last, s.Count = at, s.Count+1
	return s
}

// Lasted reports whether several listings showed the same for at least d.
func (s Sightings) Lasted(d time.Duration) bool {
	return s.Count >= SightingsMin && s.Last.Sub(s.First) >= d
}

// Unclaimed is a listed machine that no VPSieNode claims.
type Unclaimed struct {
	launch.Listed
	Sightings
	// WasThere says that it was in one of the first listings of all; a single one may lack what is there.
	WasThere bool
}

// Memory is what earlier listings of a cluster showed. The zero value is for a cluster that was never listed.
type Memory struct {
	// looks counts the listings.
	looks int
	// trusted says that a listing was believed at least once.
	trusted      bool
	suspectSince time.Time
	missing      map[string]Sightings
	unclaimed    map[string]Unclaimed
}

// Findings are what a listing shows together with the earlier ones.
type Findings struct {
	// Suspect says that so many known machines are suddenly missing that their absence is not believed.
	Suspect bool
	// Known counts the known machines that nobody asked to leave, Lacking those of them that the listing lacks.
	Known, Lacking int
	// Missing are the known machines that listings lack, by identifier.
	Missing map[string]Sightings
	// Unclaimed are the listed machines that nobody claims, by identifier.
	Unclaimed []Unclaimed
	// Settled says that it is known which unclaimed machines were there at first.
	Settled bool
}

// Look takes a complete listing, made at a time, and returns the memory after it. Listings must come in the
// order in which they were made.
func (m Memory) Look(listed []launch.Listed, known []Known, at time.Time) (Memory, Findings) {
	next := Memory{looks: m.looks + 1, trusted: m.trusted, missing: map[string]Sightings{}, unclaimed: map[string]Unclaimed{}}
	present := make(map[string]bool, len(listed))
	for _, machine := range listed {
		present[machine.Identifier] = true
	}
	claimed, staying := make(map[string]bool, len(known)), 0
	var lacking []string
	for _, k := range known {
		claimed[k.Identifier] = claimed[k.Identifier] || !k.Unclaimed
		if k.Leaving {
			continue
		}
		if staying++; !present[k.Identifier] {
			lacking = append(lacking, k.Identifier)
		}
	}
	if len(lacking) > 1 && len(lacking)*100 > staying*suspectShare {
		next.suspectSince = m.suspectSince
		if next.suspectSince.IsZero() {
			next.suspectSince = at
		}
	}
	f := Findings{Known: staying, Lacking: len(lacking)}
	f.Suspect = !next.suspectSince.IsZero() && at.Sub(next.suspectSince) < suspectFor
	if f.Suspect {
		// It is no sighting at all.
		next.missing = maps.Clone(m.missing)
	} else {
		next.trusted = true
		for _, id := range lacking {
			next.missing[id] = m.missing[id].add(at)
		}
		f.Missing = next.missing
	}
	next.meet(m, listed, claimed, at)
	f.Settled = next.trusted && next.looks >= SightingsMin
	for _, s := range next.unclaimed {
		if s.Last.Equal(at) {
			f.Unclaimed = append(f.Unclaimed, s)
		}
	}
	slices.SortFunc(f.Unclaimed, func(a, b Unclaimed) int { return cmp.Compare(a.Identifier, b.Identifier) })
	return next, f
}

// meet takes the listed machines that nobody claims.
func (m *Memory) meet(before Memory, listed []launch.Listed, claimed map[string]bool, at time.Time) {
	for id, s := range before.unclaimed {
		if !claimed[id] && at.Sub(s.Last) < rememberFor {
			s.Count = 0
			m.unclaimed[id] = s
		}
	}
	for _, machine := range listed {
		if machine.Identifier == "" || claimed[machine.Identifier] {
			continue
		}
		s, met := before.unclaimed[machine.Identifier]
		s.Listed = machine
		s.WasThere = met && s.WasThere || before.looks < SightingsMin
		s.Sightings = s.add(at)
		m.unclaimed[machine.Identifier] = s
	}
}

// Trusted reports whether a listing was believed at least once, so that the memory knows the unclaimed machines.
func (m Memory) Trusted() bool { return m.trusted }

// Unclaimed are the identifiers of the machines that were unclaimed in any listing a while ago, in order. A
// listing that lacks some of them does not make them new when they are back.
func (m Memory) Unclaimed() []string { return slices.Sorted(maps.Keys(m.unclaimed)) }
