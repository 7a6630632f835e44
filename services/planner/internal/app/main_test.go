package app_test

import (
	"os"
	"testing"

	"github.com/vpsie/vpsie-autoscaler/api/reason/reasontest"
)

// produced are the codes of all records that tests put on record.
var produced reasontest.Produced

func TestMain(m *testing.M) { os.Exit(produced.Main(m, nil, ".")) }
