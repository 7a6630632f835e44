package app_test

import (
	"os"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/reason/reasontest"
)

// produced are the codes of the records that tests put on record or have machines carry.
var produced reasontest.Produced

// elsewhere are codes that the provisioner or its libraries name and that it does not decide itself. Tests of plans produce them, but for
// NoScaleDownUnchecked, which a defect alone brings about: the guards' own tests do.
var elsewhere = []reason.Code{
	reason.NoScaleUpUnauthorized, reason.NoScaleUpAPIUnavailable, reason.NoScaleUpClusterUnknown,
	reason.NoScaleDownUnchecked, reason.NoScaleDownUnneededFor, reason.NoScaleDownStepLimit, reason.NoScaleDownBeingReplaced, reason.NoScaleDownControlPlane,
	reason.NoScaleDownPendingPods, reason.NoScaleDownPodNoPlace, reason.NoScaleDownPodBudget, reason.NoScaleDownPodKubeSystem, reason.NoScaleDownPodLocalStorage,
}

func TestMain(m *testing.M) {
	root, err := reasontest.Root()
	if err != nil {
		panic(err)
	}
	os.Exit(produced.Main(m, elsewhere, "..", root+"/libs/disruption", root+"/libs/nodegroup"))
}
