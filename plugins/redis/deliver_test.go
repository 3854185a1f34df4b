package redis_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/plugins/redis"
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// TestSubscriberGetsEachInOrder: what is published is what is then under the
// key.
func TestSubscriberGetsEachInOrder(t *testing.T) {
	quiet(t)
	r := start(t)
	subscription := r.admin.Subscribe(t.Context(), "tokenkeeper:saxo-live")
	defer subscription.Close()
	if _, err := subscription.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	messages := subscription.Channel()
	const versions = 200
	for n := range uint64(versions) {
		r.must(r.deliver(n + 1))
		r.holds(n + 1)
	}
	for n := range uint64(versions) {
		m := waittest.Receive(t, fmt.Sprintf("message %d", n), messages)
		if want := content("saxo-live", n+1); m.Payload != want {
			t.Fatalf("message %d is %s, want %s", n, m.Payload, want)
		}
	}
}

// TestTwoSupervisors write at once, each in its own order: the newest wins, and
// nobody ever sees an older one after it.
func TestTwoSupervisors(t *testing.T) {
	r := start(t)
	subscription := r.admin.Subscribe(t.Context(), "tokenkeeper:saxo-live")
	defer subscription.Close()
	if _, err := subscription.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	messages := subscription.Channel()
	const writers, versions = 4, 50
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for n := range uint64(versions) {
				if err := r.deliver(n + 1); err != nil && !errors.Is(err, sdk.ErrRefused) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	r.holds(versions)
	last := uint64(0)
	late := waittest.Late(t)
	for last < versions {
		select {
		case m := <-messages:
			var n uint64
			if _, err := fmt.Sscanf(m.Payload, `{"account":"saxo-live","version":%d,`, &n); err != nil {
				t.Fatal(err)
			}
			if n < last {
				t.Fatalf("version %d was published after %d", n, last)
			}
			last = n
		case <-late:
			t.Fatalf("version %d was never published", versions)
		}
	}
}

func TestOrder(t *testing.T) {
	for name, c := range map[string]struct {
		before, now uint64
		issued      time.Duration // of now, after that of before
		refused     bool
	}{
		"newer":                     {before: 5, now: 6, issued: time.Second},
		"the same again":            {before: 5, now: 5},
		"older":                     {before: 5, now: 4, issued: -time.Second, refused: true},
		"older in the same second":  {before: 5, now: 4, refused: true},
		"the same version, earlier": {before: 5, now: 5, issued: -time.Second, refused: true},
		"the store was set up anew": {before: 99, now: 1, issued: time.Hour},
		"the clock was set back":    {before: 5, now: 6, issued: -time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t)
			r.must(r.deliver(c.before))
			req := r.request("saxo-live", c.now)
			req.Token.IssuedAt = began.Add(time.Duration(c.before) * time.Second).Add(c.issued)
			err := r.send(req)
			if errors.Is(err, sdk.ErrRefused) != c.refused || (err == nil) == c.refused {
				t.Errorf("the error is %v", err)
			}
			if c.refused {
				r.holds(c.before)
			} else {
				r.holds(c.now)
			}
		})
	}
}

func TestTTL(t *testing.T) {
	for name, c := range map[string]struct {
		ttl      string
		lifetime time.Duration
		left     time.Duration // 0: for ever
	}{
		"the token's":        {lifetime: 20 * time.Minute, left: 21 * time.Minute},
		"named":              {ttl: "token", lifetime: 20 * time.Minute, left: 21 * time.Minute},
		"unknown lifetime":   {},
		"a dead token":       {lifetime: -time.Hour, left: time.Minute},
		"none":               {ttl: "none", lifetime: 20 * time.Minute},
		"fixed":              {ttl: "48h", lifetime: 20 * time.Minute, left: 48 * time.Hour},
		"fixed, dead token":  {ttl: "48h", lifetime: -time.Hour, left: 48 * time.Hour},
		"fixed, no lifetime": {ttl: "48h", left: 48 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t)
			if c.ttl != "" {
				r.settings = with(r.settings, "ttl", c.ttl)
			}
			req := r.request("saxo-live", 1)
			req.Token.IssuedAt, req.Token.Lifetime = time.Now(), c.lifetime
			if c.lifetime == 0 {
				req.Token.IssuedAt = time.Time{}
			}
			r.must(r.send(req))
			for _, key := range []string{"tokenkeeper:saxo-live", "tokenkeeper:saxo-live:version"} {
				got := r.admin.PTTL(t.Context(), key).Val()
				if c.left == 0 && got != -1 || c.left > 0 && (got > c.left || got < c.left-patience) {
					t.Errorf("%s lives for %s, want %s", key, got, c.left)
				}
			}
		})
	}
	t.Run("ends with a newer one that stays", func(t *testing.T) {
		r := start(t)
		r.must(r.deliver(1))
		r.settings = with(r.settings, "ttl", "none")
		r.must(r.deliver(2))
		if got := r.admin.PTTL(t.Context(), "tokenkeeper:saxo-live").Val(); got != -1 {
			t.Errorf("it lives for %s", got)
		}
	})
}

