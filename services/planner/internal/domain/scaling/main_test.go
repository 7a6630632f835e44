package scaling_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/reason/reasontest"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/planner/internal/domain/scaling"
)

// produced are the codes of all plans that tests made.
var produced reasontest.Produced

// elsewhere are codes that plans hardly carry: the engine's own tests and the guards' produce the first two, and the provisioner's the others,
// which are of machines that are on their way out.
var elsewhere = []reason.Code{
	reason.NoScaleUpAttachLimit, reason.NoScaleDownUnchecked,
	reason.NoScaleDownGroupRecommend, reason.NoRepairNodeReady, reason.NoReplaceFailed, reason.NoReplaceLate, reason.HoldReplacement, reason.HoldOccupied,
}

func TestMain(m *testing.M) {
	root, err := reasontest.Root()
	if err != nil {
		panic(err)
	}
	os.Exit(produced.Main(m, elsewhere, "..", root+"/libs/scheduling", root+"/libs/fleet", root+"/libs/disruption", root+"/libs/nodegroup"))
}

// propose makes a plan and notes the codes that its records would have.
func propose(s scaling.Snapshot, policy scaling.Policy, memory scaling.Memory, now time.Time) scaling.Plan {
	plan := scaling.Propose(s, policy, memory, now)
	for _, l := range plan.Launches {
		carried(reason.ScaleUp, l.Reason)
		note(l.Candidates)
	}
	for _, r := range plan.Retirements {
		kind := reason.ScaleDown
		if r.Kind == v1beta1.RetireRepair {
			kind = reason.Repair
		}
		carried(kind, r.Reason)
	}
	for _, fate := range plan.Shapes {
		carried(reason.NoScaleUp, fate.Refusal.Code)
		note(fate.Candidates)
	}
	for _, refusal := range plan.Refused {
		carried(reason.NoScaleUp, refusal.Code)
	}
	for _, refusal := range plan.Kept {
		carried(reason.NoScaleDown, refusal.Code)
	}
	return plan
}

// carried notes a code of a record, which the registry must have for its kind.
func carried(kind reason.Kind, code reason.Code) {
	if e, _ := reason.Lookup(code); code != "" && !slices.Contains(e.Kinds, kind) {
		panic(fmt.Sprintf("the registry does not have code %q for kind %q", code, kind))
	}
	produced.Add(code)
}

func note(candidates []scaling.Candidate) {
	for _, c := range candidates {
		produced.Add(c.Rejection)
	}
}
