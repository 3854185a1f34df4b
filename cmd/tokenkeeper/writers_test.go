package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile/sharedfiletest"
)

var writerRefreshes = flag.Int("refreshes", 20, "TestManyWriters: how many refreshes each of the 8 bots does")

// TestManyWriters: eight bots and the supervisor share one grant of a broker
// that ends it at the second use of a refresh token. Other bots take the lock
// and are killed while they hold it, and one hangs with it for a while.
//
//	go test ./cmd/tokenkeeper -run TestManyWriters -refreshes 1000 -timeout 0 -v
func TestManyWriters(t *testing.T) {
	t.Parallel()
	const bots = 8
	sim := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: 2 * time.Second, RefreshLifetime: time.Hour})
	s := newSite(t, "")
	path := s.path("shared.json")
	s.configure(t, "accounts:\n"+accountYAML(saxoAccount, sim, sim.TokenURL(), "jitter: 0s")+
		fmt.Sprintf("    shared_file: {path: %s, format: %s}\n", path, format.SaxoCache)+filesYAML)
	first, cfg := sim.Grant(saxoAccount), sim.Config()
	body, err := json.Marshal(map[string]any{
		"app_key": cfg.ClientID, "app_secret": cfg.ClientSecret, "access_token": first.AccessToken, "refresh_token": first.RefreshToken,
		"token_expiry": first.IssuedAt.Add(first.ExpiresIn - time.Minute).Local().Format("2006-01-02T15:04:05.000000"), "of the bots": 7,
	})
	if err == nil {
		err = os.WriteFile(path, body, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}

	r := startRun(t, s)
	r.until(func(st control.Status) bool { return account(st, saxoAccount).Version > 0 })
	seen := readSink(t, s.path(saxoAccount+".json"))
	each := *writerRefreshes
	if testing.Short() && raceDetector {
		each = min(each, 12)
	}
	bot := sharedfiletest.Bot{
		Path: path, Lock: path + ".lock", TokenURL: sim.TokenURL(), Refreshes: each, Pause: 250 * time.Millisecond,
	}
	working, worked := context.WithCancel(t.Context())
	var others sync.WaitGroup
	killed, asked := 0, 0
	others.Go(func() { killed = killHolders(t, working, bot) })
	others.Go(func() { asked = askForRefreshes(t, working, r) })
	// Who gets the lock how often is up to the kernel: they go on until
	// everybody has done enough.
	share, theirs, rounds := bots*each, 0, 0
	enough := func() bool {
		return sim.Account(saxoAccount).Refreshes-theirs >= share/40 && seen.count() >= share/10
	}
	for ; rounds == 0 || !enough() && rounds < 10 && !t.Failed(); rounds++ {
		var processes []*sharedfiletest.Process
		for range bots {
			processes = append(processes, sharedfiletest.Start(t, bot))
		}
		for _, p := range processes {
			all, err := p.Wait()
			if err != nil {
				t.Errorf("a bot did %d refreshes: %v", len(all), err)
			}
			theirs += len(all)
		}
	}
	worked()
	others.Wait()

	// Everything comes to rest at the newest token.
	r.until(func(st control.Status) bool {
		a := account(st, saxoAccount)
		return !a.InFlight && len(a.Sinks) == 1 && a.Sinks[0].Version == a.Version && a.State == control.AccountValid &&
			seen.last().Version == a.Version
	})
	r.Stop()
	seen.stop()
	inFile := decodeFile[tokenFile](t, path)
	current, _ := sim.Current(saxoAccount)
	counts := sim.Account(saxoAccount)
	ours := counts.Refreshes - theirs
	t.Logf("%d refreshes by %d bots and %d by the supervisor, which was asked %d times; %d versions seen by a consumer; %d holders of the lock killed",
		theirs, bots, ours, asked, len(seen.all), killed)
	if len(sim.Reused()) > 0 || counts.Repeats > 0 || counts.Refused > 0 || len(sim.Violations()) > 0 {
		t.Errorf("at the broker: %+v, %v", counts, sim.Violations())
	}
	if !current.Alive || seen.last().Refresh != current.RefreshToken || inFile.Refresh != current.RefreshToken {
		t.Errorf("the grant is alive: %t; the newest refresh token is at the consumer: %t, in the shared file: %t",
			current.Alive, seen.last().Refresh == current.RefreshToken, inFile.Refresh == current.RefreshToken)
	}
	if theirs != rounds*share || ours < share/40 || killed == 0 || len(seen.all) < share/10 {
		t.Error("somebody did too little for this to prove anything")
	}
}

