package sim

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

// cloudFaults are what goes wrong with VPSie (31 to 48).
func cloudFaults() []fault {
	spoil := func(name string, f vpsiesim.Fault) fault {
		return fault{name, func(w *world, _ *rand.Rand) func() { return w.cloud.spoil(name, f) }}
	}
	behave := func(name string, during map[string]any, after map[string]any) fault {
		return fault{name, func(w *world, _ *rand.Rand) func() {
			w.hit(name)
			w.cloud.set(during)
			return func() { w.cloud.set(after) }
		}}
	}
	return []fault{
		{"vpsie-down", func(w *world, _ *rand.Rand) func() {
			w.set(func() { w.down = true })
			return func() { w.set(func() { w.down = false }) }
		}},
		spoil("vpsie-reset", vpsiesim.Fault{Kind: vpsiesim.FaultReset, Probability: 0.5}),
		spoil("vpsie-429", vpsiesim.Fault{Kind: vpsiesim.FaultStatus429, RetryAfterSeconds: 20, Probability: 0.8}),
		spoil("vpsie-500", vpsiesim.Fault{Kind: vpsiesim.FaultStatus500, Probability: 0.3}),
		spoil("vpsie-500-after-success", vpsiesim.Fault{Kind: vpsiesim.FaultStatus500, Process: true, Probability: 0.3}),
		spoil("vpsie-timeout", vpsiesim.Fault{Kind: vpsiesim.FaultTimeout, Probability: 0.3}),
		spoil("vpsie-timeout-after-success", vpsiesim.Fault{Kind: vpsiesim.FaultTimeout, Process: true, Probability: 0.3}),
		spoil("vpsie-lost-reply", vpsiesim.Fault{Kind: vpsiesim.FaultLostReply, Probability: 0.3}),
		spoil("vpsie-lost-launch", vpsiesim.Fault{Kind: vpsiesim.FaultLostReply, Path: "/apps/v2/k8s/cluster/**", Method: "POST", Probability: 0.7}),
		spoil("vpsie-lost-deletion", vpsiesim.Fault{Kind: vpsiesim.FaultLostReply, Method: "DELETE", Probability: 0.7}),
		spoil("vpsie-error200", vpsiesim.Fault{Kind: vpsiesim.FaultError200, Probability: 0.3}),
		spoil("vpsie-error200-after-success", vpsiesim.Fault{Kind: vpsiesim.FaultError200, Process: true, Message: "Internal Server Error", Probability: 0.3}),
		spoil("vpsie-html502", vpsiesim.Fault{Kind: vpsiesim.FaultHTML502, Probability: 0.4}),
		spoil("vpsie-malformed", vpsiesim.Fault{Kind: vpsiesim.FaultMalformed, Probability: 0.4}),
		spoil("vpsie-huge", vpsiesim.Fault{Kind: vpsiesim.FaultHugeBody, Probability: 0.2, Count: 4}),
		spoil("offers-fail", vpsiesim.Fault{Kind: vpsiesim.FaultStatus500, Endpoint: "*", Path: "/apps/v2/k8s/offers"}),
		{"vpsie-slow", func(w *world, _ *rand.Rand) func() {
			w.hit("vpsie-slow")
			w.cloud.set(map[string]any{"latency": "8s", "latencyJitter": "30s"})
			return func() { w.cloud.set(map[string]any{"latency": "50ms", "latencyJitter": "100ms"}) }
		}},
		{"list-lags", func(w *world, dice *rand.Rand) func() {
			w.hit("list-lags")
			w.cloud.set(map[string]any{"listLag": between(dice, 10*time.Second, 10*time.Minute).String()})
			return func() { w.cloud.set(map[string]any{"listLag": "0s"}) }
		}},
		behave("list-partial", map[string]any{"listHides": 40}, map[string]any{"listHides": 0}),
		behave("list-empty", map[string]any{"listHides": 100}, map[string]any{"listHides": 0}),
		{"sold-out", func(w *world, dice *rand.Rand) func() {
			w.hit("sold-out")
			w.cloud.set(map[string]any{"soldOut": w.plan.someOffers(dice)})
			return func() { w.cloud.set(map[string]any{"soldOut": []string{}}) }
		}},
		{"sold-out-silently", func(w *world, dice *rand.Rand) func() {
			w.hit("sold-out-silently")
			w.cloud.set(map[string]any{"soldOut": w.plan.someOffers(dice), "capacityExhaustion": "vanish"})
			return func() { w.cloud.set(map[string]any{"soldOut": []string{}, "capacityExhaustion": "refused"}) }
		}},
		behave("worker-cap", map[string]any{"workerCap": 2}, map[string]any{"workerCap": workerCap}),
		behave("add-vanishes", map[string]any{"nodeAppears": "never"}, map[string]any{"nodeAppears": "once"}),
		behave("add-twice", map[string]any{"nodeAppears": "twice"}, map[string]any{"nodeAppears": "once"}),
		{"listed-late", func(w *world, dice *rand.Rand) func() {
			w.hit("listed-late")
			w.cloud.set(map[string]any{"listDelay": between(dice, 2*time.Minute, 40*time.Minute).String()})
			return func() { w.cloud.set(map[string]any{"listDelay": time.Duration(w.plan.switches.ListDelay).String()}) }
		}},
		behave("deletion-stuck", map[string]any{"deleteDelay": "1h"}, map[string]any{"deleteDelay": "10s"}),
		behave("identifiers-missing", map[string]any{"nodeFields": "noIdentifier"}, map[string]any{"nodeFields": "union"}),
		{"price-changes", func(w *world, _ *rand.Rand) func() {
			w.hit("price-changes")
			w.cloud.sim.Model().ScalePrices(1000)
			return func() { w.cloud.sim.Model().ScalePrices(100) }
		}},
		{"offers-removed", func(w *world, dice *rand.Rand) func() {
			w.hit("offers-removed")
			w.cloud.sim.Model().HideOffers(w.plan.someOfferIDs(dice))
			return func() { w.cloud.sim.Model().HideOffers(nil) }
		}},
		{"token-revoked", func(w *world, _ *rand.Rand) func() {
			w.hit("token-revoked")
			w.cloud.admin("POST", "token", map[string]any{"revoke": true})
			return func() { w.cloud.admin("POST", "token", map[string]any{"token": w.token}) }
		}},
		{"token-rotated", func(w *world, dice *rand.Rand) func() {
			return w.repeat(dice, time.Minute, 3*time.Minute, func() {
				w.hit("token-rotated")
				w.token = "vpsiesim-token-" + time.Now().Format("150405")
				w.cloud.admin("POST", "token", map[string]any{"token": w.token})
				time.Sleep(between(dice, time.Second, 30*time.Second))
				w.must(os.WriteFile(filepath.Join(w.folder, "token"), []byte(w.token), 0o600))
			})
		}},
		{"person-adds-machine", func(w *world, dice *rand.Rand) func() {
			return w.repeat(dice, time.Minute, 5*time.Minute, func() {
				w.hit("person-adds-machine")
				_, err := w.cloud.sim.Model().SeedMachines(vpsiesim.SeedRequest{Cluster: vpsiesim.DefaultCluster, SizeID: foreignSize, Count: 1})
				w.must(err)
			})
		}},
	}
}

// spoil makes calls go wrong until the returned function is called.
func (c *cloud) spoil(name string, f vpsiesim.Fault) func() {
	id, err := c.sim.Model().AddFault(f)
	c.world.must(err)
	return func() {
		hits := c.sim.Model().RemoveFault(id)
		c.world.set(func() { c.spoiled[name] += hits })
	}
}
