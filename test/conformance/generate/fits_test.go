package generate_test

import (
	"testing"

	"github.com/vpsie/vpsie-autoscaler/test/conformance/generate"
	"github.com/vpsie/vpsie-autoscaler/test/conformance/oracle"
)

// share counts verdicts and those that say that a pod fits.
type share struct{ verdicts, fits int }

func (s *share) add(fits bool) {
	s.verdicts++
	if fits {
		s.fits++
	}
}

func (s *share) percent() int { return 100 * s.fits / max(1, s.verdicts) }

// Neither answer teaches much where it is the usual one, and a plugin that never refuses is not tested.
func TestFitsAndRefusalsAreBothCommon(t *testing.T) {
	judge, err := oracle.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all share
	kinds, plugins := map[generate.Kind]*share{}, map[string]int{}
	for seed := range uint64(1000) {
		s := generate.New(seed)
		if err := judge.Load(s.Objects); err != nil {
			t.Fatal(err)
		}
		for _, step := range s.Steps {
			if step.Arrive == nil {
				continue
			}
			verdicts, err := judge.Check(t.Context(), step.Arrive.Pod)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range verdicts {
				all.add(v.OK())
				plugins[v.Plugin]++
				for _, kind := range step.Arrive.Kinds {
					if kinds[kind] == nil {
						kinds[kind] = &share{}
					}
					kinds[kind].add(v.OK())
				}
			}
		}
	}
	if p := all.percent(); p < 30 || p > 60 {
		t.Errorf("%d%% of all verdicts fit, want 30 to 60", p)
	}
	for _, kind := range generate.Kinds {
		s := kinds[kind]
		if s == nil || s.verdicts < 1000 {
			t.Fatalf("%s: too few verdicts: %v", kind, s)
		}
		if p := s.percent(); p < 15 || p > 85 {
			t.Errorf("%s: %d%% of %d verdicts fit, want 15 to 85", kind, p, s.verdicts)
		}
	}
	for _, plugin := range []string{
		"NodeUnschedulable", "TaintToleration", "NodeAffinity", "NodePorts", "NodeResourcesFit", "VolumeRestrictions", "NodeVolumeLimits",
		"VolumeBinding", "VolumeZone", "PodTopologySpread", "InterPodAffinity", oracle.PreFilter,
	} {
		if plugins[plugin] < 50 {
			t.Errorf("%s refused %d times, want 50 at least", plugin, plugins[plugin])
		}
	}
}
