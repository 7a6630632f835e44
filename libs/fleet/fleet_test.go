package fleet_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
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
	if want := (fleet.Amounts{MilliCPU: 28000, MemoryBytes: 56 << 30, MonthlyPrice: 280_000_000}); used != want || !known {
		t.Errorf("usage %+v, known %v; want %+v", used, known, want)
	}
	s.Machines = append(s.Machines, machine("g", 77, ready))
	if _, known := s.Usage(g); known || s.Count(g).Unpriced != 1 {
		t.Error("the size of a machine that is not sold any more counts as known")
	}
}

func TestCeilings(t *testing.T) {
	c := fleet.CeilingsOf(v1beta1.GroupLimits{CPU: new(resource.MustParse("8")), MonthlyCost: new(resource.MustParse("100"))})
	for name, tc := range map[string]struct {
		used fleet.Amounts
		want bool
		cpu  int64
	}{
		"Nothing":      {fleet.Amounts{}, true, 8000},
		"Exactly":      {fleet.Amounts{MilliCPU: 8000, MonthlyPrice: 100_000_000}, true, 0},
		"TooManyCores": {fleet.Amounts{MilliCPU: 8001}, false, 0},
		"TooDear":      {fleet.Amounts{MilliCPU: 4000, MonthlyPrice: 100_000_001}, false, 4000},
		"Unbounded":    {fleet.Amounts{MilliCPU: 4000, MemoryBytes: 1 << 50}, true, 4000},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.Allow(tc.used); got != tc.want {
				t.Errorf("Allow = %v, want %v", got, tc.want)
			}
			if left := c.Left(tc.used); *left.MilliCPU != tc.cpu || left.MemoryBytes != nil {
				t.Errorf("left are %d millicores and memory %v, want %d and no bound", *left.MilliCPU, left.MemoryBytes, tc.cpu)
			}
		})
	}
	if (fleet.Ceilings{}).Any() || !c.Any() {
		t.Error("Any is wrong")
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

func TestValidateReportsEveryProblem(t *testing.T) {
	if problems := fleet.Validate(group().NodeGroup); len(problems) > 0 {
		t.Errorf("problems %q of a good group", problems)
	}
	bad := group(func(g *v1beta1.NodeGroup) {
		g.Name = strings.Repeat("x", 64)
		g.Spec.MinNodes = 6
		g.Spec.Template.Labels = map[string]string{"team": "a b", corev1.LabelHostname: "h"}
		g.Spec.Template.Taints = []corev1.Taint{{Key: "a", Effect: "Never"}}
		g.Spec.Template.StartupTaints = []corev1.Taint{{Key: "b c", Effect: corev1.TaintEffectNoSchedule}}
		g.Spec.Template.Resources = corev1.ResourceList{"cpu": resource.MustParse("1"), "nvidia.com/gpu": resource.MustParse("1500m")}
		g.Spec.Limits.MonthlyCost = new(resource.MustParse("-5"))
		g.Spec.OfferingSelector = &v1beta1.OfferingSelector{MinCPU: new(resource.MustParse("-1"))}
		g.Spec.ScaleDown.UnneededFor, g.Spec.ScaleDown.UnreadyFor = &metav1.Duration{Duration: -1}, &metav1.Duration{Duration: -1}
		g.Spec.ScaleDown.DrainTimeout = &metav1.Duration{}
	})
	problems := fleet.Validate(bad.NodeGroup)
	for _, part := range []string{
		"minNodes (6)", "63 characters", "template.labels must not contain", "template.labels team=a b", "template.taints a", "template.startupTaints b c", "template.resources cpu",
		"nvidia.com/gpu=1500m", "limits.monthlyCost is -5", "offeringSelector.minCPU is -1", "scaleDown.unneededFor", "scaleDown.unreadyFor", "scaleDown.drainTimeout",
	} {
		if !strings.Contains(strings.Join(problems, "\n"), part) {
			t.Errorf("%q is missing in %q", part, problems)
		}
	}
}
