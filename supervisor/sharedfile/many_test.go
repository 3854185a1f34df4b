package sharedfile_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile/sharedfiletest"
)

// refresh does with our own File what a bot does with its own code.
func refresh(ctx context.Context, f *sharedfile.File, tokenURL string) (r sharedfiletest.Refresh, err error) {
	release, err := f.Lock(ctx)
	if err != nil {
		return r, err
	}
	defer func() {
		if e := release(); err == nil {
			err = e
		}
	}()
	d, err := f.Read()
	if err != nil {
		return r, err
	}
	r.Used = d.RefreshToken.Reveal()
	resp, err := http.PostForm(tokenURL, url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {r.Used},
		"client_id": {d.ClientID}, "client_secret": {d.ClientSecret.Reveal()},
	})
	if err != nil {
		return r, err
	}
	defer resp.Body.Close()
	var a struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		ExpiresIn    int    `json:"expires_in"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil || resp.StatusCode/100 != 2 {
		return r, fmt.Errorf("the broker answered %s, %w", resp.Status, err)
	}
	r.Got = a.RefreshToken
	now := time.Now()
	return r, f.Write(format.Document{
		Account: "main", AccessToken: sdk.NewSecret(a.AccessToken), RefreshToken: sdk.NewSecret(a.RefreshToken),
		IssuedAt: now, Expiry: now.Add(time.Duration(a.ExpiresIn) * time.Second),
	})
}

var refreshesOfEach = flag.Int("refreshes", 60, "TestManyWriters: how many refreshes each of the 8 bots does, and the File")

// TestManyWriters: bots that know nothing of this package and a File refresh
// one grant, at a broker that revokes it at the second use of a refresh token.
//
//	go test ./supervisor/sharedfile -run TestManyWriters -refreshes 1000 -timeout 0 -v
func TestManyWriters(t *testing.T) {
	const bots = 8
	each, ours := *refreshesOfEach, *refreshesOfEach
	if testing.Short() {
		each, ours = 20, 20
	}
	sim := brokersim.New(brokersim.Config{Dialect: brokersim.Saxo})
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	first := sim.Grant("main")
	f, cfg := newFile(t, sharedfile.Config{Patience: time.Hour})
	write(t, cfg.Path, fmt.Sprintf(`{"app_key": %q, "app_secret": %q, "refresh_token": %q, "of the bots": [1, {"a": null}]}`,
		sim.Config().ClientID, sim.Config().ClientSecret, first.RefreshToken), 0o640)

	// A reader without the lock notes which tokens it sees, in which order.
	var seen []string
	reading, stop := context.WithCancel(t.Context())
	var reader sync.WaitGroup
	reader.Go(func() {
		for reading.Err() == nil {
			d, err := f.Read()
			if err != nil {
				t.Errorf("a reader saw no whole token: %v", err)
				return
			}
			if r := d.RefreshToken.Reveal(); len(seen) == 0 || seen[len(seen)-1] != r {
				seen = append(seen, r)
			}
			select {
			case <-reading.Done():
			case <-time.After(200 * time.Microsecond):
			}
		}
	})

	var processes []*sharedfiletest.Process
	for range bots {
		processes = append(processes, sharedfiletest.Start(t, sharedfiletest.Bot{
			Path: cfg.Path, Lock: cfg.Lock, TokenURL: sim.TokenURL(), Refreshes: each,
		}))
	}
	next := map[string]string{} // by refresh token, the one that it was used for
	note := func(r sharedfiletest.Refresh) {
		if other, twice := next[r.Used]; twice {
			t.Errorf("refresh token %s was used for %s and for %s", r.Used, other, r.Got)
		}
		next[r.Used] = r.Got
	}
	// Nobody queues for the lock: how long one waits is the others' luck.
	refreshes := func() any { return sim.Account("main").Refreshes }
	for range ours {
		ctx, cancel := waittest.Context(t.Context(), waittest.Patience, refreshes)
		r, err := refresh(ctx, f, sim.TokenURL())
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		note(r)
	}
	for _, p := range processes {
		all, err := p.Wait()
		if err != nil || len(all) != each {
			t.Fatalf("a bot did %d refreshes: %v", len(all), err)
		}
		for _, r := range all {
			note(r)
		}
	}
	stop()
	reader.Wait()

	// All refreshes are one chain, and nobody saw it go back.
	place, last := map[string]int{}, first.RefreshToken
	for place[last] = 0; next[last] != ""; {
		last = next[last]
		place[last] = len(place)
	}
	if want := bots*each + ours; len(place) != want+1 || sim.Account("main").Refreshes != want {
		t.Errorf("a chain of %d refreshes, %d at the broker; want %d", len(place)-1, sim.Account("main").Refreshes, want)
	}
	for i := 1; i < len(seen); i++ {
		if place[seen[i]] <= place[seen[i-1]] {
			t.Errorf("a reader saw version %d after version %d", place[seen[i]], place[seen[i-1]])
		}
	}
	counts := sim.Account("main")
	if len(sim.Reused()) > 0 || counts.Repeats > 0 || counts.Refused > 0 || len(sim.Violations()) > 0 {
		t.Errorf("at the broker: %+v, %v", counts, sim.Violations())
	}
	if current, _ := sim.Current("main"); !current.Alive || current.RefreshToken != last {
		t.Errorf("the grant is alive: %v; its newest refresh token is the last one: %v", current.Alive, current.RefreshToken == last)
	}
	raw, err := os.ReadFile(cfg.Path)
	var file map[string]any
	if err == nil {
		err = json.Unmarshal(raw, &file)
	}
	if err != nil || file["refresh_token"] != last || fmt.Sprint(file["of the bots"]) != "[1 map[a:<nil>]]" {
		t.Errorf("the file holds %s, %v", raw, err)
	}
	t.Logf("%d refreshes by %d processes, %d versions seen by a reader", len(place)-1, bots+1, len(seen))
}
