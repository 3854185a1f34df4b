package brokersim

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestGateHoldsARequestInEachWindow(t *testing.T) {
	for _, stage := range []Stage{BeforeProcessing, AfterProcessing} {
		c := newTestClient(t, Config{Dialect: Saxo})
		token := c.sim.Grant("main").RefreshToken
		other := c.sim.Grant("other").RefreshToken
		gate := c.sim.hold("main", stage)
		got := make(chan testAnswer, 1)
		go func() { got <- c.refresh(token) }()
		<-gate.Entered
		n := c.sim.Account("main")
		c.expect("open, received", n.OpenReceived == 1, stage == BeforeProcessing)
		c.expect("open, processed", n.OpenProcessed == 1, stage == AfterProcessing)
		c.expect("spent", c.sim.RefreshValid(token), stage == BeforeProcessing)
		c.mustRefresh(other) // not held up
		gate.Release()
		<-gate.Done
		c.expect("answer", (<-got).status, 201)
		n = c.sim.Account("main")
		c.expect("answered", n.Answered, 1)
		c.expect("open", n.Open(), 0)
	}
}

func TestGateDrop(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Saxo})
	token := c.sim.Grant("main").RefreshToken
	for _, test := range []struct {
		gate *Gate
		good bool
	}{{c.sim.HoldNext("main"), true}, {c.sim.HoldNextAnswer(""), false}} {
		test.gate.Drop()
		if a := c.refresh(token); a.err == nil {
			t.Errorf("answered %d", a.status)
		}
		<-test.gate.Done
		c.expect("token is good", c.sim.RefreshValid(token), test.good)
	}
	n := c.sim.Account("main")
	c.expect("cut while received", n.CutReceived, 1)
	c.expect("cut while processed", n.CutProcessed, 1)
	c.expect("answered", n.Answered, 0)
}

// TestClientThatGoesAway: over real sockets, as when its process is killed. The
// broker has the request and processes it.
func TestClientThatGoesAway(t *testing.T) {
	sim := New(Config{Dialect: Saxo})
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	c := &testClient{t: t, sim: sim}
	token := sim.Grant("main").RefreshToken
	gate := sim.HoldNext("main")
	killed := make(chan struct{})
	var conn net.Conn
	c.http = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			var err error
			conn, err = new(net.Dialer).DialContext(ctx, network, address)
			return conn, err
		},
	}}
	go func() { c.refresh(token); close(killed) }()
	<-gate.Entered
	conn.Close()
	<-killed
	<-gate.Gone
	gate.Release()
	<-gate.Done
	c.expect("spent nevertheless", sim.RefreshValid(token), false)
	n := sim.Account("main")
	c.expect("cut while processed", n.CutProcessed, 1)
	c.expect("answered", n.Answered, 0)
}

// TestConcurrentUseOfOneRefreshToken: one wins, and the grant dies.
func TestConcurrentUseOfOneRefreshToken(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Saxo})
	token := c.sim.Grant("main").RefreshToken
	gate := c.sim.HoldNext("main")
	slow := make(chan testAnswer, 1)
	go func() { slow <- c.refresh(token) }()
	<-gate.Entered
	next := c.mustRefresh(token)
	c.expect("a reuse shows when it is processed", len(c.sim.Reused()), 0)
	gate.Release()
	c.expect("the second", (<-slow).status, 400)
	c.expect("reuses", len(c.sim.Reused()), 1)
	c.expect("chain", c.sim.RefreshValid(next), false)
}

