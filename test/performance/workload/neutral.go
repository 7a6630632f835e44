package workload

import (
	"fmt"
	"math"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var zones = []string{"z1", "z2", "z3"}

// What a machine of the neutral catalogues keeps for itself, how many pods it runs, and what it costs an hour.
const (
	neutralPods       = 110
	neutralMilliCPU   = 100
	neutralMiB        = 256
	dollarsPerVCPU    = 0.012
	dollarsPerGiB     = 0.004
	priceDecimals     = 1e6
	deploymentsMax    = 50
	podsPerDeployment = 20
)

// Catalogue is the neutral catalogue: 21 types in three families of 2, 4 and 8 GiB a processor.
func Catalogue() []Type {
	var out []Type
	for _, family := range []struct {
		name  string
		ratio int
	}{{"c", 2}, {"g", 4}, {"m", 8}} {
		for _, vcpu := range []int{1, 2, 4, 8, 16, 32, 64} {
			out = append(out, neutralType(fmt.Sprintf("%s-%d", family.name, vcpu), vcpu, vcpu*family.ratio))
		}
	}
	return out
}

func neutralType(name string, vcpu, gib int) Type {
	price := math.Round((dollarsPerVCPU*float64(vcpu)+dollarsPerGiB*float64(gib))*priceDecimals) / priceDecimals
	return Type{
		Name: name, VCPU: float64(vcpu), MemGiB: float64(gib), Pods: neutralPods, ReservedMilliCPU: neutralMilliCPU, ReservedMiB: neutralMiB,
		PriceHour: price, Zones: zones, Arch: "amd64",
	}
}

// Catalogue400 has 400 types: eight families of 1 to 16 GiB a processor, each in fifty sizes up to 68 processors. The
// larger sizes are a little cheaper a processor, so that no two types are alike.
func Catalogue400() []Type {
	const sizes = 50
	var out []Type
	for _, ratio := range []int{1, 2, 3, 4, 6, 8, 12, 16} {
		for size := 1; size <= sizes; size++ {
			vcpu := size
			if size > 32 { // then in steps of two
				vcpu = 32 + 2*(size-32)
			}
			t := neutralType(fmt.Sprintf("r%d-%d", ratio, size), vcpu, vcpu*ratio)
			t.PriceHour = math.Round(t.PriceHour*(1-float64(size)/1000)*priceDecimals) / priceDecimals
			out = append(out, t)
		}
	}
	return out
}

// rule is a placement rule that a deployment's pods carry.
type rule func(spec *corev1.PodSpec, own *metav1.LabelSelector)

func noRule(*corev1.PodSpec, *metav1.LabelSelector) {}

// Plain makes n pods in up to 50 deployments that ask for processors and memory only. Seed 42 gives what other
// planners were measured with.
func Plain(n int, seed uint64) Workload {
	return Workload{Name: "plain", Types: Catalogue(), Pods: deployments{n: n, seed: seed}.pods()}
}

// Diverse is Plain with placement rules: by deployment in turn none, an even spread over zones, an even spread over
// nodes, all in one zone, and one a node.
func Diverse(n int, seed uint64) Workload {
	return Workload{Name: "diverse", Types: Catalogue(), Pods: deployments{n: n, seed: seed, rules: diverseRules()}.pods()}
}

func diverseRules() []rule {
	return []rule{
		noRule, spreadOver(corev1.LabelTopologyZone, corev1.DoNotSchedule), spreadOver(corev1.LabelHostname, corev1.DoNotSchedule),
		together(corev1.LabelTopologyZone), apart(corev1.LabelHostname),
	}
}

func spreadOver(key string, otherwise corev1.UnsatisfiableConstraintAction) rule {
	return func(spec *corev1.PodSpec, own *metav1.LabelSelector) {
		spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{
			{MaxSkew: 1, TopologyKey: key, WhenUnsatisfiable: otherwise, LabelSelector: own},
		}
	}
}

func together(key string) rule {
	return func(spec *corev1.PodSpec, own *metav1.LabelSelector) {
		spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: key, LabelSelector: own}},
		}}
	}
}

func apart(key string) rule {
	return func(spec *corev1.PodSpec, own *metav1.LabelSelector) {
		spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: key, LabelSelector: own}},
		}}
	}
}

// deployments describes pods in deployments of equal size. Zero fields are filled in as the neutral generator does.
type deployments struct {
	n     int
	seed  uint64
	count int
	rules []rule
	// milliCPU and mebibytes are what requests are drawn from.
	milliCPU, mebibytes []int
}

func (d deployments) withDefaults() deployments {
	if d.count == 0 {
		d.count = max(1, min(deploymentsMax, d.n/podsPerDeployment))
	}
	if d.rules == nil {
		d.rules = []rule{noRule}
	}
	if d.milliCPU == nil {
		d.milliCPU, d.mebibytes = []int{100, 250, 500, 1000, 1500}, []int{100, 256, 512, 1024, 2048, 4096}
	}
	return d
}

// pods makes the pods, one deployment after the other. A deployment's pods share what their specifications refer to.
func (d deployments) pods() []*corev1.Pod {
	d = d.withDefaults()
	random := newPython(d.seed)
	out := make([]*corev1.Pod, 0, d.n)
	for i := range d.count {
		milliCPU, mebibytes := choice(random, d.milliCPU), choice(random, d.mebibytes)
		app := fmt.Sprintf("app-%d", i)
		spec := podSpec(milliCPU, mebibytes)
		d.rules[i%len(d.rules)](&spec, &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}})
		count := d.n / d.count
		if i < d.n%d.count {
			count++
		}
		for j := range count {
			pod := neutralPod(app, i, j)
			pod.Spec = spec
			out = append(out, pod)
		}
	}
	return out
}

func podSpec(milliCPU, mebibytes int) corev1.PodSpec {
	return corev1.PodSpec{
		SchedulerName: corev1.DefaultSchedulerName,
		Containers: []corev1.Container{{Name: "c", Image: "pause", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU:    *resource.NewMilliQuantity(int64(milliCPU), resource.DecimalSI),
			corev1.ResourceMemory: *resource.NewQuantity(int64(mebibytes)<<20, resource.BinarySI),
		}}}},
	}
}

// neutralPod is a pod of a deployment without its specification.
func neutralPod(app string, deployment, number int) *corev1.Pod {
	isController := true
	return &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("%s-%d", app, number), Namespace: "default", UID: types.UID(fmt.Sprintf("u-%d-%d", deployment, number)),
			Labels: map[string]string{"app": app},
			OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: app, UID: types.UID(fmt.Sprintf("rs-%d", deployment)), Controller: &isController},
			},
		},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
}