func TestChannels(t *testing.T) {
	for channel, published := range map[string]string{"": "tokenkeeper:saxo-live", "{provider}/{account}": "saxo/saxo-live", "none": ""} {
		r := start(t)
		if channel != "" {
			r.settings = with(r.settings, "channel", channel)
		}
		subscription := r.admin.PSubscribe(t.Context(), "*")
		defer subscription.Close()
		if _, err := subscription.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.must(r.deliver(1))
		r.do("PUBLISH", "end", "")
		m := waittest.Receive(t, "what was published", subscription.Channel())
		if m.Channel != published && (published != "" || m.Channel != "end") {
			t.Errorf("channel %q: published on %q", channel, m.Channel)
		}
	}
}

// TestHangingServer is stopped and goes on: the delivery ends at its deadline,
// or at once when it is given up, and the next one arrives.
func TestHangingServer(t *testing.T) {
	r := start(t)
	r.must(r.deliver(1))
	r.hang()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := r.sink.Deliver(ctx, r.request("saxo-live", 2)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
	// Without a deadline there is nothing but the cancelling.
	p := r.proxy()
	given, giveUp := context.WithCancel(t.Context())
	p.set(func(int, []byte) bool { giveUp(); return true })
	if err := r.sink.Deliver(given, p.request(2)); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	r.resume()
	r.must(r.deliver(2))
	r.holds(2)
}

// TestKilledInMidDelivery: before the server has the script, or when it has
// run it and the answer is lost.
func TestKilledInMidDelivery(t *testing.T) {
	for _, direction := range []int{toServer, toClient} {
		t.Run([]string{"before", "after"}[direction], func(t *testing.T) {
			r := start(t)
			r.must(r.deliver(1))
			p := r.proxy()
			sent, dead := false, make(chan struct{})
			p.set(func(d int, b []byte) bool {
				sent = sent || d == toServer && strings.Contains(string(b), "eval")
				if !sent || d != direction {
					return true
				}
				r.kill()
				close(dead)
				return false
			})
			err := r.send(p.request(2))
			<-dead
			if err == nil || !strings.Contains(err.Error(), "before it answered") {
				t.Errorf("the error is %v", err)
			}
			if err := r.deliver(2); err == nil || !strings.Contains(err.Error(), "nothing listens") {
				t.Errorf("while it is down, the error is %v", err)
			}
			r.run()
			r.holds(uint64(1 + direction)) // what was answered for had been written to disk
			r.must(r.deliver(2))
			r.holds(2)
			r.must(r.deliver(3))
			r.holds(3)
		})
	}
}

func TestRefusals(t *testing.T) {
	limited := []any{"ACL", "SETUSER", "bot", "on", ">CANARY-bot", "+@all", "-publish", "~tokenkeeper:*", "&*"}
	for name, c := range map[string]struct {
		settings []string
		before   [][]any
		says     string
		after    [][]any // heals it; nil: nothing to heal
	}{
		"wrong password":  {settings: []string{"password", "CANARY-wrong"}, says: "check the settings username and password"},
		"no password":     {settings: []string{"password", ""}, says: "check the settings username and password"},
		"no such user":    {settings: []string{"username", "CANARY"}, says: "check the settings username and password"},
		"no such db":      {settings: []string{"db", "99"}, says: "database of that number"},
		"no memory":       {before: [][]any{{"CONFIG", "SET", "maxmemory", "1"}}, says: "no memory left", after: [][]any{{"CONFIG", "SET", "maxmemory", "0"}}},
		"a replica":       {before: [][]any{{"REPLICAOF", "127.0.0.1", "1"}}, says: "read-only replica", after: [][]any{{"REPLICAOF", "NO", "ONE"}}},
		"a list":          {before: [][]any{{"LPUSH", "tokenkeeper:saxo-live:version", "x"}}, says: "another program's", after: [][]any{{"DEL", "tokenkeeper:saxo-live:version"}}},
		"may not publish": {settings: []string{"username", "bot", "password", "CANARY-bot"}, before: [][]any{limited}, says: "+publish &tokenkeeper:saxo-live", after: [][]any{{"ACL", "SETUSER", "bot", "+publish"}}},
		"may not run":     {settings: []string{"username", "bot", "password", "CANARY-bot"}, before: [][]any{limited, {"ACL", "SETUSER", "bot", "-eval"}}, says: "+eval", after: [][]any{{"ACL", "SETUSER", "bot", "+eval", "+publish"}}},
		"another's key":   {settings: []string{"username", "bot", "password", "CANARY-bot"}, before: [][]any{limited, {"ACL", "SETUSER", "bot", "resetkeys", "~other"}}, says: "~tokenkeeper:saxo-live", after: [][]any{{"ACL", "SETUSER", "bot", "~tokenkeeper:*", "+publish"}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, c.settings...)
			for _, command := range c.before {
				r.do(command...)
			}
			err := r.deliver(1)
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), r.socket()) {
				t.Errorf("the error is %v, want one that says %q and names the server", err, c.says)
			}
			if errors.Is(err, sdk.ErrRefused) || errors.Is(err, sdk.ErrAbsent) || errors.Is(err, sdk.ErrGone) {
				t.Errorf("the error is not tried again: %v", err)
			}
			err = r.sink.Test(t.Context(), sdk.TestRequest{Sink: "cache", Settings: r.settings, Account: "saxo-live", Provider: "saxo"})
			r.free(err)
			if err == nil {
				t.Error("the test found nothing")
			}
			for _, command := range c.after {
				r.do(command...)
			}
			if c.after != nil {
				r.must(r.deliver(1))
				r.holds(1)
			}
		})
	}
}

