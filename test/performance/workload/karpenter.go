package workload

import (
	"fmt"
	"math/rand"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// karpenterSeed is the seed of Karpenter's benchmark.
const karpenterSeed = 42

// KarpenterMix is the workload of Karpenter v1.14.1's own benchmark (makeDiversePods in scheduling_benchmark_test.go) with
// its 400 types. Numbers are drawn from the same source in the same order, so requests, labels and selectors
// are the very same; names and UIDs, which are random there, are counted.
//
// A fifth each: plain, an even spread over zones, one over nodes, together in a zone, and one a node. The spread
// counts pods of a label drawn apart from the pod's own, so most of these pods are spread relative to others.
func KarpenterMix(n int) Workload {
	m := karpenterMaker{random: rand.New(rand.NewSource(karpenterSeed))}
	fifth := n / 5
	m.addMany(fifth, func() { m.add(m.label("my-label"), noRule, nil) })
	for _, key := range []string{corev1.LabelTopologyZone, corev1.LabelHostname} {
		m.addMany(fifth, func() {
			own := m.label("my-label")
			m.add(own, spreadOver(key, corev1.DoNotSchedule), m.label("my-label"))
		})
	}
	m.addMany(fifth, func() {
		own := m.label("my-affininity") // spelt as in the original
		m.add(own, together(corev1.LabelTopologyZone), own)
	})
	m.addMany(fifth, func() {
		own := map[string]string{"app": "nginx"}
		m.add(own, apart(corev1.LabelHostname), own)
	})
	m.addMany(n-len(m.pods), func() { m.add(m.label("my-label"), noRule, nil) })
	return Workload{Name: "karpenter", Types: KarpenterTypes(400), Pods: m.pods}
}

type karpenterMaker struct {
	random *rand.Rand
	pods   []*corev1.Pod
}

func (m *karpenterMaker) addMany(n int, add func()) {
	for range n {
		add()
	}
}

func (m *karpenterMaker) label(key string) map[string]string {
	values := []string{"a", "b", "c", "d", "e", "f", "g"}
	return map[string]string{key: values[m.random.Intn(len(values))]}
}

// add draws processors before memory, as the original does.
func (m *karpenterMaker) add(own map[string]string, rule rule, selected map[string]string) {
	milliCPU, mebibytes := []int{100, 250, 500, 1000, 1500}, []int{100, 256, 512, 1024, 2048, 4096}
	cpu := milliCPU[m.random.Intn(len(milliCPU))]
	spec := podSpec(cpu, mebibytes[m.random.Intn(len(mebibytes))])
	rule(&spec, &metav1.LabelSelector{MatchLabels: selected})
	name := fmt.Sprintf("pod-%d", len(m.pods))
	m.pods = append(m.pods, &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name), Labels: own},
		Spec:       spec,
		Status:     corev1.PodStatus{Phase: corev1.PodPending},
	})
}

// KarpenterTypes are the types of fake.InstanceTypes in Karpenter v1.14.1: the i-th has i processors, 2i GiB and
// 10i pods in three zones, and costs a tenth of a dollar a processor and a tenth a billion bytes.
func KarpenterTypes(n int) []Type {
	out := make([]Type, 0, n)
	for i := 1; i <= n; i++ {
		labels := map[string]string{"integer": fmt.Sprint(i), "size": "small"}
		if i > 4 {
			labels["size"], labels["special"] = "large", "optional"
		}
		out = append(out, Type{
			Name: fmt.Sprintf("fake-it-%d", i-1), VCPU: float64(i), MemGiB: float64(2 * i), Pods: int64(10 * i), ReservedMilliCPU: 100, ReservedMiB: 10,
			PriceHour: 0.1*float64(i) + 0.1*float64(int64(2*i)<<30)/1e9, Arch: "amd64",
			Zones: []string{"test-zone-1", "test-zone-2", "test-zone-3"}, Labels: labels,
		})
	}
	return out
}
