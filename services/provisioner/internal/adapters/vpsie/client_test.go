package vpsie_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/adapters/vpsie"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
	"github.com/vpsie/vpsie-autoscaler/test/vpsiesim"
)

const (
	patience     = 30 * time.Second
	breakerDelay = time.Second
)

// cloud is a simulated VPSie and a client of it.
type cloud struct {
	sim    *vpsiesim.Sim
	admin  *vpsiesim.AdminClient
	client *vpsie.Client
	config vpsie.Config
}

func newCloud(t *testing.T, change func(*vpsiesim.Config, *vpsie.Config)) *cloud {
	t.Helper()
	switches := vpsiesim.DefaultSwitches()
	switches.ListDelay, switches.DeleteDelay = 0, 0
	simConfig := vpsiesim.Config{Switches: &switches}
	config := vpsie.Config{
		TokenFile: write(t, "token", vpsiesim.DefaultToken+"\n"), RequestsPerMinute: 60_000, Burst: 1000, BreakerDelay: breakerDelay, Timeout: 5 * time.Second,
	}
	if change != nil {
		change(&simConfig, &config)
	}
	sim := vpsiesim.New(simConfig)
	t.Cleanup(sim.Close)
	api, admin := httptest.NewServer(sim.Handler()), httptest.NewServer(sim.AdminHandler())
	t.Cleanup(api.Close)
	t.Cleanup(admin.Close)
	config.URL = api.URL
	return &cloud{sim: sim, admin: &vpsiesim.AdminClient{URL: admin.URL}, client: newClient(t, config), config: config}
}

