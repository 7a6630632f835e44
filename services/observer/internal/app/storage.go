package app

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/vpsie/vpsie-autoscaler/libs/scheduling"
)

// storage is the claims, volumes and classes of the cluster, and the pods that use them.
type storage struct {
	claims  map[types.NamespacedName]*corev1.PersistentVolumeClaim
	volumes map[string]*corev1.PersistentVolume
	classes map[string]*storagev1.StorageClass
	// users are the pods of each claim, and claimsOf the claims that name a volume.
	users    index[types.NamespacedName, *podEntry]
	claimsOf index[string, types.NamespacedName]
}

var _ scheduling.Storage = (*storage)(nil)

func newStorage() *storage {
	return &storage{
		claims:  map[types.NamespacedName]*corev1.PersistentVolumeClaim{},
		volumes: map[string]*corev1.PersistentVolume{}, classes: map[string]*storagev1.StorageClass{},
		users: index[types.NamespacedName, *podEntry]{}, claimsOf: index[string, types.NamespacedName]{},
	}
}

func (s *storage) Claim(namespace, name string) *corev1.PersistentVolumeClaim {
	return s.claims[types.NamespacedName{Namespace: namespace, Name: name}]
}

func (s *storage) Volume(name string) *corev1.PersistentVolume { return s.volumes[name] }
func (s *storage) Class(name string) *storagev1.StorageClass   { return s.classes[name] }
func (s *storage) IsShared(namespace, name string) bool {
	return len(s.users[types.NamespacedName{Namespace: namespace, Name: name}]) > 1
}

// claimNames lists the claims that a pod uses.
func claimNames(pod *Pod) []types.NamespacedName {
	var names []types.NamespacedName
	for i := range *pod.volumes {
		volume := &(*pod.volumes)[i]
		if volume.PersistentVolumeClaim == nil && volume.Ephemeral == nil {
			continue
		}
		named := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
		names = append(names, types.NamespacedName{Namespace: pod.Namespace, Name: scheduling.ClaimOf(&named, volume)})
	}
	return names
}

// claim notes that a pod uses its claims. Whoever was alone with one of them shares it from now on.
func (l *Ledger) claim(entry *podEntry) {
	for _, name := range claimNames(entry.pod) {
		l.storage.users.add(name, entry)
		if users := l.storage.users[name]; len(users) == 2 {
			l.outdate(users)
		}
	}
}

// disclaim undoes claim.
func (l *Ledger) disclaim(entry *podEntry) {
	for _, name := range claimNames(entry.pod) {
		l.storage.users.remove(name, entry)
		if users := l.storage.users[name]; len(users) == 1 {
			l.outdate(users)
		}
	}
}

// SetClaim takes the newest version of a PersistentVolumeClaim.
func (l *Ledger) SetClaim(claim *corev1.PersistentVolumeClaim) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := types.NamespacedName{Namespace: claim.Namespace, Name: claim.Name}
	l.forgetClaim(name)
	l.storage.claims[name] = claim
	if claim.Spec.VolumeName != "" {
		l.storage.claimsOf.add(claim.Spec.VolumeName, name)
	}
	return l.settle()
}

// DeleteClaim forgets a PersistentVolumeClaim.
func (l *Ledger) DeleteClaim(namespace, name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgetClaim(types.NamespacedName{Namespace: namespace, Name: name})
	return l.settle()
}

func (l *Ledger) forgetClaim(name types.NamespacedName) {
	if old := l.storage.claims[name]; old != nil {
		l.storage.claimsOf.remove(old.Spec.VolumeName, name)
	}
	delete(l.storage.claims, name)
	l.outdate(l.storage.users[name])
}

// SetVolume takes the newest version of a PersistentVolume.
func (l *Ledger) SetVolume(volume *corev1.PersistentVolume) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.storage.volumes[volume.Name] = volume
	l.outdateVolume(volume.Name)
	return l.settle()
}

// DeleteVolume forgets a PersistentVolume.
func (l *Ledger) DeleteVolume(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.storage.volumes, name)
	l.outdateVolume(name)
	return l.settle()
}

func (l *Ledger) outdateVolume(name string) {
	for claim := range l.storage.claimsOf[name] {
		l.outdate(l.storage.users[claim])
	}
}

// SetClass takes the newest version of a StorageClass.
func (l *Ledger) SetClass(class *storagev1.StorageClass) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.storage.classes[class.Name] = class
	l.outdateUnbound()
	return l.settle()
}

// DeleteClass forgets a StorageClass.
func (l *Ledger) DeleteClass(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.storage.classes, name)
	l.outdateUnbound()
	return l.settle()
}

// outdateUnbound lets the pods of claims whose volume is not there be looked at again: what their class
// says of them has changed, and few claims wait at a time.
func (l *Ledger) outdateUnbound() {
	for name, users := range l.storage.users {
		if claim := l.storage.claims[name]; claim != nil && l.storage.volumes[claim.Spec.VolumeName] == nil {
			l.outdate(users)
		}
	}
}
