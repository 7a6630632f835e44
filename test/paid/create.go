package paid

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// creators is how many pods are created at a time: a thousand take about a second and a half.
const creators = 8

// create makes the pods, at once or evenly over a time, and returns when the first was asked for and the last was there.
func create(ctx context.Context, client kubernetes.Interface, pods []*corev1.Pod, over time.Duration) (first, last time.Time, err error) {
	var work errgroup.Group
	work.SetLimit(creators)
	first = time.Now()
	for i, pod := range pods {
		if over > 0 {
			at := first.Add(over * time.Duration(i) / time.Duration(len(pods)))
			select {
			case <-ctx.Done():
				return first, time.Now(), ctx.Err()
			case <-time.After(time.Until(at)):
			}
		}
		work.Go(func() error {
			bare := pod.DeepCopy()
			// Controllers that do not exist would have their pods collected as garbage.
			bare.OwnerReferences, bare.UID, bare.Status = nil, "", corev1.PodStatus{}
			if _, err := client.CoreV1().Pods(pod.Namespace).Create(ctx, bare, metav1.CreateOptions{}); err != nil {
				return fmt.Errorf("create pod %s: %w", pod.Name, err)
			}
			return nil
		})
	}
	err = work.Wait()
	return first, time.Now(), err
}
