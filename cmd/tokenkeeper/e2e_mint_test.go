package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// mintBroker mints a token for whoever has its key.
type mintBroker struct {
	mu     sync.Mutex
	key    string
	held   *held // nil: no answer waits
	minted int   // requests that were accepted
	came   int
}

// held is a request whose answer waits.
type held struct{ came, answer chan struct{} }

func (b *mintBroker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, secret, _ := r.BasicAuth()
	b.mu.Lock()
	b.came++
	good, h := secret == b.key, b.held
	b.held = nil
	if good {
		b.minted++
	}
	n := b.minted
	b.mu.Unlock()
	if h != nil {
		close(h.came)
		<-h.answer
	}
	w.Header().Set("Content-Type", "application/json")
	if !good {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"the key was withdrawn"}`))
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": fmt.Sprintf("minted-%d", n), "expires_in": 900})
}

func (b *mintBroker) takes(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.key = key
}

// holdNext keeps back the answer to the next request.
func (b *mintBroker) holdNext() *held {
	h := &held{make(chan struct{}), make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held = h
	return h
}

func (b *mintBroker) requests() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.came
}

// TestMintedFromAKey has an account that is a few lines of YAML, a key among them:
// nobody logs in and nothing is imported. A kill -9 in the middle of a mint, also of
// the first, costs no token and no second request; a key that is refused is a matter of
// the configuration, and every verb says so.
func TestMintedFromAKey(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	sim := &mintBroker{key: "first-key"}
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	yaml := func(key string) string {
		return fmt.Sprintf("plugins: {dir: plugins}\naccounts:\n  desk: {provider: mints, client_id: me, client_secret: %s, settings: {token_url: %q}}\n"+
			"sinks:\n  files: {type: file, path: '{account}.json'}\n", key, server.URL)
	}
	s := newSite(t, yaml("first-key"))
	if err := goBuild(example("providers-short/mints"), s.path("plugins/tokenkeeper-provider-mints")); err != nil {
		t.Fatal(err)
	}
	says := func(code int, stdin string, wants []string, args ...string) {
		t.Helper()
		got := s.tool(t, stdin, args...)
		text := strings.Join(strings.Fields(got.stdout+got.stderr), " ")
		for _, want := range wants {
			if got.code != code || !strings.Contains(text, want) {
				t.Errorf("%v: %q is not there: %d\n%s%s", args, want, got.code, got.stdout, got.stderr)
			}
		}
		checksum := regexp.MustCompile(`[0-9a-f]{64}`)
		for table := range strings.SplitSeq(got.stdout, "\n\n") {
			for line := range strings.Lines(table) {
				if utf8.RuneCountInString(line) > 81 && !checksum.MatchString(table) { // which is whole in a pipe
					t.Errorf("%v: wider than 80 columns: %s", args, line)
				}
			}
		}
		if strings.Contains(got.stdout+got.stderr, "tokenkeeper login") {
			t.Errorf("%v asks for a login:\n%s%s", args, got.stdout, got.stderr)
		}
	}
	holds := func(token string) {
		t.Helper()
		if body, err := os.ReadFile(s.path("desk.json")); err != nil || !strings.Contains(string(body), `"`+token+`"`) {
			t.Errorf("the consumer's file does not hold %s: %v\n%s", token, err, body)
		}
	}
	delivered := func(version uint64) func(control.Status) bool {
		return func(st control.Status) bool {
			a := account(st, "desk")
			return a.Version == version && a.State == control.AccountValid && len(a.Sinks) == 1 && a.Sinks[0].Version == version
		}
	}
	says(exitOK, "", []string{"desk mints minted 3m before expiry files", "everything is in order"}, "check")
	h := sim.holdNext()
	r := startRun(t, s)
	<-h.came
	says(exitOK, "", []string{"new", "no token yet: it is minted by itself"}, "status")
	r.Kill()
	close(h.answer) // its provider hears it out
	r = startRun(t, s)
	r.until(delivered(1))
	holds("minted-1")
	says(exitOK, "", []string{"valid", "none: minted"}, "status")
	says(exitFailure, `{"access_token": "theirs", "expires_in": 3600}`, []string{"its provider mints its tokens"}, "import", "desk", "-")
	says(exitOK, "", []string{"desk: minted: v2"}, "refresh", "desk", "--force")
	r.until(delivered(2))
	holds("minted-2")

	h = sim.holdNext()
	asks := s.command(t.Context(), "", "refresh", "desk", "--force")
	if err := asks.Start(); err != nil {
		t.Fatal(err)
	}
	<-h.came
	r.Kill()
	_ = asks.Wait() // whom nobody answers any more
	close(h.answer)
	r = startRun(t, s)
	st := r.until(delivered(3))
	holds("minted-3")
	if n := sim.requests(); n != 3 {
		t.Errorf("%d requests for 3 tokens", n)
	}
	if a := account(st, "desk"); a.Way != control.WayMint || a.Grant != 3 || a.LastRefresh.IsZero() || !a.RefreshExpiry.IsZero() {
		t.Errorf("%+v", a)
	}

	sim.takes("second-key")
	const mend = "mend client_id, client_secret or settings of the account"
	says(exitFailure, "", []string{"the broker refuses the key", mend}, "refresh", "desk", "--force")
	r.until(func(st control.Status) bool { return strings.Contains(alertOf(st, event.NeedsLogin), mend) })
	says(exitOK, "", []string{"needs login", mend}, "status")
	says(exitFailure, "", []string{"refuses the key", mend}, "refresh", "desk")
	stop(t, s, r)
	r = startRun(t, s)
	r.until(func(st control.Status) bool { return account(st, "desk").State == control.AccountNeedsLogin }) // by the provider's word
	if n := sim.requests(); n != 4 {
		t.Errorf("%d requests after a restart", n)
	}
	stop(t, s, r)
	s.configure(t, yaml("second-key"))
	r = startRun(t, s)
	r.until(func(st control.Status) bool { return delivered(4)(st) && alertOf(st, event.NeedsLogin) == "" })
	holds("minted-4")
	stop(t, s, r)
}
