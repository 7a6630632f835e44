package brake_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/vpsie/vpsie-autoscaler/libs/brake"
	"github.com/vpsie/vpsie-autoscaler/libs/kube"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func TestParse(t *testing.T) {
	tests := map[string]struct {
		why    string
		data   map[string]string
		paused bool
		says   string
	}{
		"PresenceIsEnough": {data: map[string]string{}, paused: true, says: "delete the ConfigMap"},
		"ReasonIsShown":    {data: map[string]string{"reason": "etcd is being restored"}, paused: true, says: "(etcd is being restored)"},
		"LongReasonIsCut":  {data: map[string]string{"reason": strings.Repeat("é", 500)}, paused: true, says: strings.Repeat("é", 256) + "…)"},
		"EndIsAhead":       {data: map[string]string{"until": "2026-11-01T12:00:01Z"}, paused: true, says: "until 2026-11-01T12:00:01Z"},
		"EndIsNow":         {data: map[string]string{"until": "2026-11-01T12:00:00Z"}},
		"EndInAnotherZone": {data: map[string]string{"until": "2026-11-01T13:30:00+01:00"}, paused: true, says: "until 2026-11-01T12:30:00Z"},
		"EndThatIsNoTime": {
			why: "unknown must not let machines be deleted", data: map[string]string{"until": "tomorrow"}, paused: true, says: "no end",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := brake.Parse(tc.data, noon)
			if got.Paused != tc.paused || !strings.Contains(got.Message, tc.says) {
				t.Errorf("Parse = %+v, want paused %v and to say %q (%s)", got, tc.paused, tc.says, tc.why)
			}
		})
	}
}

// switchable is a Kubernetes whose answers can fail, and that counts questions.
type switchable struct {
	client.Client
	err   error
	asked int
}

func newSwitchable(t *testing.T) *switchable {
	t.Helper()
	scheme, err := kube.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	s := &switchable{}
	s.Client = fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			s.asked++
			if s.err != nil {
				return s.err
			}
			return c.Get(ctx, key, o, opts...)
		},
	}).Build()
	return s
}

func pause() *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ours", Name: brake.ConfigMapName}}
}

func TestSwitchIsSeenWithinASecond(t *testing.T) {
	kubernetes, clock := newSwitchable(t), clocktesting.NewFakeClock(noon)
	b := brake.New(kubernetes, "ours", clock)
	paused := func(after time.Duration) bool {
		t.Helper()
		clock.Step(after)
		state, err := b.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return state.Paused
	}
	if paused(0) {
		t.Error("paused without a ConfigMap")
	}
	if err := kubernetes.Create(t.Context(), pause()); err != nil {
		t.Fatal(err)
	}
	if !paused(time.Second) {
		t.Error("not paused a second after the ConfigMap came")
	}
	for range 100 {
		paused(time.Millisecond)
	}
	if kubernetes.asked != 2 {
		t.Errorf("Kubernetes was asked %d times, want the answer to be remembered for a second", kubernetes.asked)
	}
	if err := kubernetes.Delete(t.Context(), pause()); err != nil {
		t.Fatal(err)
	}
	if paused(time.Second) {
		t.Error("paused a second after the ConfigMap went")
	}
}

func TestPauseEndsByItselfBetweenReads(t *testing.T) {
	kubernetes, clock := newSwitchable(t), clocktesting.NewFakeClock(noon)
	object := pause()
	object.Data = map[string]string{brake.KeyUntil: noon.Add(time.Hour).Format(time.RFC3339)}
	if err := kubernetes.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	b := brake.New(kubernetes, "ours", clock)
	if state, err := b.State(t.Context()); err != nil || !state.Paused {
		t.Fatalf("state %+v, %v; want a pause", state, err)
	}
	clock.Step(time.Hour)
	if state, err := b.State(t.Context()); err != nil || state.Paused {
		t.Errorf("state %+v, %v; want the pause to be over", state, err)
	}
}

func TestUnreadableIsUnknown(t *testing.T) {
	kubernetes, clock := newSwitchable(t), clocktesting.NewFakeClock(noon)
	b := brake.New(kubernetes, "ours", clock)
	kubernetes.err = errors.New("connection refused")
	for range 2 {
		if _, err := b.State(t.Context()); err == nil {
			t.Fatal("no error while Kubernetes does not answer; nobody knows whether a pause is on")
		}
	}
	kubernetes.err = nil
	if state, err := b.State(t.Context()); err != nil || state.Paused {
		t.Errorf("state %+v, %v once Kubernetes answers", state, err)
	}
}
