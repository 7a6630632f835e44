package vpsiesim_test

import (
	"testing"
	"time"

	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

func TestJudge(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	running := func(id string) vpsiesim.Machine {
		return vpsiesim.Machine{
			Identifier: id, Hostname: "host-" + id, Role: vpsiesim.RoleSlave, State: "registered",
			RequestedAt: at, ListedAt: at, RegisteredAt: at, PodsAtDeletion: vpsiesim.PodsUnknown,
		}
	}
	deleted := func(id string, how vpsiesim.HowDeleted, pods int) vpsiesim.Machine {
		m := running(id)
		m.State, m.DeleteRequestedAt, m.GoneAt, m.HowDeleted, m.PodsAtDeletion = "gone", at, at, how, pods
		return m
	}
	foreign := func(m vpsiesim.Machine) vpsiesim.Machine {
		m.Foreign = true
		return m
	}
	held := func(name string, ids ...string) vpsiesim.Claim { return vpsiesim.Claim{Name: name, Identifiers: ids} }
	gone := func(name string, ids ...string) vpsiesim.Claim {
		return vpsiesim.Claim{Name: name, Identifiers: ids, Gone: true}
	}
	tests := map[string]struct {
		why      string
		machines []vpsiesim.Machine
		claims   []vpsiesim.Claim
		leaks    int
		doubles  int
		wrong    int
	}{
		"OneMachineForEachLaunch": {
			machines: []vpsiesim.Machine{running("a"), deleted("b", vpsiesim.DeletedByIdentifier, 0)},
			claims:   []vpsiesim.Claim{held("one", "a"), gone("two", "b"), held("waiting")},
		},
		"ForgottenMachineLeaks": {
			machines: []vpsiesim.Machine{running("a")}, claims: []vpsiesim.Claim{gone("one", "a")}, leaks: 1,
		},
		"MachineLaunchedTwice": {
			why:      "the second is paid for, and nobody will ever delete it",
			machines: []vpsiesim.Machine{running("a"), running("b")}, claims: []vpsiesim.Claim{held("one", "a")},
			leaks: 1, doubles: 1,
		},
		"DoubleThatWasCleanedUp": {
			why:      "it was paid for all the same",
			machines: []vpsiesim.Machine{running("a"), deleted("b", vpsiesim.DeletedByIdentifier, 0)},
			claims:   []vpsiesim.Claim{held("one", "a")}, doubles: 1,
		},
		"LaunchThatChangedItsMachine": {
			machines: []vpsiesim.Machine{running("a"), running("b")}, claims: []vpsiesim.Claim{held("one", "a", "b")}, doubles: 1,
		},
		"MachineWithTwoOwners": {
			machines: []vpsiesim.Machine{running("a")}, claims: []vpsiesim.Claim{held("one", "a"), held("two", "a")}, doubles: 1,
		},
		"ForeignMachinesAreNobodysBusiness": {machines: []vpsiesim.Machine{foreign(running("a"))}},
		"ForeignMachineDeleted": {
			machines: []vpsiesim.Machine{foreign(deleted("a", vpsiesim.DeletedByIdentifier, 0))}, wrong: 1,
		},
		"DeletedWithPods": {
			machines: []vpsiesim.Machine{deleted("a", vpsiesim.DeletedByIdentifier, 3)}, claims: []vpsiesim.Claim{gone("one", "a")}, wrong: 1,
		},
		"DeletedUncounted": {
			why:      "what was not counted cannot be called safe",
			machines: []vpsiesim.Machine{deleted("a", vpsiesim.DeletedByIdentifier, vpsiesim.PodsUnknown)},
			claims:   []vpsiesim.Claim{gone("one", "a")}, wrong: 1,
		},
		"Reduced": {
			why:      "VPSie picks the victim, not we",
			machines: []vpsiesim.Machine{deleted("a", vpsiesim.DeletedByReduce, 0)}, claims: []vpsiesim.Claim{gone("one", "a")}, wrong: 1,
		},
		"DeletedByAPerson": {
			machines: []vpsiesim.Machine{deleted("a", vpsiesim.DeletedInConsole, 3)}, claims: []vpsiesim.Claim{gone("one", "a")},
		},
		"AcceptedAndNeverBuilt": {
			why:      "nothing is paid for",
			machines: []vpsiesim.Machine{{Identifier: "a", Role: vpsiesim.RoleSlave, State: "lost"}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			v := vpsiesim.Judge(vpsiesim.Truth{Machines: tc.machines}, tc.claims)
			if len(v.Leaks) != tc.leaks || len(v.Doubles) != tc.doubles || len(v.WrongDeletions) != tc.wrong {
				t.Errorf("verdict = %+v, want %d leaks, %d doubles, %d wrong deletions (%s)", v, tc.leaks, tc.doubles, tc.wrong, tc.why)
			}
			if clean := tc.leaks+tc.doubles+tc.wrong == 0; v.Clean() != clean {
				t.Errorf("clean = %v, want %v", v.Clean(), clean)
			}
		})
	}
}
