package disruption

import (
	"time"
)

const (
	// drainFailedWait is how long a machine whose drain was aborted is left alone.
	drainFailedWait = 5 * time.Minute
	// ReplacementKept is how long a machine that replaces another is kept for it once its Node is Ready: whoever launched it retires the
	// other one by then, or never will.
	ReplacementKept = 15 * time.Minute
)
