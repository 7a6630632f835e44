package kube

import (
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/app"
)

// Set tells a ledger of a pod as the informer keeps it.
func Set(l *app.Ledger, object any) error {
	for _, k := range kinds(l, clock.RealClock{}) {
		if _, pods := k.object.(*corev1.Pod); pods {
			return k.set(object)
		}
	}
	return nil
}

// Forget tells a ledger of a pod's deletion as an informer does.
func Forget(l *app.Ledger, log *slog.Logger, object any) {
	for _, k := range kinds(l, clock.RealClock{}) {
		if _, pods := k.object.(*corev1.Pod); pods {
			k.handler(log).OnDelete(object)
		}
	}
}
