package workload_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
	"github.com/vpsie/vpsie-autoscaler/test/performance/workload"
)

const goodType = `{"name":"a","vcpu":2,"memGiB":4,"pods":110,"reservedMilliCPU":100,"reservedMiB":256,"priceHour":0.04,"zones":["z1"],"arch":"amd64"}`

// with is goodType with one text replaced by another.
func with(t *testing.T, old, replacement string) string {
	t.Helper()
	if !strings.Contains(goodType, old) {
		t.Fatalf("goodType has no %s", old)
	}
	return strings.Replace(goodType, old, replacement, 1)
}

func TestParseTypesNamesWhatIsWrong(t *testing.T) {
	tests := map[string]struct{ types, want string }{
		"Empty":            {``, "cannot be read as an array of machine types: malformed JSON in line 1"},
		"Malformed":        {"[\n" + goodType + "\n", "malformed JSON in line 3"},
		"TrailingText":     {`[` + goodType + `] x`, "malformed JSON in line 1"},
		"NoArray":          {`{}`, "it is a JSON object: an array is expected"},
		"NoTypes":          {`[]`, "the array must have at least one"},
		"NoObject":         {`[7]`, "types[0]: it is a JSON number: an object is expected"},
		"Null":             {`[null]`, "types[0]: no name"},
		"UnknownField":     {`[` + with(t, `"vcpu"`, `"vCPUs":2,"vcpu"`) + `]`, `types[0] "a": unknown field "vCPUs"`},
		"FieldTwice":       {`[` + with(t, `"vcpu"`, `"vcpu":2,"vcpu"`) + `]`, `duplicate field "vcpu"`},
		"NoName":           {`[` + with(t, `"name":"a",`, ``) + `]`, "types[0]: no name"},
		"NameTwice":        {`[` + goodType + `,` + goodType + `]`, `types[1] "a": name "a" is also that of types[0]`},
		"NoVCPU":           {`[` + with(t, `"vcpu":2,`, ``) + `]`, `types[0] "a": no vcpu`},
		"NegativeVCPU":     {`[` + with(t, `"vcpu":2`, `"vcpu":-2`) + `]`, `vcpu is -2: a number above 0`},
		"VCPUAsText":       {`[` + with(t, `"vcpu":2`, `"vcpu":"2"`) + `]`, `vcpu is a JSON string: a number is expected`},
		"NoMemory":         {`[` + with(t, `"memGiB":4,`, ``) + `]`, `no memGiB`},
		"NegativeMemory":   {`[` + with(t, `"memGiB":4`, `"memGiB":-4`) + `]`, `memGiB is -4`},
		"NoPrice":          {`[` + with(t, `"priceHour":0.04,`, ``) + `]`, `no priceHour`},
		"NegativePrice":    {`[` + with(t, `0.04`, `-0.04`) + `]`, `priceHour is -0.04`},
		"NoPods":           {`[` + with(t, `"pods":110,`, ``) + `]`, `no pods`},
		"NegativePods":     {`[` + with(t, `110`, `-1`) + `]`, `pods is -1`},
		"HalfAPod":         {`[` + with(t, `110`, `1.5`) + `]`, `pods is a JSON number 1.5: a whole number is expected`},
		"NoZones":          {`[` + with(t, `["z1"]`, `[]`) + `]`, `no zones: at least one`},
		"ZoneTwice":        {`[` + with(t, `["z1"]`, `["z1","z1"]`) + `]`, `zones[1] is "z1"`},
		"ReservedTooMuch":  {`[` + with(t, `"reservedMilliCPU":100`, `"reservedMilliCPU":2000`) + `]`, `reservedMilliCPU is 2000 of 2000 millicores`},
		"ReservedNegative": {`[` + with(t, `"reservedMiB":256`, `"reservedMiB":-1`) + `]`, `reservedMiB is -1`},
		"BadExtended":      {`[` + with(t, `"arch"`, `"extended":{"x.example/gpu":"two"},"arch"`) + `]`, `extended: x.example/gpu is "two": a quantity`},
		"NegativeExtended": {`[` + with(t, `"arch"`, `"extended":{"x.example/gpu":-1},"arch"`) + `]`, `extended["x.example/gpu"] is -1`},
		"ExtendedCPU":      {`[` + with(t, `"arch"`, `"extended":{"cpu":1},"arch"`) + `]`, `told by vcpu`},
		"LabelOfItsZone":   {`[` + with(t, `"arch"`, `"labels":{"topology.kubernetes.io/zone":"x"},"arch"`) + `]`, `follows from the type`},
		"SecondOfTwo":      {`[` + goodType + `,` + strings.Replace(with(t, `"vcpu":2`, `"vcpu":0`), `"a"`, `"b"`, 1) + `]`, `types[1] "b": vcpu is 0`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if types, err := workload.ParseTypes([]byte(tc.types)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("types %v, error %v, want one with %q", types, err, tc.want)
			}
		})
	}
}

func podList(items string) string {
	return `{"apiVersion":"v1","kind":"PodList","metadata":{},"items":[` + items + `]}`
}

