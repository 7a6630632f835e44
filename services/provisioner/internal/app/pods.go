package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

const (
	mirrorPod = "kubernetes.io/config.mirror"
	// deadPodAge is how long after its grace period a pod on a Node that is not Ready counts as ended.
	deadPodAge = time.Minute
)

// podsOn reads the pods that must leave before the machine may: not those that leave with their
// node, and not those that have ended.
func (r *Nodes) podsOn(ctx context.Context, node *corev1.Node) ([]*corev1.Pod, error) {
	return r.store.podsOn(ctx, node, r.clock.Now())
}

func (s *Store) podsOn(ctx context.Context, node *corev1.Node, now time.Time) ([]*corev1.Pod, error) {
	var list corev1.PodList
	if err := s.Live.List(ctx, &list, client.MatchingFields{"spec.nodeName": node.Name}); err != nil {
		return nil, fmt.Errorf("list pods of Node %q: %w", node.Name, err)
	}
	var pods []*corev1.Pod
	for i := range list.Items {
		pod := &list.Items[i]
		if leavesWithNode(pod) || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		// A kubelet that is gone ends no pod; what it was told to end long ago holds nobody up.
		if pod.DeletionTimestamp != nil && !isNodeReady(node) && now.Sub(pod.DeletionTimestamp.Time) > deadPodAge {
			continue
		}
		pods = append(pods, pod)
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) })
	return pods, nil
}

// leavesWithNode reports whether a pod belongs to its node and ends with it: the kubelet's own and those of DaemonSets.
func leavesWithNode(pod *corev1.Pod) bool {
	controller := ""
	if owner := metav1.GetControllerOf(pod); owner != nil {
		controller = owner.Kind
	}
	return pod.Annotations[mirrorPod] != "" || scheduling.IsDaemonPod(controller, pod.Annotations, pod.Labels)
}
