package app

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// rolloutMax is how long after a ReplicaSet's size changed its missing pods count as arriving;
// longer means that something, such as a quota, keeps them from being made.
const rolloutMax = 5 * time.Second

// How far apart kube-scheduler lets the nodes and zones of pods that ask for no spread drift.
const (
	defaultHostSkew = 3
	defaultZoneSkew = 5
)

// rollout is how many pods a ReplicaSet wants, and since when.
type rollout struct {
	replicas int
	since    time.Time
}

// ownerSpread is how the pods of a controller are spread unless they ask for something else.
type ownerSpread struct {
	selector    *metav1.LabelSelector
	constraints []corev1.TopologySpreadConstraint
}

// SetReplicaSet takes the newest version of a ReplicaSet, as seen at now.
func (l *Ledger) SetReplicaSet(set *appsv1.ReplicaSet, now time.Time) error {
	replicas := 1
	if set.Spec.Replicas != nil {
		replicas = int(*set.Spec.Replicas)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch old, known := l.rollouts[set.UID]; {
	case known && old.replicas == replicas:
	case replicas == 0:
		delete(l.rollouts, set.UID) // most ReplicaSets are the past of a Deployment
	default:
		l.rollouts[set.UID] = rollout{replicas: replicas, since: now}
		l.touch()
	}
	l.spread(set.UID, set.Spec.Selector)
	return l.settle()
}

// DeleteReplicaSet forgets a ReplicaSet.
func (l *Ledger) DeleteReplicaSet(uid types.UID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.rollouts, uid)
	l.spread(uid, nil)
	return l.settle()
}

// SetStatefulSet takes the newest version of a StatefulSet.
func (l *Ledger) SetStatefulSet(set *appsv1.StatefulSet) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spread(set.UID, set.Spec.Selector)
	return l.settle()
}

// DeleteStatefulSet forgets a StatefulSet.
func (l *Ledger) DeleteStatefulSet(uid types.UID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spread(uid, nil)
	return l.settle()
}

// spread notes by which selector the pods of a controller are spread, nil for none.
func (l *Ledger) spread(owner types.UID, selector *metav1.LabelSelector) {
	if !l.config.DefaultSpread {
		return
	}
	if selector != nil && len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 {
		selector = nil
	}
	if equality.Semantic.DeepEqual(l.spreads[owner].selector, selector) {
		return
	}
	if selector == nil {
		delete(l.spreads, owner)
	} else {
		l.spreads[owner] = ownerSpread{selector: selector, constraints: defaultSpread(selector)}
	}
	l.outdate(l.owned[owner])
}

// defaultSpread is kube-scheduler's "System" default: a wish, which never keeps a pod from a node.
func defaultSpread(selector *metav1.LabelSelector) []corev1.TopologySpreadConstraint {
	return []corev1.TopologySpreadConstraint{
		{MaxSkew: defaultHostSkew, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: selector},
		{MaxSkew: defaultZoneSkew, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: selector},
	}
}

func (l *Ledger) defaultSpreadOf(pod *Pod) []corev1.TopologySpreadConstraint {
	return l.spreads[pod.ownerUID()].constraints
}
