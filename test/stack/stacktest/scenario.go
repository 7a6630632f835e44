package stacktest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/vpsie/vpsie-autoscaler/test/stack"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

const (
	// Patience is how long a condition may take on a busy machine. Each takes seconds on an idle one.
	Patience  = 3 * time.Minute
	pollEvery = 100 * time.Millisecond
	// nameCharsMax bounds a namespace's name, which ends up in label values with more around it.
	nameCharsMax = 32
)

// Scenario is one test's corner of the stack: a namespace, and what is launched from its start on.
// When the test ends everything in it is removed, and the simulated cloud's ledger must be clean.
type Scenario struct {
	*stack.Stack
	// Namespace is the test's own; its name is also the pool of package workload.
	Namespace string

	t      *testing.T
	before int // machines in the ledger when the test began
	// streams is how many streams of facts there had been then.
	streams int
	// records is how many decision records there had been then. Those of an earlier scenario are its own.
	records int
}

// New returns a corner of the stack that Main started.
func New(t *testing.T) *Scenario {
	t.Helper()
	if shared == nil {
		t.Fatal("the package's TestMain does not call stacktest.Main")
	}
	s := &Scenario{Stack: shared, Namespace: namespaceOf(t.Name()), t: t}
	s.before, s.streams, s.records = len(s.Truth().Machines), s.StreamsSeen(), len(s.Stack.Decisions())
	if err := s.Client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.Namespace}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context has ended.
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		if t.Failed() {
			s.explain(ctx)
		}
		s.clean(ctx)
	})
	return s
}

// namespaceOf makes a legal name of a test's, which no earlier run has used.
func namespaceOf(test string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, strings.ToLower(strings.TrimPrefix(test, "Test")))
	return fmt.Sprintf("%s-%04x", strings.Trim(name[:min(len(name), nameCharsMax)], "-"), rand.N(1<<16))
}

// Eventually polls until the condition holds. It fails the test when that takes too long or a
// process of the stack died; the condition's text says how far it was.
func (s *Scenario) Eventually(what string, condition func(ctx context.Context) (bool, string)) {
	s.t.Helper()
	s.Within(Patience, what, condition)
}

// Within is Eventually with another patience.
func (s *Scenario) Within(patience time.Duration, what string, condition func(ctx context.Context) (bool, string)) {
	s.t.Helper()
	if err := s.await(s.t.Context(), what, patience, condition); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Scenario) await(ctx context.Context, what string, patience time.Duration, condition func(ctx context.Context) (bool, string)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	var progress string
	for {
		ok, now := condition(ctx)
		if ok {
			return nil
		}
		if ctx.Err() == nil {
			progress = now
		}
		if err := s.Err(); err != nil {
			return fmt.Errorf("while waiting that %s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited that %s: %w (%s)", what, ctx.Err(), progress)
		case <-ticker.C:
		}
	}
}

// Create creates objects; those without a namespace that need one go into the test's.
func (s *Scenario) Create(objects ...client.Object) {
	s.t.Helper()
	for _, object := range objects {
		if object.GetNamespace() == "" {
			object.SetNamespace(s.Namespace)
		}
		if err := s.Client.Create(s.t.Context(), object); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Truth returns the simulated cloud's ledger.
func (s *Scenario) Truth() vpsiesim.Truth {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	truth, err := s.Sim.Truth(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	return truth
}

// Launched returns the machines that were asked of the simulated cloud since the test began,
// without those that it lost.
func (s *Scenario) Launched() []vpsiesim.Machine {
	s.t.Helper()
	var launched []vpsiesim.Machine
	for _, m := range s.Truth().Machines[s.before:] {
		if !m.Foreign && m.State != "lost" {
			launched = append(launched, m)
		}
	}
	return launched
}

// WantLaunched fails the test if another number of machines was launched since it began.
func (s *Scenario) WantLaunched(n int) {
	s.t.Helper()
	if launched := s.Launched(); len(launched) != n {
		s.t.Errorf("%d machines were launched, want %d", len(launched), n)
	}
}
