package app_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	feedv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/feed/v1"
	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/services/observer/internal/app"
)

const driver = "csi.vpsie.com"

func claims(name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name},
		}})
	}
}

func claim(name, volume string, modes ...corev1.PersistentVolumeAccessMode) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: volume, StorageClassName: new("fast"), AccessModes: modes},
	}
	if volume != "" {
		c.Annotations = map[string]string{"pv.kubernetes.io/bind-completed": "yes"}
	}
	return c
}

func volume(name, zone string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelTopologyZone: zone}},
		Spec: corev1.PersistentVolumeSpec{PersistentVolumeSource: corev1.PersistentVolumeSource{
			CSI: &corev1.CSIPersistentVolumeSource{Driver: driver, VolumeHandle: "handle-" + name},
		}},
	}
}

func class(mode storagev1.VolumeBindingMode) *storagev1.StorageClass {
	return &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Provisioner: driver, VolumeBindingMode: &mode}
}

// seen is what a shape says of volumes.
type seen struct {
	Volumes  []seenVolume
	Unjudged string
}

type seenVolume struct {
	Driver, Handle, Zone string
	Exclusive            bool
}

func see(t *testing.T, s *feedv1.Shape) seen {
	t.Helper()
	if s == nil {
		t.Fatal("there is no such shape")
	}
	out := seen{Unjudged: s.GetUnjudgedBecause()}
	if s.GetUnjudged() != "" {
		if s.GetUnjudged() != string(reason.NoScaleUpVolume) || out.Unjudged == "" {
			t.Errorf("unjudged %q because %q, want a volume and a sentence", s.GetUnjudged(), out.Unjudged)
		}
		return out // what volumes such a pod attaches all the same is not this test's concern
	}
	for _, v := range s.GetVolumes() {
		sv := seenVolume{Driver: v.GetDriver(), Handle: v.GetHandle(), Exclusive: v.GetExclusive()}
		var topology corev1.NodeSelector
		must(t, topology.Unmarshal(v.GetTopology()))
		if len(topology.NodeSelectorTerms) > 0 { // a last term admits nodes that name no zone
			sv.Zone = topology.NodeSelectorTerms[0].MatchExpressions[0].Values[0]
		}
		out.Volumes = append(out.Volumes, sv)
	}
	return out
}