func newClient(t *testing.T, config vpsie.Config) *vpsie.Client {
	t.Helper()
	if err := config.Validate(); err != nil {
		t.Fatal(err)
	}
	metrics, err := vpsie.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	client, err := vpsie.NewClient(config, http.DefaultTransport, metrics, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (c *cloud) fault(t *testing.T, f vpsiesim.Fault) {
	t.Helper()
	if _, err := c.admin.AddFaults(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// always lets every call be sent.
func always(context.Context) error { return nil }

// launch makes the group of a size and launches one machine of it.
func (c *cloud) launch(t *testing.T, size int64) error {
	t.Helper()
	if err := c.client.CreateGroup(t.Context(), always, vpsiesim.DefaultCluster, "g", size); err != nil && app.AsCloudError(err).Failure != app.Refused {
		return err
	}
	groups, err := c.client.Groups(t.Context(), vpsiesim.DefaultCluster)
	if err != nil {
		return err
	}
	return c.client.AddWorker(t.Context(), always, vpsiesim.DefaultCluster, groups[size])
}

func (c *cloud) size(t *testing.T) app.Offering {
	t.Helper()
	offerings, err := c.client.Offerings(t.Context(), vpsiesim.DefaultDatacenter)
	if err != nil || len(offerings) == 0 {
		t.Fatalf("offerings %v, error %v", offerings, err)
	}
	return offerings[0]
}

// TestClientUnderEveryForm launches, lists and deletes a machine under each form in which sources say
// that VPSie answers.
func TestClientUnderEveryForm(t *testing.T) {
	forms := map[string]func(*vpsiesim.Switches){
		"Defaults":             func(*vpsiesim.Switches) {},
		"OnlyVPSieAuth":        func(s *vpsiesim.Switches) { s.AuthHeader = "vpsie-auth" },
		"OnlyBearer":           func(s *vpsiesim.Switches) { s.AuthHeader = "bearer" },
		"PricesAsText":         func(s *vpsiesim.Switches) { s.PriceType = "string" },
		"AddAnswersAnObject":   func(s *vpsiesim.Switches) { s.NodeAddReply = "object" },
		"NodesWithoutIDs":      func(s *vpsiesim.Switches) { s.NodeFields = "noIdentifier" },
		"MastersAndSlaves":     func(s *vpsiesim.Switches) { s.NodeFields = "split" },
		"UnknownSlaveIsFalse":  func(s *vpsiesim.Switches) { s.DeleteUnknownSlave = "false" },
		"ErrorsWithStatus200":  func(s *vpsiesim.Switches) { s.ErrorForm = "ok200" },
		"ErrorAsText":          func(s *vpsiesim.Switches) { s.ErrorForm = "string" },
		"CountsRequestedNodes": func(s *vpsiesim.Switches) { s.NodesCountRequested = true },
	}
	for name, change := range forms {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t, func(s *vpsiesim.Config, _ *vpsie.Config) { change(s.Switches) })
			offering := c.size(t)
			if offering.MonthlyPrice <= 0 || offering.Size.CPU == 0 || offering.Size.MemoryMiB == 0 || offering.DiskBytes == 0 || offering.Name == "" {
				t.Errorf("offering is incomplete: %+v", offering)
			}
			if err := c.launch(t, offering.ID); err != nil {
				t.Fatal(err)
			}
			// A machine counts as launched once it is listed, which happens a moment after the request.
			listing := c.listed(t, 1)
			truth := c.sim.Truth()
			if truth.Counts.Launched != 1 {
				t.Fatalf("%d machines launched, want 1", truth.Counts.Launched)
			}
			launched := truth.Machines[0]
			got := listing.Workers[0]
			if got.Identifier != launched.Identifier || got.Hostname != launched.Hostname || got.Size != offering.Size || !listing.ShowsSizes {
				t.Errorf("listed %+v, want %+v of size %+v", listing, launched, offering.Size)
			}
			for _, want := range []bool{false, true} {
				if gone, err := c.client.DeleteWorker(t.Context(), always, vpsiesim.DefaultCluster, launched.Identifier); err != nil || gone != want {
					t.Errorf("delete: gone=%v, %v, want gone=%v; a machine that is gone already is no error", gone, err, want)
				}
				c.listed(t, 0)
			}
			if m, _ := c.sim.Truth().Find(launched.Identifier); m.HowDeleted != vpsiesim.DeletedByIdentifier {
				t.Errorf("machine was deleted by %q", m.HowDeleted)
			}
			if calls := c.sim.Model().Calls(); len(calls.UnknownPaths) > 0 {
				t.Errorf("the client calls what does not exist: %v", calls.UnknownPaths)
			}
		})
	}
}

// TestOnlyVPSiesWordThatItKnowsNoMachineMeansGone answers a deletion in every way in which VPSie may say yes, or that it knows no machine.
func TestOnlyVPSiesWordThatItKnowsNoMachineMeansGone(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		gone   bool
		fails  bool
	}{
		"NoContent":         {status: 204},
		"NoBody":            {status: 200},
		"NoData":            {status: 200, body: `{"error":false}`},
		"Object":            {status: 200, body: `{"error":false,"data":{}}`},
		"True":              {status: 200, body: `{"error":false,"data":true}`},
		"Null":              {status: 200, body: `{"error":false,"data":null}`, gone: true},
		"False":             {status: 200, body: `{"error":false,"data": false }`, gone: true},
		"Unknown":           {status: 404, body: `{"error":true,"code":404,"message":"Not found"}`, gone: true},
		"UnknownWithStatus": {status: 200, body: `{"error":true,"message":"Node not found"}`, gone: true},
		"UnknownCluster":    {status: 404, body: `{"error":true,"code":404,"message":"Kubernetes not found"}`, fails: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			}))
			t.Cleanup(api.Close)
			config := newCloud(t, nil).config
			config.URL = api.URL
			if gone, err := newClient(t, config).DeleteWorker(t.Context(), always, "cluster", "m1"); (err != nil) != test.fails || gone != test.gone {
				t.Errorf("gone=%v, %v, want gone=%v", gone, err, test.gone)
			}
		})
	}
}

// listed waits until VPSie lists a number of workers.
func (c *cloud) listed(t *testing.T, want int) app.Listing {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		listing, err := c.client.Workers(ctx, vpsiesim.DefaultCluster)
		if err != nil {
			t.Fatal(err)
		}
		if len(listing.Workers) == want {
			return listing
		}
	}
}

