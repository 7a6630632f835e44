package kube_test

import (
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"

	"github.com/vpsie/vpsie-autoscaler/libs/kube"
)

// wallClock is a machine's clock that somebody sets.
type wallClock struct {
	clock.RealClock
	wrong time.Duration
}

func (c *wallClock) Now() time.Time { return time.Now().Add(c.wrong) }

// apiServer answers with its time, after a while.
type apiServer struct {
	ahead, takes time.Duration
	date         string
}

func (s *apiServer) RoundTrip(*http.Request) (*http.Response, error) {
	date := s.date
	if date == "" {
		date = time.Now().Add(s.ahead).UTC().Format(http.TimeFormat)
	}
	time.Sleep(s.takes)
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{"Date": {date}}}, nil
}

func TestClockShowsTheTimeOfTheAPIServer(t *testing.T) {
	for _, c := range []struct {
		name   string
		local  time.Duration
		server apiServer
		// want is how far the clock may be from the true time.
		least, most time.Duration
	}{
		{"RightClock", 0, apiServer{}, 0, 0},
		{"DayBehind", -24 * time.Hour, apiServer{}, -time.Second, 0},
		{"DayAhead", 24 * time.Hour, apiServer{}, -time.Second, 0},
		{"WithinAHeadersPrecision", -1500 * time.Millisecond, apiServer{}, -1500 * time.Millisecond, -1500 * time.Millisecond},
		{"SlowAnswerSaysNothingNew", 0, apiServer{takes: time.Minute}, 0, 0},
		{"SlowAnswerToAWrongClock", time.Hour, apiServer{takes: time.Minute}, -61 * time.Second, 0},
		{"ControlPlaneIsAhead", 0, apiServer{ahead: time.Hour}, time.Hour - time.Second, time.Hour},
		{"NoDate", time.Hour, apiServer{date: "soon"}, time.Hour, time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(300 * time.Millisecond) // between two whole seconds
				local := &wallClock{wrong: c.local}
				cluster := kube.NewClock(local, slog.New(slog.DiscardHandler))
				if off := time.Until(cluster.Now()); off != c.local {
					t.Errorf("before the first answer the clock is off by %s, the machine's by %s", off, c.local)
				}
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://kubernetes.test", nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := cluster.Listen(&c.server).RoundTrip(request); err != nil { //nolint:bodyclose // it is http.NoBody
					t.Fatal(err)
				}
				first := cluster.Now()
				if off := time.Until(first); off < c.least || off > c.most {
					t.Errorf("the clock is off by %s, may be by %s to %s", off, c.least, c.most)
				}
				local.wrong = -time.Hour
				time.Sleep(10 * time.Second)
				if passed := cluster.Since(first); passed != 10*time.Second {
					t.Errorf("%s passed by the clock in 10s while the machine's clock was set", passed)
				}
			})
		})
	}
}
