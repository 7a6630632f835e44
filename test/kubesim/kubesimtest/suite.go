// Package kubesimtest holds what an API server must do for the clients of this repository. The suite
// runs against package kubesim and against a real kube-apiserver; a difference is a fault of the former.
package kubesimtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/libs/kube"
)

// NamespacePrefix begins the name of every namespace that the suite makes, and leaves to be deleted.
const NamespacePrefix = "conformance-"

// patience is how long something may take that another process does.
const patience = time.Minute

// Subject is an API server under test, in which our definitions are installed and nobody else acts on
// NodeGroups and VPSieNodes.
type Subject struct {
	// Config reaches it with all rights.
	Config *rest.Config
	// Compact makes it forget the history that it can be made to forget.
	Compact func()
	// CountBudget returns when the status of a budget allows that many disruptions, or fails the test.
	CountBudget func(t *testing.T, budget *policyv1.PodDisruptionBudget, allowed int32)
}

// Conformance runs the suite, one case after the other.
func Conformance(t *testing.T, s Subject) {
	scheme, err := kube.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	s.Config = rest.CopyConfig(s.Config)
	s.Config.WarningHandler = rest.NoWarnings{}
	c, err := client.NewWithWatch(s.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	for name, check := range cases() {
		t.Run(name, func(t *testing.T) { check(newKit(t, s, c, scheme)) })
	}
}

// cases are all promises by name.
func cases() map[string]func(*kit) {
	all := map[string]func(*kit){}
	for _, group := range []map[string]func(*kit){
		readingCases(), watchingCases(), writingCases(), patchingCases(), deletingCases(), podCases(), evictionCases(), nodeCases(), customCases(), clientCases(),
	} {
		for name, check := range group {
			if all[name] != nil {
				panic("two cases are called " + name)
			}
			all[name] = check
		}
	}
	return all
}

// kit is what a case works with: a namespace of its own.
type kit struct {
	*testing.T
	Subject
	client.WithWatch

	ctx    context.Context // a kit lives as long as its test
	scheme *runtime.Scheme
	ns     string
}

func newKit(t *testing.T, s Subject, c client.WithWatch, scheme *runtime.Scheme) *kit {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: NamespacePrefix}}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// No kubelet ends the pods.
		err := c.DeleteAllOf(context.Background(), &corev1.Pod{}, client.InNamespace(ns.Name), client.GracePeriodSeconds(0))
		if err := errors.Join(err, c.Delete(context.Background(), ns)); err != nil {
			t.Error(err)
		}
	})
	return &kit{T: t, Subject: s, WithWatch: c, ctx: t.Context(), scheme: scheme, ns: ns.Name}
}

// must fails the test on an error.
func (k *kit) must(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

// make creates an object in the case's namespace if it needs one.
func (k *kit) make(objects ...client.Object) {
	k.Helper()
	for _, o := range objects {
		k.must(k.tryMake(o))
	}
}

// tryMake creates an object. A new namespace takes a moment until it has the account that pods need.
func (k *kit) tryMake(o client.Object) error {
	if namespaced, err := k.IsObjectNamespaced(o); err != nil {
		return err
	} else if namespaced && o.GetNamespace() == "" {
		o.SetNamespace(k.ns)
	}
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := k.Create(k.ctx, o)
		_, pod := o.(*corev1.Pod)
		if !pod || !apierrors.IsForbidden(err) || time.Since(began) > patience {
			return err
		}
	}
}

// read brings an object up to date.
func (k *kit) read(o client.Object) {
	k.Helper()
	k.must(k.Get(k.ctx, client.ObjectKeyFromObject(o), o))
}

// eventually polls for what another process does.
func (k *kit) eventually(what string, done func() bool) {
	k.Helper()
	for began := time.Now(); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > patience {
			k.Fatalf("waited in vain that %s", what)
		}
	}
}

// refused fails the test unless an error has the reason, and the code that goes with it.
func (k *kit) refused(err error, reason metav1.StatusReason, code int32, fields ...string) {
	k.Helper()
	refusal, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		k.Fatalf("the error is %v, want a refusal for reason %q", err, reason)
	}
	got := refusal.ErrStatus
	if got.Reason != reason || got.Code != code {
		k.Errorf("refused for reason %q with code %d, want %q and %d: %v", got.Reason, got.Code, reason, code, err)
	}
	var named []string
	if got.Details != nil {
		for _, cause := range got.Details.Causes {
			named = append(named, fmt.Sprintf("%s %s", cause.Type, cause.Field))
		}
	}
	slices.Sort(named)
	named = slices.Compact(named)
	if fields != nil && !slices.Equal(named, fields) {
		k.Errorf("the causes are %q, want %q: %v", named, fields, err)
	}
}

// configMap is an object that nobody else looks at.
func configMap(name string, labels map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Data: map[string]string{"key": "value"}}
}

// unscheduled is a pod that no scheduler looks at.
func unscheduled(name string, labels map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: corev1.PodSpec{
			SchedulerName: "nobody", AutomountServiceAccountToken: new(false),
			Containers: []corev1.Container{{Name: "main", Image: "none"}},
		},
	}
}

// merge is a merge patch as it is written.
func merge(text string) client.Patch {
	return client.RawPatch("application/merge-patch+json", []byte(text))
}
