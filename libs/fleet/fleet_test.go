package fleet_test

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/bounds"
	"github.com/vpsie/vpsie-autoscaler/libs/fleet"
	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// group has sizes 1 (4 vCPU, 8 GiB, $40) and 2 (16 vCPU, 32 GiB, $170).
func group(change ...func(*v1beta1.NodeGroup)) *fleet.Group {
	g := &v1beta1.NodeGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "g"}, Spec: v1beta1.NodeGroupSpec{MaxNodes: 5}}
	for _, c := range change {
		c(g)
	}
	return &fleet.Group{NodeGroup: g, Catalogue: fleet.Catalogue{Known: true, Offerings: []fleet.Offering{
		{Offering: scheduling.Offering{ID: 2, Name: "large", MilliCPU: 16000, MemoryBytes: 32 << 30, MonthlyPrice: 170_000_000}},
		{Offering: scheduling.Offering{ID: 1, Name: "small", MilliCPU: 4000, MemoryBytes: 8 << 30, MonthlyPrice: 40_000_000}},
	}}}
}

func machine(name string, size int64, change ...func(*v1beta1.VPSieNode)) *v1beta1.VPSieNode {
	m := &v1beta1.VPSieNode{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: v1beta1.VPSieNodeSpec{NodeGroup: "g", Offering: size}}
	for _, c := range change {
		c(m)
	}
	return m
}

func ready(m *v1beta1.VPSieNode) {
	m.Status.Phase, m.Status.Identifier, m.Status.Hostname = v1beta1.PhaseReady, "id-"+m.Name, strings.ToUpper(m.Name)
}

func retired(m *v1beta1.VPSieNode) { m.Spec.Retirement = &v1beta1.Retirement{} }

func failed(m *v1beta1.VPSieNode) { m.Status.Phase = v1beta1.PhaseFailed }

func TestIsLeaving(t *testing.T) {
	at := metav1.NewTime(noon)
	for name, tc := range map[string]struct {
		change           func(*v1beta1.VPSieNode)
		retired, leaving bool
	}{
		"Stays":            {ready, false, false},
		"IsRetired":        {retired, true, true},
		"IsDeleted":        {func(m *v1beta1.VPSieNode) { m.DeletionTimestamp = &at }, true, true},
		"IsDrainedNoMore":  {func(m *v1beta1.VPSieNode) { m.Status.DrainStartedAt = &at }, false, true},
		"IsDeletedAtVPSie": {func(m *v1beta1.VPSieNode) { m.Status.DeleteRequestedAt = &at }, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := machine("m", 1, tc.change)
			if retired, leaving := fleet.IsRetired(m), fleet.IsLeaving(m); retired != tc.retired || leaving != tc.leaving {
				t.Errorf("retired %v and leaving %v, want %v and %v", retired, leaving, tc.retired, tc.leaving)
			}
		})
	}
}

func TestWhatOccupiesAPlace(t *testing.T) {
	deleting := func(sightings int32) func(*v1beta1.VPSieNode) {
		return func(m *v1beta1.VPSieNode) {
			ready(m)
			m.Status.Phase, m.Status.DeleteRequestedAt, m.Status.AbsentSightings = v1beta1.PhaseDeleting, new(metav1.NewTime(noon)), sightings
		}
	}
	for name, tc := range map[string]struct {
		change func(*v1beta1.VPSieNode)
		want   bool
	}{
		"Intent":                {func(*v1beta1.VPSieNode) {}, true},
		"IntentThatWasRetired":  {retired, true},
		"Ready":                 {ready, true},
		"Failed":                {failed, false},
		"BeingDeleted":          {deleting(0), true},
		"NotSeenOnce":           {deleting(1), true},
		"ConfirmedAbsent":       {deleting(2), false},
		"NotSeenBeforeDeletion": {func(m *v1beta1.VPSieNode) { ready(m); m.Status.AbsentSightings = 2 }, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := &fleet.Snapshot{Machines: []*v1beta1.VPSieNode{machine("m", 1, tc.change)}}
			if got := fleet.Occupies(s.Machines[0]); got != tc.want {
				t.Errorf("occupies a place: %t, want %t", got, tc.want)
			}
			used, _ := s.Usage(group())
			if got := s.Count(group()).Machines == 1; got != tc.want || (used.MilliCPU > 0) != tc.want {
				t.Errorf("counted as a machine: %t, using %+v; want that it is: %t", got, used, tc.want)
			}
		})
	}
}