// TestLeastRights: a user with what README.md says, and no more, is enough.
func TestLeastRights(t *testing.T) {
	r := start(t, "username", "tokenkeeper", "password", "CANARY-bot")
	r.do("ACL", "SETUSER", "tokenkeeper", "on", ">CANARY-bot", "+eval", "+get", "+set", "+publish", "~tokenkeeper:*", "&tokenkeeper:*")
	test := func() error {
		return r.sink.Test(t.Context(), sdk.TestRequest{Sink: "cache", Settings: r.settings, Account: "saxo-live", Provider: "saxo"})
	}
	r.must(test())
	if got := r.admin.DBSize(t.Context()).Val(); got != 0 {
		t.Errorf("the test left %d keys", got)
	}
	r.must(r.deliver(1))
	r.must(r.deliver(2))
	r.must(test())
	r.holds(2)
	if _, err := r.restore("saxo-live"); err != nil {
		t.Error(err)
	}
}

func TestOthersKeys(t *testing.T) {
	r := start(t)
	r.settings = with(r.settings, "key", "token")
	r.must(r.send(r.request("a", 1)))
	if err := r.send(r.request("b", 1)); !errors.Is(err, sdk.ErrRefused) || !strings.Contains(err.Error(), "account a:") {
		t.Errorf("the error is %v", err)
	}
	r.do("SET", "token:version", "CANARY")
	if err := r.send(r.request("a", 2)); !errors.Is(err, sdk.ErrRefused) || !strings.Contains(err.Error(), "token:version") {
		t.Errorf("the error is %v", err)
	}
	if got := r.get("token"); got != content("a", 1) {
		t.Errorf("the key holds %s", got)
	}
}

func TestSettings(t *testing.T) {
	for _, c := range []struct{ name, value, says string }{
		{"address", "localhost", "host:port"},
		{"db", "-1", "number of a database"},
		{"tls", "yes", "true or false"},
		{"tls", "true", "Unix socket"},
		{"ca_file", "/etc/ssl/x.pem", "for tls: true"},
		{"ttl", "1s", "duration of 1m0s"},
		{"ttl", "CANARY", "duration"},
	} {
		err := redis.New(dial).Deliver(t.Context(), sdk.DeliverRequest{
			Account: "a", Settings: with(sdk.Settings{"address": sdk.NewSecret("/nowhere")}, c.name, c.value),
		})
		if !errors.Is(err, sdk.ErrRefused) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s %q: the error is %v, want %q", c.name, c.value, err, c.says)
		}
	}
}

// TestLeavesNothingBehind: no goroutine and no connection outlives a delivery.
func TestLeavesNothingBehind(t *testing.T) {
	r := start(t)
	r.must(r.deliver(1))
	before := runtime.NumGoroutine()
	for range 50 {
		r.must(r.deliver(1))
	}
	waittest.Until(t, fmt.Sprintf("no more than the %d goroutines that there were", before), func() bool {
		return runtime.NumGoroutine() <= before+1 // the wait has one of its own
	})
}

func BenchmarkDeliver(b *testing.B) {
	r := start(b)
	r.do("CONFIG", "SET", "appendonly", "no")
	n := uint64(0)
	for b.Loop() {
		n++
		if err := r.deliver(n); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
}
