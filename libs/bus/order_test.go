package bus_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"

	busv1 "github.com/vpsie/vpsie-autoscaler/api/gen/vpsie/bus/v1"
	"github.com/vpsie/vpsie-autoscaler/libs/bus"
)

// TestOrderAmongReplicas has three replicas compete and fail now and then: the messages of a
// NodeGroup are handled in order, never two at a time, and none twice after success.
func TestOrderAmongReplicas(t *testing.T) {
	const groups, each, replicas = 8, 25, 3
	for transport, open := range benches {
		t.Run(transport, func(t *testing.T) {
			b := open(t)
			var mu sync.Mutex
			busy, last, failed, total := map[string]bool{}, map[string]int{}, map[string]bool{}, 0
			handle := func(_ context.Context, m *busv1.LaunchDecision) error {
				group := m.GetNodeGroup()
				number, err := strconv.Atoi(m.GetDecisionId())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				if busy[group] {
					t.Errorf("two messages of %s are handled at a time", group)
				}
				busy[group] = true
				mu.Unlock()
				defer func() {
					mu.Lock()
					busy[group] = false
					mu.Unlock()
				}()
				mu.Lock()
				defer mu.Unlock()
				if number != last[group]+1 {
					t.Errorf("message %d of %s comes after %d", number, group, last[group])
				}
				if once := group + "/" + m.GetDecisionId(); number%7 == 0 && !failed[once] {
					failed[once] = true
					return errBusy
				}
				last[group] = number
				total++
				return nil
			}
			for range replicas {
				router := bus.NewRouter(b.open(t), discard)
				bus.On(router, readsLaunch, handle)
				start(t, router)
			}
			transport := b.open(t)
			for number := range each {
				for group := range groups {
					launch(t, transport, fmt.Sprintf("group-%d", group), strconv.Itoa(number+1))
				}
			}
			await(t, "all messages are handled", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return total == groups*each
			})
		})
	}
}