func TestFailuresMeanWhatTheySay(t *testing.T) {
	const addNode = "k8s.addSlaveToGroup"
	tests := map[string]struct {
		why   string
		fault vpsiesim.Fault
		want  app.Failure
		// launched is how many machines the failed request brought.
		launched int
	}{
		"Outage":         {"the request may have been carried out", vpsiesim.Fault{Endpoint: addNode, Kind: vpsiesim.FaultStatus500}, app.OutcomeUnknown, 0},
		"ProxyPage":      {"", vpsiesim.Fault{Endpoint: addNode, Kind: vpsiesim.FaultHTML502}, app.OutcomeUnknown, 0},
		"Reset":          {"", vpsiesim.Fault{Endpoint: addNode, Kind: vpsiesim.FaultReset}, app.OutcomeUnknown, 0},
		"LostReply":      {"the machine is there although nobody said so", vpsiesim.Fault{Endpoint: addNode, Kind: vpsiesim.FaultLostReply}, app.OutcomeUnknown, 1},
		"BrokenReply":    {"", vpsiesim.Fault{Endpoint: addNode, Kind: vpsiesim.FaultMalformed}, app.OutcomeUnknown, 1},
		"HugeReply":      {"", vpsiesim.Fault{Endpoint: addNode, Kind: vpsiesim.FaultHugeBody}, app.OutcomeUnknown, 1},
		"UnclearRefusal": {"a 200 that says error in unknown words may be an accident half-way", vpsiesim.Fault{Endpoint: addNode, Kind: vpsiesim.FaultError200}, app.OutcomeUnknown, 0},
		"TooMany":        {"429 is said before anything is done", vpsiesim.Fault{Endpoint: addNode, Kind: vpsiesim.FaultStatus429}, app.NotMade, 0},
		"Refused": {"", vpsiesim.Fault{Endpoint: addNode, Kind: vpsiesim.FaultStatus, Status: 400, Message: "Worker nodes count exceeds the allowed limit"},
			app.Refused, 0},
		"RefusedWith200": {"", vpsiesim.Fault{Endpoint: addNode, Kind: vpsiesim.FaultError200, Message: "Worker nodes count exceeds the allowed limit"}, app.Refused, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t, nil)
			c.fault(t, tc.fault)
			err := c.launch(t, c.size(t).ID)
			e, ok := errors.AsType[*app.CloudError](err)
			if !ok || e.Failure != tc.want {
				t.Errorf("error %#v, want failure %d (%s)", err, tc.want, tc.why)
			}
			if got := c.sim.Truth().Counts.AddsAccepted; got != tc.launched {
				t.Errorf("%d launch requests accepted, want %d", got, tc.launched)
			}
			if calls := c.sim.Model().Calls().Endpoints[addNode].Total; calls != 1 {
				t.Errorf("a launch request was sent %d times; it must never be repeated by itself", calls)
			}
		})
	}
}

func TestQuotaIsRecognised(t *testing.T) {
	c := newCloud(t, func(s *vpsiesim.Config, _ *vpsie.Config) { s.Switches.WorkerCap = 0 })
	e := app.AsCloudError(c.launch(t, c.size(t).ID))
	if e.Failure != app.Refused || e.Code != reason.NoScaleUpQuota || e.Scope != v1beta1.RefusedCluster {
		t.Errorf("error %+v, want a refusal for the worker cap", e)
	}
}

func TestSoldOutIsRecognised(t *testing.T) {
	c := newCloud(t, nil)
	size := c.size(t)
	if err := c.admin.SetSwitches(t.Context(), map[string]any{"soldOut": []string{strconv.FormatInt(size.ID, 10)}}); err != nil {
		t.Fatal(err)
	}
	e := app.AsCloudError(c.launch(t, size.ID))
	if e.Failure != app.Refused || e.Code != reason.NoScaleUpOfferingSoldOut || e.Scope != v1beta1.RefusedSize {
		t.Errorf("error %+v, want a refusal because the size is sold out", e)
	}
}

func TestUnknownClusterIsNotFound(t *testing.T) {
	c := newCloud(t, nil)
	_, err := c.client.Workers(t.Context(), "00000000-0000-0000-0000-000000000000")
	if e := app.AsCloudError(err); e.Failure != app.NotFound || !strings.Contains(e.Message, "kubernetes not found") {
		t.Errorf("error %+v, want not found in VPSie's words", e)
	}
}

