package workload

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/json"
)

// Read reads a workload from a file of types and one of pods.
func Read(typesFile, podsFile string) (Workload, error) {
	types, err := readFile(typesFile, ParseTypes)
	if err != nil {
		return Workload{}, fmt.Errorf("read machine types: %w", err)
	}
	pods, err := readFile(podsFile, ParsePods)
	if err != nil {
		return Workload{}, fmt.Errorf("read pods: %w", err)
	}
	return Workload{Types: types, Pods: pods}, nil
}

func readFile[T any](file string, parse func([]byte) (T, error)) (T, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		var none T
		return none, err
	}
	out, err := parse(data)
	if err != nil {
		return out, fmt.Errorf("%s: %w", file, err)
	}
	return out, nil
}

// ParseTypes reads an array of types. Names of fields and their spelling are checked, and so is what they say; the
// error names every entry that is wrong, up to ten.
func ParseTypes(data []byte) ([]Type, error) {
	var entries []stdjson.RawMessage
	if err := decode(data, &entries); err != nil {
		return nil, fmt.Errorf("cannot be read as an array of machine types: %w", err)
	}
	if len(entries) == 0 {
		return nil, errors.New("no machine types: the array must have at least one")
	}
	var found problems
	types := make([]Type, len(entries))
	seen := map[string]int{}
	for i, entry := range entries {
		where := func() string { return place("types", i, entry, "name") }
		wire := typeWire{Type: Type{Arch: archDefault}}
		if err := decode(entry, &wire); err != nil {
			found.add(where, explainQuantities(entry, err).Error())
			continue
		}
		wire.check(func(format string, args ...any) { found.add(where, fmt.Sprintf(format, args...)) })
		types[i] = wire.complete()
		if first, twice := seen[types[i].Name]; twice && types[i].Name != "" {
			found.add(where, fmt.Sprintf("name %q is also that of types[%d]: each type needs a name of its own", types[i].Name, first))
		} else {
			seen[types[i].Name] = i
		}
	}
	return types, found.err()
}

// ParsePods reads a PodList, or a List of nothing but pods, of pods that wait. As the API server does, it puts pods without a
// namespace into default and lets limits stand for requests that are missing. The error names every
// entry that is wrong, up to ten.
func ParsePods(data []byte) ([]*corev1.Pod, error) {
	var list struct {
		APIVersion string                `json:"apiVersion"`
		Kind       string                `json:"kind"`
		Metadata   stdjson.RawMessage    `json:"metadata"`
		Items      *[]stdjson.RawMessage `json:"items"`
	}
	if err := decode(data, &list); err != nil {
		return nil, fmt.Errorf("cannot be read as a PodList: %w", err)
	}
	switch {
	case list.Kind != "PodList" && list.Kind != "List":
		return nil, fmt.Errorf("kind is %q: a PodList is expected", list.Kind)
	case list.APIVersion != "v1":
		return nil, fmt.Errorf("apiVersion is %q: a PodList has v1", list.APIVersion)
	case list.Items == nil:
		return nil, errors.New("no items: a PodList needs them, be it an empty array")
	}
	var found problems
	pods := make([]*corev1.Pod, 0, len(*list.Items))
	seen := map[string]int{}
	for i, entry := range *list.Items {
		where := func() string { return place("items", i, entry, "metadata", "name") }
		pod := &corev1.Pod{}
		if err := decode(entry, pod); err != nil {
			found.add(where, explainQuantities(entry, err).Error())
			continue
		}
		checkPod(pod, func(format string, args ...any) { found.add(where, fmt.Sprintf(format, args...)) })
		complete(pod)
		key := pod.Namespace + "/" + pod.Name
		if first, twice := seen[key]; twice && pod.Name != "" {
			found.add(where, fmt.Sprintf("pod %s is also items[%d]: a namespace has one pod of a name", key, first))
		} else {
			seen[key] = i
		}
		pods = append(pods, pod)
	}
	return pods, found.err()
}

// decode reads JSON strictly: fields are spelt as declared, known, and there once.
func decode(data []byte, into any) error {
	wrong, err := json.UnmarshalStrict(data, into)
	if err != nil {
		return explainJSON(data, err)
	}
	return errors.Join(wrong...)
}
