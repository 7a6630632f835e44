package kube_test

import (
	"log/slog"
	"net/http"
	"strings"
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
	status       int
}

func (s *apiServer) RoundTrip(*http.Request) (*http.Response, error) {
	date := s.date
	if date == "" {
		date = time.Now().Add(s.ahead).UTC().Format(http.TimeFormat)
	}
	time.Sleep(s.takes)
	return &http.Response{StatusCode: max(s.status, http.StatusOK), Body: http.NoBody, Header: http.Header{"Date": {date}}}, nil
}

func TestClockShowsTheTimeOfTheAPIServer(t *testing.T) {
	for _, c := range []struct {
		name   string
		local  time.Duration
		server apiServer
		// least and most are how far the clock may be from the true time after an answer.
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
		{"AnswerOfAProxy", 0, apiServer{ahead: time.Hour, status: http.StatusBadGateway}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(300 * time.Millisecond) // between two whole seconds
				local := &wallClock{wrong: c.local}
				cluster := kube.NewClock(local, slog.New(slog.DiscardHandler))
				if off := time.Until(cluster.Now()); off != c.local {
					t.Errorf("before the first answer the clock is off by %s, the machine's by %s", off, c.local)
				}
				ask(t, cluster, &c.server)
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

// TestClockIsNeverSetOnceItRuns has the control plane's clock set, which must neither end a wait nor make it stand still.
func TestClockIsNeverSetOnceItRuns(t *testing.T) {
	for name, c := range map[string]struct{ ahead, passes time.Duration }{
		"Ahead":     {time.Hour, 11 * time.Minute},
		"Back":      {-time.Hour, 9 * time.Minute},
		"LittleOff": {20 * time.Second, 10*time.Minute + 19*time.Second},
		"Right":     {0, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var said strings.Builder
				cluster := kube.NewClock(clock.RealClock{}, slog.New(slog.NewTextHandler(&said, nil)))
				server := &apiServer{}
				ask(t, cluster, server)
				server.ahead = c.ahead
				began := cluster.Now()
				for range 10 {
					ask(t, cluster, server)
					time.Sleep(time.Minute)
				}
				if passed := cluster.Since(began); passed < c.passes-time.Second || passed > c.passes+time.Second {
					t.Errorf("%s passed by the clock in 10m, want about %s", passed, c.passes)
				}
				if warned := strings.Count(said.String(), "clock differs"); warned > 1 || (warned == 1) != (c.ahead != 0) {
					t.Errorf("warned %d times", warned)
				}
			})
		})
	}
}

// ask makes a request over a connection that sets the clock.
func ask(t *testing.T, cluster *kube.Clock, server *apiServer) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://kubernetes.test", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Listen(server).RoundTrip(request); err != nil { //nolint:bodyclose // it is http.NoBody
		t.Fatal(err)
	}
}