func TestCountAndUsage(t *testing.T) {
	g := group()
	priced := func(m *v1beta1.VPSieNode) { m.Status.MonthlyPrice = "30.00" }
	s := &fleet.Snapshot{
		Nodes: map[string]*scheduling.Node{"a": {Ready: true}, "b": {}},
		Machines: []*v1beta1.VPSieNode{
			machine("a", 1, ready, priced), machine("b", 2, ready), machine("c", 1), machine("d", 1, ready, retired), machine("e", 1, failed),
			machine("f", 1, func(m *v1beta1.VPSieNode) { m.Spec.NodeGroup = "other" }),
		},
	}
	want := fleet.Counts{Machines: 4, Launching: 1, Leaving: 1, Ready: 1, Cost: 240_000_000}
	if got := s.Count(g); got != want || got.Staying() != 3 {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	used, known := s.Usage(g)
	if want := (bounds.Amounts{Nodes: 4, MilliCPU: 28000, MemoryBytes: 56 << 30, MonthlyPrice: 280_000_000}); used != want || !known {
		t.Errorf("usage %+v, known %v; want %+v", used, known, want)
	}
	s.Machines = append(s.Machines, machine("g", 77, ready))
	if _, known := s.Usage(g); known || s.Count(g).Unpriced != 1 {
		t.Error("the size of a machine that is not sold any more counts as known")
	}
}

func TestLimitOf(t *testing.T) {
	limit := fleet.LimitOf(v1beta1.GroupLimits{CPU: new(resource.MustParse("8")), MonthlyCost: new(resource.MustParse("100"))})
	if want := (bounds.Limit{Nodes: -1, MilliCPU: 8000, MemoryBytes: -1, MonthlyPrice: 100_000_000}); limit != want {
		t.Errorf("limit %+v, want %+v", limit, want)
	}
	if memory := fleet.LimitOf(v1beta1.GroupLimits{Memory: new(resource.MustParse("1Gi"))}); memory.MemoryBytes != 1<<30 {
		t.Errorf("limit %+v, want a gibibyte", memory)
	}
	if cost := fleet.LimitOf(v1beta1.GroupLimits{MonthlyCost: new(resource.MustParse("-5"))}); cost.MonthlyPrice != 0 {
		t.Errorf("limit %+v, want that a negative one allows nothing", cost)
	}
	for _, tooLarge := range []string{"1e16", "9Ei", "1e19"} {
		q := new(resource.MustParse(tooLarge))
		most := bounds.Amounts{MilliCPU: 1 << 62, MemoryBytes: 1 << 52, MonthlyPrice: 1 << 62}
		if limit := fleet.LimitOf(v1beta1.GroupLimits{CPU: q, Memory: q, MonthlyCost: q}); !limit.Allows(most) {
			t.Errorf("limit of %s: %+v, want that it allows whatever there is", tooLarge, limit)
		}
	}
}

func TestWantedAreTheCheapestFirst(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*v1beta1.NodeGroup)
		want   string
	}{
		"All":   {func(*v1beta1.NodeGroup) {}, "small large"},
		"Named": {func(g *v1beta1.NodeGroup) { g.Spec.Offerings = []int64{2} }, "large"},
		"Selected": {func(g *v1beta1.NodeGroup) {
			g.Spec.OfferingSelector = &v1beta1.OfferingSelector{MaxCPU: new(resource.MustParse("4"))}
		}, "small"},
		"SelectedBeyondCounting": {func(g *v1beta1.NodeGroup) {
			q := new(resource.MustParse("1e19"))
			g.Spec.OfferingSelector = &v1beta1.OfferingSelector{MaxCPU: q, MaxMemory: q, MaxMonthlyPrice: q}
		}, "small large"},
	} {
		t.Run(name, func(t *testing.T) {
			var names []string
			for _, o := range group(tc.change).Wanted() {
				names = append(names, o.Name)
			}
			if got := strings.Join(names, " "); got != tc.want {
				t.Errorf("wanted are %s, want %s", got, tc.want)
			}
		})
	}
}
