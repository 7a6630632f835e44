package kube

import (
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/app"
)

// Forget tells a ledger of a pod's deletion as an informer does.
func Forget(l *app.Ledger, log *slog.Logger, object any) {
	for _, k := range kinds(l, clock.RealClock{}) {
		if _, pods := k.object.(*corev1.Pod); pods {
			k.handler(log).OnDelete(object)
		}
	}
}