func TestWait(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Schwab})
	token := c.sim.Grant("main").RefreshToken
	waited := make(chan error, 1)
	go func() {
		waited <- c.sim.Wait(context.Background(), func(s Stats) bool { return s.Accounts["main"].Refreshes >= 3 })
	}()
	for range 3 {
		c.mustRefresh(token)
	}
	if err := <-waited; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.sim.Wait(ctx, func(Stats) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestCountsAddEveryField(t *testing.T) {
	var one, sum Counts
	v := reflect.ValueOf(&one).Elem()
	for i := range v.NumField() {
		v.Field(i).SetInt(int64(i + 1))
	}
	sum.add(one)
	if sum != one {
		t.Errorf("sum %+v of %+v", sum, one)
	}
}

// TestManyAtOnce is for the race detector, and checks that the windows add up.
func TestManyAtOnce(t *testing.T) {
	sim := New(Config{Dialect: Schwab})
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	sim.Chaos(3, 0.5, LostAnswer(), LostAnswer().At(AfterProcessing), Cut(0), ServerError(500), Garbage())
	var workers sync.WaitGroup
	for _, account := range []string{"a", "b", "c"} {
		c := &testClient{t: t, sim: sim, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
		token := sim.Grant(account).RefreshToken
		workers.Go(func() {
			for range 40 {
				c.refresh(token)
				sim.Current(account)
				sim.Reused()
			}
		})
	}
	workers.Wait()
	n := sim.Stats().Total
	if n.Posts != 120 || n.Open() != 0 || n.Posts != n.Answered+n.CutReceived+n.CutProcessed || n.Faults == 0 || n.CutProcessed == 0 {
		t.Errorf("counters do not add up: %+v", n)
	}
}

func TestOutage(t *testing.T) {
	sim := New(Config{Dialect: Schwab})
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	c := &testClient{t: t, sim: sim, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	token, address := sim.Grant("main").RefreshToken, sim.TokenURL()
	c.mustRefresh(token)
	sim.Stop()
	var refused *net.OpError
	if a := c.refresh(token); !errors.As(a.err, &refused) {
		t.Errorf("got %d %v", a.status, a.err)
	}
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	c.expect("address", sim.TokenURL(), address)
	c.mustRefresh(token)
}

func TestSpeedShortensLifetimes(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Schwab, Speed: 1800})
	g := c.sim.Grant("main")
	c.expect("access", g.ExpiresIn, time.Second)
	c.expect("refresh", g.RefreshExpiresIn, 336*time.Second)
	c.expect("expires_in", c.refresh(g.RefreshToken).body["expires_in"], 1.0)
}

// TestSimulatedWeek: a Saxo grant lives through a week of refreshes, by the
// bubble's clock and in memory.
func TestSimulatedWeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestClient(t, Config{Dialect: Saxo})
		defer c.sim.Close()
		token := c.sim.Grant("main").RefreshToken
		for end := time.Now().Add(7 * 24 * time.Hour); time.Now().Before(end); time.Sleep(15 * time.Minute) {
			token = c.mustRefresh(token)
		}
		c.expect("refreshes", c.sim.Account("main").Refreshes, 7*24*4)
		time.Sleep(40 * time.Minute)
		c.expect("dead when nobody refreshed", c.sim.RefreshValid(token), false)
	})
}

func TestCloseLetsHeldRequestsGo(t *testing.T) {
	c := newTestClient(t, Config{Dialect: Saxo})
	token := c.sim.Grant("main").RefreshToken
	gate := c.sim.HoldNext("main")
	ended := make(chan testAnswer, 1)
	go func() { ended <- c.refresh(token) }()
	<-gate.Entered
	c.sim.Close()
	if a := <-ended; a.err == nil {
		t.Errorf("answered %d", a.status)
	}
	<-gate.Done
	c.expect("cut", c.sim.Account("main").CutReceived, 1)
	_, err := c.http.PostForm(c.sim.TokenURL(), url.Values{})
	var refused *net.OpError
	c.expect("refused afterwards", errors.As(err, &refused), true)
}

func TestRevokeAndClockAhead(t *testing.T) {
	clock := newManualClock()
	c := newTestClient(t, Config{Dialect: Saxo, Now: clock.Now, ClockAhead: time.Hour})
	g := c.sim.Grant("main")
	a := c.refresh(g.RefreshToken)
	c.expect("Date", a.header.Get("Date"), clock.now.Add(time.Hour).Format(http.TimeFormat))
	c.sim.Revoke("main")
	c.expect("refresh", c.refresh(a.body["refresh_token"].(string)).status, 400)
	c.expect("access", c.resource(a.body["access_token"].(string)), 401)
	now, known := c.sim.Current("main")
	c.expect("alive", now.Alive || now.AccessToken != "", false)
	c.expect("known", known, true)
	_, known = c.sim.Current("nobody")
	c.expect("unknown", known, false)
}
