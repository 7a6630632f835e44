package vpsiesim

import (
	"fmt"
	"slices"
)

// Claim is what the product said about one launch and its machine over their whole life.
type Claim struct {
	// Name is how findings call the launch.
	Name string
	// Identifiers are the machines it ever called its own; one is right.
	Identifiers []string
	// Gone means that the product has forgotten the launch.
	Gone bool
}

// Verdict is what the ledger shows against the product; each finding is a sentence. The zero value is clean.
type Verdict struct {
	// Leaks are machines that are paid for and that nobody claims.
	Leaks []string `json:"leaks"`
	// Doubles are machines that were launched beyond one for each claim.
	Doubles []string `json:"doubles"`
	// WrongDeletions are machines that were not ours, still ran pods, or were deleted by another way than by identifier.
	WrongDeletions []string `json:"wrongDeletions"`
}

// Clean reports whether there is no finding.
func (v Verdict) Clean() bool { return len(v.Leaks)+len(v.Doubles)+len(v.WrongDeletions) == 0 }

// Judge compares the ledger with every claim that the product ever made. It presumes that
// nothing is on its way any more: a machine that nobody has claimed yet counts as leaked.
func Judge(t Truth, claims []Claim) Verdict {
	var v Verdict
	held, ever := map[string]bool{}, map[string][]string{}
	for _, c := range claims {
		if len(c.Identifiers) > 1 {
			v.Doubles = append(v.Doubles, fmt.Sprintf("%s claimed %d machines: %v", c.Name, len(c.Identifiers), c.Identifiers))
		}
		for _, id := range c.Identifiers {
			ever[id] = append(ever[id], c.Name)
			held[id] = held[id] || !c.Gone
		}
	}
	for _, m := range t.Machines {
		v.WrongDeletions = append(v.WrongDeletions, wrongDeletion(m)...)
		if m.Foreign || m.State == "lost" {
			continue
		}
		owners := ever[m.Identifier]
		switch {
		case len(owners) == 0:
			v.Doubles = append(v.Doubles, fmt.Sprintf("machine %s (%s) was launched and never claimed", m.Hostname, m.State))
		case len(owners) > 1:
			v.Doubles = append(v.Doubles, fmt.Sprintf("machine %s was claimed by %v", m.Hostname, owners))
		}
		if m.GoneAt.IsZero() && !held[m.Identifier] {
			v.Leaks = append(v.Leaks, fmt.Sprintf("machine %s (%s) is paid for and claimed by nobody", m.Hostname, m.State))
		}
	}
	return v
}

// wrongDeletion returns what was wrong with the deletion of a machine, if it was deleted. What a
// person did in the console is not the product's fault.
func wrongDeletion(m Machine) []string {
	byPerson := []HowDeleted{DeletedInConsole, DeletedByVanishing}
	if m.DeleteRequestedAt.IsZero() || slices.Contains(byPerson, m.HowDeleted) {
		return nil
	}
	var wrong []string
	add := func(format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("machine %s "+format, append([]any{m.Hostname}, args...)...))
	}
	if m.Foreign {
		add("was not ours and was deleted")
	}
	if m.HowDeleted != DeletedByIdentifier {
		add("was deleted by %s", m.HowDeleted)
	}
	switch {
	case m.PodsAtDeletion > 0:
		add("was deleted with %d pods on it", m.PodsAtDeletion)
	case m.PodsAtDeletion == PodsUnknown && m.Role == RoleSlave:
		add("was deleted while nobody could count its pods")
	}
	return wrong
}