func TestReadsAreRepeated(t *testing.T) {
	c := newCloud(t, nil)
	c.fault(t, vpsiesim.Fault{Endpoint: "k8s.getCluster", Kind: vpsiesim.FaultHTML502, Count: 2})
	if _, err := c.client.Workers(t.Context(), vpsiesim.DefaultCluster); err != nil {
		t.Errorf("a listing that fails twice: %v", err)
	}
}

func TestBreakerOpensAndCloses(t *testing.T) {
	c := newCloud(t, func(_ *vpsiesim.Config, c *vpsie.Config) { c.BreakerDelay = 2 * time.Second })
	if h := c.client.Health(); h.Known {
		t.Errorf("health is known before the first call: %+v", h)
	}
	c.fault(t, vpsiesim.Fault{Kind: vpsiesim.FaultStatus500})
	for tries := 0; !c.client.Health().BreakerOpen; tries++ {
		if _, err := c.client.Workers(t.Context(), vpsiesim.DefaultCluster); err == nil {
			t.Fatal("an outage was taken for success")
		}
		if tries == 10 {
			t.Fatalf("breaker is closed after an outage: %+v", c.client.Health())
		}
	}
	before := c.sim.Model().Calls().Total
	_, err := c.client.Workers(t.Context(), vpsiesim.DefaultCluster)
	if e := app.AsCloudError(err); e.Failure != app.NotMade {
		t.Errorf("call with an open breaker: %+v, want it not made", e)
	}
	if after := c.sim.Model().Calls().Total; after != before {
		t.Errorf("an open breaker let %d calls through", after-before)
	}
	if err := c.admin.ClearFaults(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for c.client.Health().BreakerOpen {
		if ctx.Err() != nil {
			t.Fatal("breaker stays open although VPSie answers again")
		}
		_, _ = c.client.Workers(ctx, vpsiesim.DefaultCluster) // the state is what is asked for
	}
}

func TestRefusalsDoNotOpenTheBreaker(t *testing.T) {
	c := newCloud(t, func(s *vpsiesim.Config, _ *vpsie.Config) { s.Switches.WorkerCap = 0 })
	size := c.size(t).ID
	for range 10 {
		if err := c.launch(t, size); err == nil {
			t.Fatal("the worker cap was ignored")
		}
	}
	if h := c.client.Health(); h.BreakerOpen || h.Message != "" {
		t.Errorf("ten refusals count as an outage: %+v", h)
	}
}

// TestCallThatIsHeldBackIsNotSent withdraws changes right before they are sent.
func TestCallThatIsHeldBackIsNotSent(t *testing.T) {
	c := newCloud(t, nil)
	held := &app.CloudError{Failure: app.Held, Message: "everything is paused", Endpoint: "call"}
	ctx, guard := t.Context(), func(context.Context) error { return held }
	for range 10 { // more than the breaker bears
		_, deleted := c.client.DeleteWorker(ctx, guard, "cluster", "m1")
		for name, err := range map[string]error{
			"AddWorker": c.client.AddWorker(ctx, guard, "cluster", 1), "DeleteWorker": deleted,
			"CreateGroup": c.client.CreateGroup(ctx, guard, "cluster", "g", 1),
		} {
			if app.AsCloudError(err).Failure != app.Held {
				t.Errorf("%s: %v, want it held back", name, err)
			}
		}
	}
	calls, err := c.admin.Calls(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if calls.Total != 0 || c.client.Health().BreakerOpen {
		t.Errorf("%d calls were sent, health %+v; want none, and no outage seen in that", calls.Total, c.client.Health())
	}
	if _, err := c.client.Offerings(ctx, vpsiesim.DefaultDatacenter); err != nil {
		t.Errorf("Offerings: %v; a call that changes nothing is not held back", err)
	}
}

// TestCallIsCheckedAfterTheRateLimit changes its mind while a call waits for the rate limit.
func TestCallIsCheckedAfterTheRateLimit(t *testing.T) {
	c := newCloud(t, func(_ *vpsiesim.Config, v *vpsie.Config) { v.RequestsPerMinute, v.Burst = 120, 1 })
	asked := 0
	guard := func(context.Context) error {
		if asked++; asked > 1 {
			return &app.CloudError{Failure: app.Held, Message: "paused meanwhile", Endpoint: "call"}
		}
		return nil
	}
	if err := c.client.AddWorker(t.Context(), guard, "cluster", 1); app.AsCloudError(err).Failure != app.Held {
		t.Errorf("AddWorker: %v, want it held back right before it is sent", err)
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	c := newCloud(t, nil)
	c.fault(t, vpsiesim.Fault{Kind: vpsiesim.FaultStatus429, RetryAfterSeconds: 60, Count: 1})
	_, err := c.client.Workers(t.Context(), vpsiesim.DefaultCluster)
	if e := app.AsCloudError(err); e.Failure != app.NotMade || e.RetryAfter != time.Minute {
		t.Errorf("error %+v, want not made and to wait a minute", e)
	}
	before := c.sim.Model().Calls().Total
	_, err = c.client.Workers(t.Context(), vpsiesim.DefaultCluster)
	if e := app.AsCloudError(err); e.Failure != app.NotMade || e.RetryAfter <= 0 {
		t.Errorf("call within the minute: %+v, want it not made", e)
	}
	if after := c.sim.Model().Calls().Total; after != before {
		t.Error("VPSie was called although it asked to be left alone")
	}
}

func TestCredentials(t *testing.T) {
	t.Run("WrongTokenIsUnauthorized", func(t *testing.T) {
		c := newCloud(t, func(_ *vpsiesim.Config, c *vpsie.Config) { c.TokenFile = write(t, "token", "wrong") })
		_, err := c.client.Workers(t.Context(), vpsiesim.DefaultCluster)
		e := app.AsCloudError(err)
		if e.Failure != app.Unauthorized || !c.client.Health().Unauthorized {
			t.Errorf("error %+v, health %+v, want unauthorized", e, c.client.Health())
		}
		if strings.Contains(e.Error(), "wrong") {
			t.Errorf("the error shows the token: %v", e)
		}
	})
	t.Run("RotatedTokenWorksAtOnce", func(t *testing.T) {
		c := newCloud(t, nil)
		c.size(t)
		if err := c.admin.ChangeToken(t.Context(), vpsiesim.TokenChange{Token: "fresh"}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.client.Workers(t.Context(), vpsiesim.DefaultCluster); err == nil {
			t.Fatal("a revoked token still works")
		}
		if err := os.WriteFile(c.config.TokenFile, []byte("fresh"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.client.Workers(t.Context(), vpsiesim.DefaultCluster); err != nil || c.client.Health().Unauthorized {
			t.Errorf("after the rotation: %v, health %+v", err, c.client.Health())
		}
	})
	for name, reply := range map[string]string{"ExchangeForm1": "token", "ExchangeForm2": "accessToken"} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t, func(s *vpsiesim.Config, c *vpsie.Config) {
				s.Switches.LoginReply, s.ClientID, s.ClientSecret = reply, "id", "secret"
				c.TokenFile, c.ClientIDFile, c.ClientSecretFile = "", write(t, "id", "id"), write(t, "secret", "secret")
			})
			c.size(t)
			if err := c.admin.ChangeToken(t.Context(), vpsiesim.TokenChange{RevokeExchanged: true}); err != nil {
				t.Fatal(err)
			}
			if _, err := c.client.Workers(t.Context(), vpsiesim.DefaultCluster); err != nil {
				t.Errorf("an exchanged token that was revoked is exchanged anew: %v", err)
			}
		})
	}
}

func TestConnectionThatWasNeverMade(t *testing.T) {
	c := newCloud(t, func(_ *vpsiesim.Config, c *vpsie.Config) {})
	config := c.config
	config.URL = "http://127.0.0.1:1"
	metrics, err := vpsie.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	client, err := vpsie.NewClient(config, http.DefaultTransport, metrics, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if e := app.AsCloudError(client.AddWorker(t.Context(), always, "c", 1)); e.Failure != app.NotMade {
		t.Errorf("error %+v, want not made: nobody was reached", e)
	}
}
