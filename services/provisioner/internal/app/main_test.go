package app_test

import (
	"os"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/reason/reasontest"
)

// produced are the codes of the records that tests put on record or have machines carry.
var produced reasontest.Produced

// elsewhere are codes that the provisioner names and does not decide itself.
var elsewhere = []reason.Code{reason.NoScaleUpUnauthorized}

func TestMain(m *testing.M) { os.Exit(produced.Main(m, elsewhere, "..")) }