// killHolders starts bots that take the lock, and kills each of them while it
// holds it; the third one hangs with it for longer than tokens live.
func killHolders(t *testing.T, ctx context.Context, bot sharedfiletest.Bot) (killed int) {
	bot.Hang = true
	for {
		p := sharedfiletest.Start(t, bot)
		p.Locked(t)
		hang := rand.N(30 * time.Millisecond)
		if killed == 2 {
			hang = 3 * time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(hang):
		}
		p.Kill()
		killed++
		select {
		case <-ctx.Done():
			return killed
		case <-time.After(rand.N(200 * time.Millisecond)):
		}
	}
}

// askForRefreshes asks the supervisor again and again, as a person does, because
// the bots leave it nothing to do.
func askForRefreshes(t *testing.T, ctx context.Context, r *running) (asked int) {
	for {
		switch err := <-r.forceRefresh(saxoAccount); {
		case err == nil:
			asked++
		case strings.Contains(err.Error(), deadAlready):
		case strings.Contains(err.Error(), "lock the shared file: ") && strings.Contains(err.Error(), " has been locked since "):
			// The bots give it from hand to hand: who tries it now and then may meet no
			// moment in which it is free.
		default:
			t.Errorf("refresh: %v", err)
			return asked
		}
		select {
		case <-ctx.Done():
			return asked
		case <-time.After(rand.N(50 * time.Millisecond)):
		}
	}
}

// sinkReader is a consumer of the file sink, who notes every version.
type sinkReader struct {
	path     string
	stop     func()
	versions map[string]uint64 // of each refresh token
	mu       sync.Mutex
	all      []tokenFile
}

// readSink reads the file until it is stopped, once more then, or until the test
// ends. It fails the test if a version goes back, or a token comes back as
// another version.
func readSink(t *testing.T, path string) *sinkReader {
	ctx, cancel := context.WithCancel(context.Background())
	c := &sinkReader{path: path, versions: map[string]uint64{}}
	var reader sync.WaitGroup
	reader.Go(func() {
		look := time.NewTicker(2 * time.Millisecond)
		defer look.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-look.C:
				c.look(t)
			}
		}
	})
	t.Cleanup(func() { cancel(); reader.Wait() })
	c.stop = func() {
		cancel()
		reader.Wait()
		c.look(t) // what came since the last look
	}
	return c
}

func (c *sinkReader) look(t *testing.T) {
	body, err := os.ReadFile(c.path)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	var f tokenFile
	if err == nil {
		err = json.Unmarshal(body, &f)
	}
	last := c.last()
	switch known, again := c.versions[f.Refresh]; {
	case err != nil:
		t.Errorf("a consumer reads no whole token: %v", err)
	case f.Version < last.Version, f.Version == last.Version && f.Refresh != last.Refresh && last.Version > 0:
		t.Errorf("a consumer sees version %d after %d", f.Version, last.Version)
	case again && known != f.Version:
		t.Errorf("the token of version %d comes back as version %d", known, f.Version)
	case f.Version > last.Version:
		c.versions[f.Refresh] = f.Version
		c.mu.Lock()
		c.all = append(c.all, f)
		c.mu.Unlock()
	}
}

// count is how many versions the consumer saw.
func (c *sinkReader) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

// last is what the consumer saw last.
func (c *sinkReader) last() tokenFile {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.all) == 0 {
		return tokenFile{}
	}
	return c.all[len(c.all)-1]
}
