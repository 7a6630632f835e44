package process

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	probeInterval = 100 * time.Millisecond
	probeTimeout  = 5 * time.Second
	// answerBytes bounds how much of an answer ends up in an error.
	answerBytes = 2 << 10
)

// Probe returns nil when a part works.
type Probe func(ctx context.Context) error

// Await tries p until it succeeds, ctx ends, or one of the processes dies.
func Await(ctx context.Context, p Probe, processes ...*Process) error {
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, probeTimeout)
		err := p(attempt)
		cancel()
		if err == nil {
			return nil
		}
		for _, process := range processes {
			select {
			case <-process.Done():
				return process.Failure()
			default:
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-ticker.C:
		}
	}
}

// HTTPProbe succeeds when url answers 200. Each attempt uses a new connection,
// because the listener may not be there yet.
func HTTPProbe(name, url string, security *tls.Config) Probe {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: security, DisableKeepAlives: true}}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(io.LimitReader(resp.Body, answerBytes))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s: %s", name, resp.Status, answer)
		}
		return nil
	}
}
