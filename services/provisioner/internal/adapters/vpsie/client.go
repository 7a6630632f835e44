// Package vpsie speaks to the VPSie cloud: its wire format, its credentials, and how much and
// when it may be asked.
package vpsie

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"golang.org/x/time/rate"

	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
)

const (
	// bodyBytesMax bounds a reply; the longest real one, a cluster of thousands of nodes, is far shorter.
	bodyBytesMax = 16 << 20
	// readRetries bounds how often a call that changes nothing is repeated at once.
	readRetries      = 2
	retryDelay       = 200 * time.Millisecond
	retryDelayMax    = 2 * time.Second
	breakerThreshold = 5
)

// Config says where VPSie is and how much of it may be used.
type Config struct {
	URL               string        `help:"Address of the VPSie API." default:"https://api.vpsie.com"`
	TokenFile         string        `help:"File with the API token. It is read at each call, so a rotated token works at once." type:"path"`
	ClientIDFile      string        `help:"File with the client id, for credentials that are exchanged for tokens." type:"path"`
	ClientSecretFile  string        `help:"File with the client secret that belongs to the client id." type:"path"`
	RequestsPerMinute int           `help:"Most requests a minute, for the whole account." default:"100"`
	Burst             int           `help:"Most requests at once after an idle time." default:"30"`
	BreakerDelay      time.Duration `help:"How long the circuit breaker stays open before it tries a call." default:"15s"`
	Timeout           time.Duration `help:"How long one call may take." default:"30s"`
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	var problems []error
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		problems = append(problems, fmt.Errorf("vpsie-url %q is not an http or https address", c.URL))
	}
	if c.TokenFile == "" && (c.ClientIDFile == "" || c.ClientSecretFile == "") {
		problems = append(problems, errors.New("no credentials: set --vpsie-token-file, or --vpsie-client-id-file and --vpsie-client-secret-file"))
	}
	if c.RequestsPerMinute < 1 || c.Burst < 1 {
		problems = append(problems, errors.New("vpsie-requests-per-minute and vpsie-burst must be at least 1"))
	}
	if c.BreakerDelay <= 0 || c.Timeout <= 0 {
		problems = append(problems, errors.New("vpsie-breaker-delay and vpsie-timeout must be positive"))
	}
	return errors.Join(problems...)
}

// Client makes calls to VPSie. It is safe for concurrent use.
type Client struct {
	base        *url.URL
	http        *http.Client
	credentials *credentials
	limiter     *rate.Limiter
	breaker     circuitbreaker.CircuitBreaker[*reply]
	reads       failsafe.Executor[*reply]
	writes      failsafe.Executor[*reply]
	health      *health
	metrics     *Metrics
	timeout     time.Duration
}

var _ app.Cloud = (*Client)(nil)

