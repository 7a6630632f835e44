// Package vpsiesim behaves like the VPSie cloud and fails on request.
//
// It shares no code with the product, so that a misreading of the wire format
// cannot hide in both, and keeps a ledger of what really happened. All delays
// use package time, so that it runs under testing/synctest as well.
package vpsiesim

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
)

// Config says what a simulator starts with; the zero value works.
type Config struct {
	// Switches are the behaviours at the start; nil means DefaultSwitches.
	Switches *Switches
	// Seed is the catalogue and the clusters; nil means DefaultSeed.
	Seed *Seed
	// RandomSeed makes identifiers, hostnames and random choices repeatable.
	RandomSeed uint64
	// Booter registers machines with Kubernetes; without one they count as registered and nothing is called.
	Booter Booter
	// Token opens the API; empty means DefaultToken.
	Token string
	// ClientID and ClientSecret are for the login; an empty secret refuses every login.
	ClientID     string
	ClientSecret string
	// AccountPassword is what deleting a plain machine needs; empty means DefaultAccountPassword.
	AccountPassword string
	// Log receives one debug record a call; nil discards them.
	Log *slog.Logger
}

// Credentials that a simulator has when it is given none.
const (
	DefaultToken           = "vpsiesim-token"
	DefaultAccountPassword = "vpsiesim-password"
)

// Sim is a simulated cloud with its two HTTP interfaces.
type Sim struct {
	model *Model
	api   http.Handler
	admin http.Handler
}

// New returns a running simulator, which ends with Close; it panics on a Config that Validate refuses.
func New(cfg Config) *Sim {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Token == "" {
		cfg.Token = DefaultToken
	}
	if cfg.AccountPassword == "" {
		cfg.AccountPassword = DefaultAccountPassword
	}
	m := newModel(cfg)
	return &Sim{model: m, api: &api{model: m, log: cfg.Log}, admin: newAdmin(m)}
}

// Validate reports every problem of the seed and the switches at once.
func (c Config) Validate() error {
	var problems []error
	if c.Seed != nil {
		if err := c.Seed.clone().complete(); err != nil {
			problems = append(problems, fmt.Errorf("seed: %w", err))
		}
	}
	if c.Switches != nil {
		if err := c.Switches.validate(); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// Handler serves the cloud's API.
func (s *Sim) Handler() http.Handler { return s.api }

// AdminHandler serves the admin API, which no product may see.
func (s *Sim) AdminHandler() http.Handler { return s.admin }

// Model gives tests in the same process direct access to the cloud.
func (s *Sim) Model() *Model { return s.model }

// Truth returns what really happened so far.
func (s *Sim) Truth() Truth { return s.model.Truth() }

// Close stops all timers, ends calls to the booter and waits for them.
func (s *Sim) Close() { s.model.close() }
