package vpsie

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vpsie/vpsie-autoscaler/api/reason"
	"github.com/vpsie/vpsie-autoscaler/api/v1beta1"
	"github.com/vpsie/vpsie-autoscaler/libs/telemetry"
	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
)

const (
	messageCharsMax = 500
	retryAfterMax   = 10 * time.Minute
	// retryAfterUnnamed is how long a 429 without Retry-After keeps calls back.
	retryAfterUnnamed = time.Second
)

// reply is the envelope of every answer (vpsie-api.md §2.1).
type reply struct {
	Error   flag            `json:"error"`
	Code    json.RawMessage `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`

	// Form 2 of the login carries its tokens beside the envelope's fields, form 1 in token.
	Token       *tokenPair `json:"token"`
	AccessToken *token     `json:"accessToken"`
}

type tokenPair struct {
	Access token `json:"access"`
}

type token struct {
	Token   string `json:"token"`
	Expires string `json:"expires"`
}

// parse judges a reply: an error status, and a body that says error at any status, are failures.
func parse(endpoint string, status int, header http.Header, raw []byte) (*reply, error) {
	fail := func(f verdict, message string) (*reply, error) {
		message = telemetry.Redact(strings.TrimSpace(message))
		if len(message) > messageCharsMax {
			message = strings.ToValidUTF8(message[:messageCharsMax], "") + "…"
		}
		return nil, &app.CloudError{Failure: f.failure, Code: f.code, Scope: f.scope, Endpoint: endpoint, Message: message}
	}
	if status == http.StatusNoContent || (status < 300 && len(bytes.TrimSpace(raw)) == 0) {
		return &reply{}, nil
	}
	var r reply
	decoded := json.Unmarshal(raw, &r) == nil
	message := r.Message
	if message == "" && r.Error.text != "" {
		message = r.Error.text
	}
	switch {
	case status == http.StatusTooManyRequests:
		return nil, &app.CloudError{Failure: app.NotMade, Endpoint: endpoint, RetryAfter: retryAfter(header),
			Message: "HTTP 429: too many requests"}
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fail(verdict{failure: app.Unauthorized, code: reason.NoScaleUpUnauthorized}, orStatus(message, status))
	case !decoded || status >= 500 || (status >= 300 && status < 400) || status == http.StatusRequestTimeout || status == http.StatusTooEarly:
		if message == "" {
			message = "reply does not have the format of VPSie's API"
		}
		return fail(verdict{failure: app.OutcomeUnknown}, fmt.Sprintf("HTTP %d: %s", status, message))
	case status < 300 && !r.Error.set:
		return &r, nil
	}
	return fail(classify(status, message), orStatus(message, status))
}

func orStatus(message string, status int) string {
	if message == "" {
		return fmt.Sprintf("HTTP %d without a message", status)
	}
	return message
}

// verdict is what a reply that is no success means.
type verdict struct {
	failure app.Failure
	code    reason.Code
	scope   v1beta1.RefusalScope
}

// classify reads VPSie's texts, which are all that tells its failures apart (vpsie-api.md §2.2).
func classify(status int, message string) verdict {
	text := strings.ToLower(message)
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(text, part) {
				return true
			}
		}
		return false
	}
	switch {
	case has("authenticate", "unauthorized"):
		return verdict{app.Unauthorized, reason.NoScaleUpUnauthorized, ""}
	case has("lost in the clouds"):
		return verdict{failure: app.OutcomeUnknown}
	case has("exceeds the allowed limit", "quota exceeded", "plan does not allow", "maximum number of", "limit reached", "subscription does not allow"):
		return verdict{app.Refused, reason.NoScaleUpQuota, v1beta1.RefusedCluster}
	case has("not available", "out of stock", "sold out", "no capacity"):
		return verdict{app.Refused, reason.NoScaleUpOfferingSoldOut, v1beta1.RefusedSize}
	case status == http.StatusNotFound, has("not found"):
		return verdict{app.NotFound, reason.NoScaleUpLaunchFailed, ""}
	case status >= 400, has("same selected size", "please select", "wrong password"):
		return verdict{app.Refused, reason.NoScaleUpLaunchFailed, v1beta1.RefusedSize}
	}
	// A 200 that says error in words nobody knows may be a refusal or an accident half-way.
	return verdict{failure: app.OutcomeUnknown}
}

// retryAfter reads seconds or a date.
func retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds >= 0 && !math.IsInf(seconds, 0) {
		return max(min(time.Duration(seconds*float64(time.Second)), retryAfterMax), retryAfterUnnamed)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(min(time.Until(at), retryAfterMax), retryAfterUnnamed)
	}
	return retryAfterUnnamed
}

// flag is a bool that comes as true, 1, "1" or, where it names an error, as text.
type flag struct {
	set  bool
	text string
}

// UnmarshalJSON reads every form that was seen.
func (f *flag) UnmarshalJSON(raw []byte) error {
	switch value := strings.Trim(string(raw), `"`); value {
	case "", "null", "false", "0":
	case "true", "1":
		f.set = true
	default:
		f.set, f.text = true, value
	}
	return nil
}

// number is an amount that comes as a number or as decimal text; null and "" are absent.
type number struct {
	value float64
	set   bool
}

// UnmarshalJSON reads every form that was seen.
func (n *number) UnmarshalJSON(raw []byte) error {
	value := strings.Trim(string(raw), `" `)
	if value == "" || value == "null" {
		return nil
	}
	parsed, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(parsed) || math.IsInf(parsed, 0) {
		return fmt.Errorf("%q is not a number", value)
	}
	n.value, n.set = parsed, true
	return nil
}

// whole returns the amount as an integer, zero when it is absent, negative, broken or too large.
func (n number) whole() int64 {
	if !n.set || n.value < 0 || n.value > 1<<53 || n.value != math.Trunc(n.value) {
		return 0
	}
	return int64(n.value)
}