func requesting(requests string) string {
	return podList(`{"metadata":{"name":"x"},"spec":{"containers":[{"name":"c","resources":{"requests":{` + requests + `}}}]}}`)
}

func TestParsePodsNamesWhatIsWrong(t *testing.T) {
	tests := map[string]struct{ pods, want string }{
		"Empty":           {``, "cannot be read as a PodList: malformed JSON in line 1"},
		"Malformed":       {podList(`{`), "malformed JSON in line 1"},
		"OtherList":       {`{"apiVersion":"v1","kind":"NodeList","items":[]}`, `kind is "NodeList": a PodList is expected`},
		"NoKind":          {`{"apiVersion":"v1","items":[]}`, `kind is "": a PodList is expected`},
		"OtherVersion":    {`{"apiVersion":"v2","kind":"PodList","items":[]}`, `apiVersion is "v2"`},
		"NoItems":         {`{"apiVersion":"v1","kind":"PodList"}`, `no items`},
		"Array":           {`[]`, "it is a JSON array: an object is expected"},
		"UnknownField":    {podList(`{"metadata":{"name":"x"},"spec":{"topologySpread":[]}}`), `items[0] "x": unknown field "spec.topologySpread"`},
		"NoName":          {podList(`{"metadata":{}}`), `items[0]: no metadata.name`},
		"OtherKind":       {`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Node","metadata":{"name":"n"}}]}`, `items[0] "n": Node of v1: a Pod of v1 is expected`},
		"NameTwice":       {podList(`{"metadata":{"name":"x"}},{"metadata":{"name":"x","namespace":"default"}}`), `items[1] "x": pod default/x is also items[0]`},
		"BadQuantity":     {requesting(`"cpu":"abc"`), `items[0] "x": requests of container c: cpu is "abc": a quantity`},
		"NegativeAmount":  {requesting(`"memory":"-1Gi"`), `requests of container c: memory is -1Gi: it cannot be negative`},
		"AlreadyBound":    {podList(`{"metadata":{"name":"x"},"spec":{"nodeName":"n"}}`), `spec.nodeName is "n"`},
		"AlreadyDone":     {podList(`{"metadata":{"name":"x"},"status":{"phase":"Succeeded"}}`), `status.phase is "Succeeded"`},
		"OfADaemonSet":    {podList(`{"metadata":{"name":"x","ownerReferences":[{"apiVersion":"apps/v1","kind":"DaemonSet","name":"d","uid":"u","controller":true}]}}`), `DaemonSet d controls the pod`},
		"SkewOfNothing":   {podList(`{"metadata":{"name":"x"},"spec":{"topologySpreadConstraints":[{"topologyKey":"k","whenUnsatisfiable":"DoNotSchedule"}]}}`), `maxSkew is 0`},
		"UnknownFallback": {podList(`{"metadata":{"name":"x"},"spec":{"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"k","whenUnsatisfiable":"Never"}]}}`), `whenUnsatisfiable is "Never"`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if pods, err := workload.ParsePods([]byte(tc.pods)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%d pods, error %v, want one with %q", len(pods), err, tc.want)
			}
		})
	}
}

func TestParseBoundsItsErrors(t *testing.T) {
	_, err := workload.ParsePods([]byte(podList(strings.Repeat(`{},`, 499) + `{}`)))
	if err == nil || !strings.HasSuffix(err.Error(), "\nand 490 more") || strings.Count(err.Error(), "\n") != 10 {
		t.Errorf("error %v, want ten mistakes and the number of the others", err)
	}
}

func TestReadNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	types, pods := filepath.Join(dir, "types.json"), filepath.Join(dir, "pods.json")
	for file, text := range map[string]string{types: "[" + goodType + "]", pods: `{"kind":"X"}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := workload.Read(types, pods); err == nil || !strings.Contains(err.Error(), "pods.json: kind") {
		t.Errorf("error %v, want one that names pods.json", err)
	}
	if _, err := workload.Read(filepath.Join(dir, "none.json"), pods); err == nil || !strings.Contains(err.Error(), "none.json") {
		t.Errorf("error %v, want one that names none.json", err)
	}
}

// What the API server fills in, a file may leave out.
func TestParsePodsFillsIn(t *testing.T) {
	pods, err := workload.ParsePods([]byte(`{"apiVersion":"v1","kind":"List","items":[{"metadata":{"name":"x"},"spec":{"containers":[{"name":"c",
		"resources":{"limits":{"cpu":"2","memory":"1Gi"},"requests":{"cpu":"1"}}}]}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	shape := scheduling.ShapeOf(pods[0], scheduling.PodContext{})
	want := scheduling.Resources{corev1.ResourceCPU: 1000, corev1.ResourceMemory: 1 << 30, corev1.ResourcePods: 1}
	for name, amount := range want {
		if shape.Requests[name] != amount {
			t.Errorf("%s: %d requested, want %d", name, shape.Requests[name], amount)
		}
	}
	if pods[0].Namespace != "default" {
		t.Errorf("namespace %q, want default", pods[0].Namespace)
	}
}
