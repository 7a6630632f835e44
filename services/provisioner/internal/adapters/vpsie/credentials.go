package vpsie

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vpsie/vpsie-autoscaler/services/provisioner/internal/app"
)

const (
	secretBytesMax = 64 << 10
	// exchangeEarly is how long before its end an exchanged token is replaced.
	exchangeEarly = 5 * time.Minute
	// exchangedLifetime is assumed where the reply does not tell (vpsie-api.md §1.4).
	exchangedLifetime = time.Hour
)

// exchange trades client credentials for a token.
type exchange func(ctx context.Context, id, secret string) (token, error)

// credentials hold the token that opens the API: a long-lived one from a file, or one exchanged
// for client credentials. Files are read at each use, so a rotated secret works at once.
type credentials struct {
	config   Config
	exchange exchange

	mu        sync.Mutex
	exchanged string
	ends      time.Time
}

func newCredentials(c Config, e exchange) *credentials { return &credentials{config: c, exchange: e} }

func (c *credentials) token(ctx context.Context) (string, error) {
	if c.config.TokenFile != "" {
		return readSecret(c.config.TokenFile)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exchanged != "" && time.Until(c.ends) > exchangeEarly {
		return c.exchanged, nil
	}
	id, err := readSecret(c.config.ClientIDFile)
	if err != nil {
		return "", err
	}
	secret, err := readSecret(c.config.ClientSecretFile)
	if err != nil {
		return "", err
	}
	t, err := c.exchange(ctx, id, secret)
	if err != nil {
		return "", err
	}
	c.exchanged, c.ends = t.Token, time.Now().Add(exchangedLifetime)
	if ends, err := time.Parse(time.RFC3339, t.Expires); err == nil {
		c.ends = ends
	}
	return c.exchanged, nil
}

// renew reports whether asking again may bring another token than the one that was refused.
func (c *credentials) renew() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	had := c.exchanged != ""
	c.exchanged = ""
	return had
}

func readSecret(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read credentials: %w", err)
	}
	text := strings.TrimSpace(string(raw))
	if text == "" || len(raw) > secretBytesMax || strings.ContainsAny(text, "\r\n") {
		return "", fmt.Errorf("credentials in %s are empty or not one line", path)
	}
	return text, nil
}

// exchange implements the login (vpsie-api.md §1.4); both forms of its reply are read.
func (c *Client) exchange(ctx context.Context, id, secret string) (token, error) {
	r, err := c.send(ctx, request{
		endpoint: "login", method: http.MethodPost, path: "/apps/v2/auth/from/api",
		body: map[string]string{"clientId": id, "clientSecret": secret},
	}, func(http.Header) {})
	if err != nil {
		if e := app.AsCloudError(err); e.Failure == app.Refused || e.Failure == app.NotFound {
			e.Failure = app.Unauthorized
		}
		return token{}, err
	}
	switch {
	case r.Token != nil && r.Token.Access.Token != "":
		return r.Token.Access, nil
	case r.AccessToken != nil && r.AccessToken.Token != "":
		return *r.AccessToken, nil
	}
	return token{}, errors.New("the reply to the login has no token")
}
