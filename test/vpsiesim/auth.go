package vpsiesim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// tokens are the credentials that open the API; the model's lock guards them.
type tokens struct {
	longLived    string // empty after a revocation
	clientID     string
	clientSecret string // empty refuses every login
	password     string // of the account
	exchanged    map[string]time.Time
}

func newTokens(cfg Config) tokens {
	return tokens{
		longLived: cfg.Token, clientID: cfg.ClientID, clientSecret: cfg.ClientSecret, password: cfg.AccountPassword,
		exchanged: map[string]time.Time{},
	}
}

// TokenChange rotates or revokes credentials.
type TokenChange struct {
	// Token becomes the only long-lived token; empty leaves it alone.
	Token string `json:"token,omitempty"`
	// ClientSecret replaces the secret of the login; empty leaves it alone.
	ClientSecret string `json:"clientSecret,omitempty"`
	// Revoke makes every token given out so far invalid, before the other changes.
	Revoke bool `json:"revoke,omitempty"`
	// RevokeExchanged makes the tokens of past logins invalid.
	RevokeExchanged bool `json:"revokeExchanged,omitempty"`
}

func (m *Model) changeTokens(c TokenChange) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.Revoke {
		m.tokens.longLived = ""
	}
	if c.Revoke || c.RevokeExchanged {
		clear(m.tokens.exchanged)
	}
	if c.Token != "" {
		m.tokens.longLived = c.Token
	}
	if c.ClientSecret != "" {
		m.tokens.clientSecret = c.ClientSecret
	}
}

// session is a pair of tokens from a login.
type session struct {
	access, refresh         string
	accessEnds, refreshEnds time.Time
}

const refreshLifetime = 7 * 24 * time.Hour

// login exchanges client credentials for tokens.
func (m *Model) login(clientID, clientSecret string) (session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tokens.clientSecret == "" || clientID != m.tokens.clientID || clientSecret != m.tokens.clientSecret {
		return session{}, refuse(http.StatusUnauthorized, "Please authenticate")
	}
	now := time.Now().UTC()
	for token, ends := range m.tokens.exchanged {
		if !now.Before(ends) {
			delete(m.tokens.exchanged, token)
		}
	}
	secret := func() string { return fmt.Sprintf("eyJ%016x%016x", m.random.Uint64(), m.random.Uint64()) }
	s := session{
		access: secret(), refresh: secret(),
		accessEnds: now.Add(time.Duration(m.switches.TokenLifetime)), refreshEnds: now.Add(refreshLifetime),
	}
	m.tokens.exchanged[s.access] = s.accessEnds
	return s, nil
}

// authenticate returns the first valid token of a request.
func (m *Model) authenticate(h http.Header) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var offered []string
	if m.switches.AuthHeader != "bearer" {
		offered = append(offered, h.Get("Vpsie-Auth"))
	}
	if bearer, ok := strings.CutPrefix(h.Get("Authorization"), "Bearer "); ok && m.switches.AuthHeader != "vpsie-auth" {
		offered = append(offered, bearer)
	}
	for _, token := range offered {
		ends, exchanged := m.tokens.exchanged[token]
		if token != "" && (token == m.tokens.longLived || exchanged && time.Now().Before(ends)) {
			return token, true
		}
	}
	return "", false
}

// fingerprint tells tokens apart without giving them away.
func fingerprint(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:4])
}