// NewClient returns a client that calls over transport and has not called anybody yet. The
// configuration must be valid.
func NewClient(c Config, transport http.RoundTripper, metrics *Metrics, log *slog.Logger) (*Client, error) {
	base, err := url.Parse(strings.TrimSuffix(c.URL, "/"))
	if err != nil {
		return nil, fmt.Errorf("parse address of VPSie: %w", err)
	}
	client := &Client{
		base: base,
		http: &http.Client{
			Transport: otelhttp.NewTransport(transport),
			// A reply that sends us elsewhere would carry the credentials there.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		limiter: rate.NewLimiter(rate.Limit(float64(c.RequestsPerMinute)/60), c.Burst),
		metrics: metrics,
		timeout: c.Timeout,
		health:  newHealth(metrics, log),
	}
	client.credentials = newCredentials(c, client.exchange)
	client.breaker = circuitbreaker.NewBuilder[*reply]().
		HandleIf(func(_ *reply, err error) bool { return countsAsOutage(err) }).
		WithFailureThreshold(breakerThreshold).
		WithDelay(c.BreakerDelay).
		OnStateChanged(client.health.breakerChanged).
		Build()
	retry := retrypolicy.NewBuilder[*reply]().
		HandleIf(func(_ *reply, err error) bool {
			// An open breaker is not worth a second try.
			e, ok := errors.AsType[*app.CloudError](err)
			return ok && e.Failure == app.OutcomeUnknown
		}).
		WithMaxRetries(readRetries).
		WithBackoff(retryDelay, retryDelayMax).
		WithJitterFactor(0.2).
		ReturnLastFailure().
		Build()
	client.reads = failsafe.With(retry, client.breaker)
	client.writes = failsafe.With(client.breaker)
	return client, nil
}

// Health is how the API is doing, as the calls so far saw it.
func (c *Client) Health() app.Health { return c.health.get() }

// countsAsOutage tells what the breaker counts: no answer, 5xx, 429 with the calls that its Retry-After
// keeps back, and replies that say that VPSie itself failed. A refusal is a working API.
func countsAsOutage(err error) bool {
	if err == nil {
		return false
	}
	e := app.AsCloudError(err)
	return e.Failure == app.OutcomeUnknown || e.Failure == app.NotMade
}

// request is one call.
type request struct {
	// endpoint names the call in errors, metrics and traces.
	endpoint string
	method   string
	path     string
	body     any
	// changes says that the call changes something, so it is never repeated by itself, and is sent only while guard agrees.
	changes bool
	guard   app.Guard
	// repeatable says of a call that changes something that repeating it does no harm.
	repeatable bool
}

// do makes one call and returns its payload.
func (c *Client) do(ctx context.Context, r request) (*reply, error) {
	executor := c.writes
	if !r.changes || r.repeatable {
		executor = c.reads
	}
	// The breaker must not take a call that we keep back for one that VPSie answered.
	if err := checked(ctx, r); err != nil {
		return nil, err
	}
	result, err := executor.WithContext(ctx).GetWithExecution(func(e failsafe.Execution[*reply]) (*reply, error) {
		return c.attempt(e.Context(), r)
	})
	if errors.Is(err, circuitbreaker.ErrOpen) {
		return nil, &app.CloudError{
			Failure: app.NotMade, Endpoint: r.endpoint,
			Message: "the circuit breaker is open because VPSie's API fails; it tries a call again automatically",
		}
	}
	c.health.called(err)
	if err != nil {
		return nil, err
	}
	return result, nil
}

// checked asks whoever wants something changed whether that still holds.
func checked(ctx context.Context, r request) error {
	if !r.changes {
		return nil
	}
	return r.guard(ctx)
}

// attempt makes one call once, and once more with fresh credentials if the old ones were refused.
func (c *Client) attempt(ctx context.Context, r request) (*reply, error) {
	result, err := c.authorized(ctx, r)
	if e, ok := errors.AsType[*app.CloudError](err); ok && e.Failure == app.Unauthorized && c.credentials.renew() {
		return c.authorized(ctx, r)
	}
	return result, err
}

func (c *Client) authorized(ctx context.Context, r request) (*reply, error) {
	token, err := c.credentials.token(ctx)
	if err != nil {
		if e, ok := errors.AsType[*app.CloudError](err); ok {
			return nil, e
		}
		return nil, &app.CloudError{Failure: app.Unauthorized, Endpoint: r.endpoint, Message: err.Error()}
	}
	return c.send(ctx, r, func(h http.Header) {
		// Sources disagree on the header, and each server reads the one it knows (vpsie-api.md §1.2).
		h.Set("Vpsie-Auth", token)
		h.Set("Authorization", "Bearer "+token)
	})
}

// send makes one HTTP request within the rate limit and judges the reply.
func (c *Client) send(ctx context.Context, r request, authorize func(http.Header)) (*reply, error) {
	notMade := func(err error) error {
		return &app.CloudError{Failure: app.NotMade, Endpoint: r.endpoint, Message: err.Error()}
	}
	if wait := c.health.pause(); wait > 0 {
		return nil, &app.CloudError{Failure: app.NotMade, Endpoint: r.endpoint, RetryAfter: wait,
			Message: "VPSie limits the rate of requests; calls resume after the time that it named"}
	}
	if err := c.limiter.Wait(ctx); err != nil {
		return nil, notMade(err)
	}
	if err := checked(ctx, r); err != nil {
		return nil, err
	}
	var body io.Reader
	if r.body != nil {
		raw, err := json.Marshal(r.body)
		if err != nil {
			return nil, notMade(err)
		}
		body = bytes.NewReader(raw)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, c.base.String()+r.path, body)
	if err != nil {
		return nil, notMade(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "vpsie-autoscaler")
	authorize(req.Header)
	done := c.metrics.begin(r.endpoint)
	result, err := c.exchangeHTTP(req, r.endpoint)
	done(err)
	if e, ok := errors.AsType[*app.CloudError](err); ok && e.RetryAfter > 0 {
		c.health.pauseFor(e.RetryAfter)
	}
	return result, err
}

func (c *Client) exchangeHTTP(req *http.Request, endpoint string) (*reply, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &app.CloudError{Failure: transportFailure(err), Endpoint: endpoint, Message: transportMessage(err)}
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, bodyBytesMax+1))
	if err != nil {
		return nil, &app.CloudError{Failure: app.OutcomeUnknown, Endpoint: endpoint, Message: "reply was cut off: " + transportMessage(err)}
	}
	if len(raw) > bodyBytesMax {
		return nil, &app.CloudError{Failure: app.OutcomeUnknown, Endpoint: endpoint, Message: fmt.Sprintf("reply is longer than %d bytes", bodyBytesMax)}
	}
	return parse(endpoint, resp.StatusCode, resp.Header, raw)
}

// transportFailure tells a connection that was never made, over which nothing can have been asked,
// from one that broke.
func transportFailure(err error) app.Failure {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return app.NotMade
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return app.NotMade
	}
	return app.OutcomeUnknown
}

// transportMessage leaves out what differs from call to call, such as local ports, because it
// ends up in conditions.
func transportMessage(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op + ": " + op.Err.Error()
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err.Error()
	}
	return err.Error()
}