// TestVolumesFollowTheirClaims walks one pod of 100m and, later, another of 200m through the life of a claim.
func TestVolumesFollowTheirClaims(t *testing.T) {
	unknown := func(what string) seen { return seen{Unjudged: "PersistentVolumeClaim data " + what} }
	const noVolume = "names a PersistentVolume that does not exist"
	const noClass = "has no volume, and its StorageClass fast does not exist; create the class or a volume"
	steps := []struct {
		what  string
		do    func(l *app.Ledger) error
		first seen
		other *seen
	}{
		{what: "the claim is not there yet", do: func(l *app.Ledger) error { return l.SetPod(pod("a", claims("data"))) }, first: unknown("does not exist; create it")},
		{what: "its class is not there yet", do: func(l *app.Ledger) error { return l.SetClaim(claim("data", "")) }, first: unknown(noClass)},
		{
			what: "the volume is made where the pod goes", do: func(l *app.Ledger) error { return l.SetClass(class(storagev1.VolumeBindingWaitForFirstConsumer)) },
			first: seen{Volumes: []seenVolume{{Driver: driver}}},
		},
		{what: "the volume is made before the pod", do: func(l *app.Ledger) error { return l.SetClass(class(storagev1.VolumeBindingImmediate)) }, first: unknown("waits for a volume that StorageClass fast does not create for the pod's node")},
		{what: "the volume is not there yet", do: func(l *app.Ledger) error { return l.SetClaim(claim("data", "pv")) }, first: unknown(noVolume)},
		{
			what: "the volume is in a zone", do: func(l *app.Ledger) error { return l.SetVolume(volume("pv", "a")) },
			first: seen{Volumes: []seenVolume{{Driver: driver, Zone: "a"}}},
		},
		{
			what: "the volume moves", do: func(l *app.Ledger) error { return l.SetVolume(volume("pv", "b")) },
			first: seen{Volumes: []seenVolume{{Driver: driver, Zone: "b"}}},
		},
		{
			what: "another pod comes", do: func(l *app.Ledger) error { return l.SetPod(pod("b", asks("200m"), claims("data"))) },
			first: seen{Volumes: []seenVolume{{Driver: driver, Zone: "b", Handle: "handle-pv"}}},
			other: &seen{Volumes: []seenVolume{{Driver: driver, Zone: "b", Handle: "handle-pv"}}},
		},
		{
			what: "only one pod may use the claim", do: func(l *app.Ledger) error { return l.SetClaim(claim("data", "pv", corev1.ReadWriteOncePod)) },
			first: seen{Volumes: []seenVolume{{Driver: driver, Zone: "b", Handle: "handle-pv", Exclusive: true}}},
			other: &seen{Volumes: []seenVolume{{Driver: driver, Zone: "b", Handle: "handle-pv", Exclusive: true}}},
		},
		{
			what: "the other pod is finished", do: func(l *app.Ledger) error {
				return l.SetPod(pod("b", asks("200m"), claims("data"), func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }))
			},
			first: seen{Volumes: []seenVolume{{Driver: driver, Zone: "b"}}},
		},
		{what: "the volume is gone", do: func(l *app.Ledger) error { return l.DeleteVolume("pv") }, first: unknown(noVolume)},
		{
			what: "the volume is back", do: func(l *app.Ledger) error { return l.SetVolume(volume("pv", "c")) },
			first: seen{Volumes: []seenVolume{{Driver: driver, Zone: "c"}}},
		},
		{what: "the claim is gone", do: func(l *app.Ledger) error { return l.DeleteClaim("default", "data") }, first: unknown("does not exist; create it")},
		{what: "the claim is new", do: func(l *app.Ledger) error { return l.SetClaim(claim("data", "")) }, first: unknown("waits for a volume that StorageClass fast does not create for the pod's node")},
		{
			what: "and its class waits again", do: func(l *app.Ledger) error { return l.SetClass(class(storagev1.VolumeBindingWaitForFirstConsumer)) },
			first: seen{Volumes: []seenVolume{{Driver: driver}}},
		},
		{what: "its class is gone", do: func(l *app.Ledger) error { return l.DeleteClass("fast") }, first: unknown(noClass)},
	}
	l := ledgerOf(t)
	for _, step := range steps {
		must(t, step.do(l))
		all := shapes(t, l)
		if diff := cmp.Diff(step.first, see(t, all[100]), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.what, diff)
		}
		if step.other == nil {
			if all[200] != nil {
				t.Errorf("%s: there is another pod", step.what)
			}
			continue
		}
		if diff := cmp.Diff(*step.other, see(t, all[200]), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s, the other pod (-want +got):\n%s", step.what, diff)
		}
	}
}

func TestEphemeralVolumesHaveClaims(t *testing.T) {
	l := ledgerOf(t, pod("a", func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}}
	}))
	must(t, l.SetVolume(volume("pv", "a")))
	own := claim("a-scratch", "pv")
	own.OwnerReferences = []metav1.OwnerReference{{Kind: "Pod", Name: "a", UID: "a", Controller: new(true)}}
	must(t, l.SetClaim(own))
	// VolumeZone does not look at volumes that are a pod's own.
	if diff := cmp.Diff(seen{Volumes: []seenVolume{{Driver: driver}}}, see(t, shapes(t, l)[100])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTemplateMayChangeItsClaims has a DaemonSet, whose template is the only thing with claims that change.
func TestTemplateMayChangeItsClaims(t *testing.T) {
	l := ledgerOf(t)
	must(t, l.SetVolume(volume("pv", "a")))
	must(t, l.SetVolume(volume("pv2", "a")))
	set := daemonSet("agent")
	must(t, l.SetDaemonSet(set))
	set = set.DeepCopy()
	set.Spec.Template.Spec.Volumes = pod("x", claims("data")).Spec.Volumes
	must(t, l.SetDaemonSet(set))
	must(t, l.SetClaim(claim("data", "pv")))
	if diff := cmp.Diff(seen{Volumes: []seenVolume{{Driver: driver, Zone: "a"}}}, see(t, shapes(t, l)[100])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPodsOfASetSayTheSameOfTheirClaims keeps a StatefulSet whose claims are missing from making a shape of each pod.
func TestPodsOfASetSayTheSameOfTheirClaims(t *testing.T) {
	data := func(claim string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { claims(claim)(p); p.Spec.Volumes[0].Name = "data" }
	}
	l := ledgerOf(t, pod("web-0", data("data-web-0")), pod("web-1", data("data-web-1")))
	all := shapes(t, l)
	want := "the PersistentVolumeClaim of the pod's volume data does not exist; create it"
	if len(all) != 1 || all[100].GetUnjudgedBecause() != want {
		t.Errorf("shapes %v, want one that says that %s", all, want)
	}
}
