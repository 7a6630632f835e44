package workload_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

// published is where the neutral workloads lie when they are checked out next to the repository.
const published = "../../../../shared/workloads"

// golden are the SHA-256 sums of the files that the neutral generator, a Python program, writes.
var golden = []struct {
	mix  string
	pods int
	seed uint64
	sum  string
}{
	{"plain", 100, 42, "41946fbadbe57db327e21f6c7ed34b6f3b03e2beb26484f5ad51a291e5c95a8a"},
	{"diverse", 100, 42, "c30cab7f0f62317f53c327bd06951cdda3b9e8af11a3bd4f4351fbd4f98ed030"},
	{"plain", 1000, 42, "a620d591660df4abc5a171a6c57a4e744f69ab92c1eae0630cb915b92fbeadae"},
	{"diverse", 1000, 42, "8d4760b02dce1b6d812731d20a5b4a2c8a76eb3916f6ef056ec810e3a1de147c"},
	{"plain", 5000, 42, "2eb8a3816573e2df650b5ff88aa9116ee4d6903ccbc09cc7edcc10032737b4f1"},
	{"diverse", 5000, 42, "5acd252105440070b5adcacd4fea32742904632089f20536cb1b0827e48b4c27"},
	{"plain", 1000, 7, "ec3ebe3fcd34a8b255f2e8b1f14460dbbe5596c67dc4f880da1776d5cb49d35b"},
	{"diverse", 1000, 7, "ce99e40ffd14fcacc72017e058addcb7a1851429c62a71be330c5fdf236e7e02"},
	{"plain", 5000, 2026, "408afea439ac643b84a111a592ce70c009cbd94e10341dcc9959204e8bc4abd3"},
	{"diverse", 5000, 2026, "69380f7392b0acc7e0f1d4778b811d87d7c1ca2206291161221a238f2009ba59"},
	{"plain", 1000, 1<<40 + 5, "c5f291837d65f21e315417844d62ae70bab293f69dc4dcc1dab84d532083ce40"},
	{"diverse", 1000, 1<<40 + 5, "bb1adf7ee217a03a1fb8c4cbf89520ceb5942f554cd112cae1e623dc77d0e840"},
}

const goldenTypes = "b79a7a124fa95f8e17620dff2b2846589050da50759fdee8bfd40fbf1c8ee1b3"

func generate(t *testing.T, mix string, pods int, seed uint64) []byte {
	t.Helper()
	w := workload.Plain(pods, seed)
	if mix == "diverse" {
		w = workload.Diverse(pods, seed)
	}
	return encodePods(t, w.Pods)
}

func TestPodsAreThoseOfTheNeutralGenerator(t *testing.T) {
	for _, g := range golden {
		if sum := fmt.Sprintf("%x", sha256.Sum256(generate(t, g.mix, g.pods, g.seed))); sum != g.sum {
			t.Errorf("%s %d, seed %d: sum %s, want %s", g.mix, g.pods, g.seed, sum, g.sum)
		}
	}
}

func TestTypesAreThoseOfTheNeutralGenerator(t *testing.T) {
	data, err := json.MarshalIndent(workload.Catalogue(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if sum := fmt.Sprintf("%x", sha256.Sum256(data)); sum != goldenTypes {
		t.Errorf("sum %s, want %s; the types are\n%s", sum, goldenTypes, data)
	}
}

func TestPublishedFilesAreWhatIsGenerated(t *testing.T) {
	for _, pods := range []int{100, 1000} {
		for _, mix := range []string{"plain", "diverse"} {
			file := filepath.Join(published, fmt.Sprintf("pods-%s-%d.json", mix, pods))
			data, err := os.ReadFile(file)
			if errors.Is(err, fs.ErrNotExist) {
				t.Skipf("%s is not there; the sums are checked anyway", file)
			}
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(data, generate(t, mix, pods, 42)) {
				t.Errorf("%s differs from what is generated", file)
			}
		}
	}
}

// encodePods writes pods byte by byte as Python's json.dump writes those of the neutral generator.
func encodePods(t *testing.T, pods []*corev1.Pod) []byte {
	t.Helper()
	items := make([]string, len(pods))
	for i, pod := range pods {
		items[i] = fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q,"namespace":%q,"uid":%q,"labels":%s,"ownerReferences":%s},"spec":{%s},"status":%s}`,
			pod.APIVersion, pod.Kind, pod.Name, pod.Namespace, pod.UID, encode(t, pod.Labels), encode(t, pod.OwnerReferences), encodeSpec(t, &pod.Spec), encode(t, pod.Status))
	}
	compact := `{"apiVersion":"v1","kind":"PodList","items":[` + strings.Join(items, ",") + `]}`
	return []byte(strings.NewReplacer(",", ", ", ":", ": ").Replace(compact)) // no string has either
}

func encodeSpec(t *testing.T, spec *corev1.PodSpec) string {
	t.Helper()
	c := &spec.Containers[0]
	// Quantities are written in units of their own, which their canonical form would change.
	out := fmt.Sprintf(`"containers":[{"name":%q,"image":%q,"resources":{"requests":{"cpu":"%dm","memory":"%dMi"}}}],"schedulerName":%q`,
		c.Name, c.Image, c.Resources.Requests.Cpu().MilliValue(), c.Resources.Requests.Memory().Value()>>20, spec.SchedulerName)
	if len(spec.TopologySpreadConstraints) > 0 {
		out += `,"topologySpreadConstraints":` + encode(t, spec.TopologySpreadConstraints)
	}
	if a := spec.Affinity; a != nil && a.PodAffinity != nil {
		out += fmt.Sprintf(`,"affinity":{"podAffinity":%s}`, encodeTerms(t, a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution))
	}
	if a := spec.Affinity; a != nil && a.PodAntiAffinity != nil {
		out += fmt.Sprintf(`,"affinity":{"podAntiAffinity":%s}`, encodeTerms(t, a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution))
	}
	return out
}

func encodeTerms(t *testing.T, terms []corev1.PodAffinityTerm) string {
	t.Helper()
	return fmt.Sprintf(`{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":%q,"labelSelector":%s}]}`,
		terms[0].TopologyKey, encode(t, terms[0].LabelSelector))
}

func encode(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
