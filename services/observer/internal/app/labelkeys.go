package app

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// keyKeptFor is how long labels stay in shapes after the last selector that refers to their key is gone. A
// job that comes and goes would otherwise change the shapes of everything its selectors look at each time.
const keyKeptFor = 10 * time.Minute

// labelKeys are the keys of labels that some selector refers to. Shapes have these labels and no others.
type labelKeys struct {
	// references counts, for each key, the shapes in use whose selectors name it; zero is one of the past.
	references map[string]int
	// free says when it was first noticed that nothing refers to a key any longer.
	free map[string]time.Time
}

func newLabelKeys() labelKeys {
	return labelKeys{references: map[string]int{}, free: map[string]time.Time{}}
}

// has reports whether labels of a key belong to shapes.
func (k labelKeys) has(key string) bool {
	_, known := k.references[key]
	return known
}

// learn takes keys in and returns those that are new.
func (k labelKeys) learn(keys []string) []string {
	var fresh []string
	for _, key := range keys {
		if !k.has(key) {
			k.references[key] = 0
			fresh = append(fresh, key)
		}
	}
	return fresh
}

// refer counts a shape that names the keys in, or out with a negative number.
func (k labelKeys) refer(keys []string, by int) {
	for _, key := range keys {
		k.references[key] += by
	}
}

// expire forgets keys that nothing has referred to for long enough, and returns them.
func (k labelKeys) expire(now time.Time) []string {
	var expired []string
	for key, count := range k.references {
		since, free := k.free[key]
		switch {
		case count > 0:
			delete(k.free, key)
		case !free:
			k.free[key] = now
		case now.Sub(since) >= keyKeptFor:
			delete(k.references, key)
			delete(k.free, key)
			expired = append(expired, key)
		}
	}
	return expired
}

// keysOf lists the label keys that a shape's selectors of pods name.
func keysOf(s *scheduling.Shape) []string {
	var keys []string
	selector := func(s *metav1.LabelSelector) {
		if s == nil {
			return
		}
		for key := range s.MatchLabels {
			keys = append(keys, key)
		}
		for _, r := range s.MatchExpressions {
			keys = append(keys, r.Key)
		}
	}
	terms := func(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
		for i := range required {
			selector(required[i].LabelSelector)
		}
		for i := range preferred {
			selector(preferred[i].PodAffinityTerm.LabelSelector)
		}
	}
	if s.Affinity != nil && s.Affinity.PodAffinity != nil {
		terms(s.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, s.Affinity.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if s.Affinity != nil && s.Affinity.PodAntiAffinity != nil {
		terms(s.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, s.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	for i := range s.Spread {
		selector(s.Spread[i].LabelSelector)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
