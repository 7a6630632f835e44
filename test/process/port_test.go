package process

import (
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// portOfAnother names, in the environment, a port that another process has given out.
const portOfAnother = "PORT_OF_ANOTHER"

// TestProcessesDoNotShareAPort has another process ask for a port that this one has given out and on which nobody listens yet.
func TestProcessesDoNotShareAPort(t *testing.T) {
	if text := os.Getenv(portOfAnother); text != "" {
		port, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		if mine, err := reserve(port); err != nil || mine {
			t.Errorf("port %d of another process: reserved %v, error %v", port, mine, err)
		}
		return
	}
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	another := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProcessesDoNotShareAPort$")
	another.Env = append(os.Environ(), portOfAnother+"="+strconv.Itoa(port))
	if out, err := another.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
