package contest

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// Setting says in two lines what is compared and where: versions as built in, the machine as far as it tells.
func Setting() string {
	version := map[string]string{}
	revision := "an unknown revision"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			version[m.Path] = m.Version
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision" && len(s.Value) >= 12:
				revision = s.Value[:12]
			case s.Key == "vcs.modified" && s.Value == "true":
				revision += " with changes"
			}
		}
	}
	return fmt.Sprintf("This tree at %s; Karpenter %s; k8s.io/api %s, sigs.k8s.io/controller-runtime %s, %s.\n%d cores, %s, load %s.",
		revision, version["sigs.k8s.io/karpenter"], version["k8s.io/api"], version["sigs.k8s.io/controller-runtime"],
		runtime.Version(), runtime.NumCPU(), processor(), load())
}

// processor is the processor's name where Linux tells, otherwise its kind.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// load is how many tasks ran or wanted to in the last minute, on average.
func load() string {
	average, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(average))
	if err != nil || len(fields) == 0 {
		return "unknown"
	}
	return fields[0]
}
