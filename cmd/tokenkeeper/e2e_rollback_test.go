package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/sinktest/folder"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// oldService is the program that refreshed the login before, and does so again
// after a roll back: it knows nothing but its own file, here in format
// saxo-cache.
type oldService struct {
	sim  *brokersim.Server
	file string
}

// refresh is one round of it: read the file, spend the refresh token, write what
// came over the file, in place.
func (o oldService) refresh(t *testing.T) {
	t.Helper()
	held := map[string]string{}
	if err := json.Unmarshal(readFile(t, o.file), &held); err != nil {
		t.Fatal(err)
	}
	c := o.sim.Config()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.sim.TokenURL(), strings.NewReader(url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {held["refresh_token"]}, "redirect_uri": {c.RedirectURL},
	}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(c.ClientID, c.ClientSecret)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Expires int    `json:"expires_in"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Refresh == "" {
		t.Fatalf("the old service could not refresh with what is in its file: %s, %v", resp.Status, err)
	}
	held["access_token"], held["refresh_token"] = answer.Access, answer.Refresh
	held["token_expiry"] = time.Now().Add(time.Duration(answer.Expires) * time.Second).Format("2006-01-02T15:04:05.000000")
	body, err := json.MarshalIndent(held, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	write(t, o.file, string(body))
}

// rollbackSite is an account of a broker whose refresh tokens work once, and a
// file sink on the old service's own file, which holds the first token.
func rollbackSite(t *testing.T, refresh string) (*site, oldService) {
	t.Helper()
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: 10 * time.Minute, RefreshLifetime: time.Hour})
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), refresh)+`sinks:
  cache: {type: file, path: bots.json, format: saxo-cache, include_refresh_token: true, accounts: [saxo-sim]}
  readers: {type: file, path: readers.json}
`)
	old := oldService{saxo, s.path("bots.json")}
	g := saxo.Grant(saxoAccount)
	c := saxo.Config()
	write(t, old.file, fmt.Sprintf(`{"access_token": %q, "refresh_token": %q, "token_expiry": %q, "app_key": %q, "app_secret": %q}`,
		g.AccessToken, g.RefreshToken, time.Now().Add(9*time.Minute).Format("2006-01-02T15:04:05"), c.ClientID, c.ClientSecret))
	if out := s.tool(t, "", "import", saxoAccount, old.file); out.code != exitOK {
		t.Fatalf("import: %+v", out)
	}
	return s, old
}

// intact checks that no refresh token was sent twice, and that both the store and
// the file hold the living one.
func (o oldService) intact(t *testing.T, s *site) {
	t.Helper()
	if reused := o.sim.Reused(); len(reused) > 0 {
		t.Errorf("a refresh token was used twice: %v", reused)
	}
	now, ok := o.sim.Current(saxoAccount)
	if !ok || !strings.Contains(string(readFile(t, o.file)), now.RefreshToken) {
		t.Error("the file does not hold the living refresh token")
	}
	if !strings.Contains(string(readFile(t, s.path("readers.json"))), now.AccessToken) {
		t.Error("the readers do not have the newest access token")
	}
}

// To Tokenkeeper, back to the old service, and here again, without an import:
// what the old service left in its file is taken, and nothing else is spent or
// written.
func TestBackAndForthWithoutImport(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		// refresh is the rule of the account, and first whether Tokenkeeper has
		// run before the roll back.
		refresh string
		first   bool
	}{
		"not due at the return":                {"every: 8m", true},
		"due at the return":                    {"before_expiry: 9m59s", true},
		"rolled back before the first run":     {"every: 8m", false},
		"the same, and due at the first start": {"before_expiry: 9m59s", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, old := rollbackSite(t, c.refresh)
			version := uint64(1)
			if c.first {
				r := startRun(t, s)
				if err := <-r.forceRefresh(saxoAccount); err != nil {
					t.Fatal(err)
				}
				version = r.newest(saxoAccount)
				r.Stop()
				s.awaitGone(t)
			}
			for range 3 { // R2 to R4, which only the file holds
				old.refresh(t)
			}
			r := startRun(t, s)
			r.until(func(st control.Status) bool {
				a := account(st, saxoAccount)
				return a.Version > version && a.State == "valid" && len(a.Sinks) == 2 && a.Sinks[0].Version == a.Version && a.Sinks[1].Version == a.Version
			})
			if !strings.Contains(r.Stderr(), "a newer token was taken from "+old.file) {
				t.Errorf("nobody is told: %s", r.Stderr())
			}
			if err := <-r.forceRefresh(saxoAccount); err != nil {
				t.Fatalf("the token that was taken is not the living one: %v", err)
			}
			r.newest(saxoAccount)
			r.Stop()
			s.awaitGone(t)
			old.intact(t, s)
			old.refresh(t) // and back again
		})
	}
}

// newest waits until every sink has the account's newest version and returns it.
func (r *running) newest(name string) uint64 {
	r.t.Helper()
	return account(r.until(func(st control.Status) bool {
		a := account(st, name)
		for _, d := range a.Sinks {
			if d.Version != a.Version {
				return false
			}
		}
		return a.Version > 0
	}), name).Version
}

// A token of which nobody can tell whether it is the living one: nothing is
// written over it and an alert names the file and both ways out, each of which
// ends it. The other sinks get what is new meanwhile.
func TestUnknownTokenInASinksFile(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"import", "redeliver"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s, old := rollbackSite(t, "every: 8m")
			r := startRun(t, s)
			if err := <-r.forceRefresh(saxoAccount); err != nil {
				t.Fatal(err)
			}
			r.newest(saxoAccount)
			r.Stop()
			s.awaitGone(t)
			// The file's token seems to end an hour before ours.
			other := brokersim.Grant{Account: saxoAccount, AccessToken: "strange-access", RefreshToken: "strange-refresh", ExpiresIn: time.Second}
			strange := string(tokenFileOf(t, other, format.SaxoCache, time.Now().Add(-time.Hour)))
			write(t, old.file, strange)

			r = startRun(t, s)
			st := r.until(func(st control.Status) bool { return len(st.Alerts) == 1 })
			if d := account(st, saxoAccount).Sinks[0]; d.Sink != "cache" || d.Version != 0 || d.Behind == 0 {
				t.Errorf("the status says that the sink has it: %+v", d)
			}
			out := s.tool(t, "", "alerts", "--json")
			for _, want := range []string{old.file, "tokenkeeper import saxo-sim " + old.file + " --force", "tokenkeeper sinks redeliver cache saxo-sim --force"} {
				if !strings.Contains(out.stdout, want) {
					t.Errorf("the alert does not say %q: %s", want, out.stdout)
				}
			}
			// Ours is not spent while it may be dead and the access token lives.
			if err := <-r.forceRefresh(saxoAccount); err == nil || !strings.Contains(err.Error(), "nothing is refreshed before") {
				t.Errorf("the refresh was made: %v", err)
			}
			if got := string(readFile(t, old.file)); got != strange {
				t.Errorf("it was written over: %s", got)
			}
			switch way {
			case "import":
				g := old.sim.Grant(saxoAccount)
				write(t, old.file, string(tokenFileOf(t, g, format.SaxoCache, g.IssuedAt)))
				out = s.tool(t, "", "import", saxoAccount, old.file, "--force")
				if strings.Contains(out.stderr, "was obtained with it, and works") { // it was seen, taken and used before
					out.code = exitOK
				}
			case "redeliver":
				out = s.tool(t, "", "sinks", "redeliver", "cache", saxoAccount, "--force")
			}
			if out.code != exitOK {
				t.Fatalf("%+v", out)
			}
			r.until(func(st control.Status) bool { return len(st.Alerts) == 0 && string(readFile(t, old.file)) != strange })
			if err := <-r.forceRefresh(saxoAccount); err != nil {
				t.Error(err)
			}
			r.newest(saxoAccount)
			old.intact(t, s)
		})
	}
}

// A file of ours that is removed, emptied, cut off, or put back from an older
// copy is put right while we run, with a warning.
func TestSinksFileIsPutRight(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(file string, first []byte) error{
		"removed": func(file string, _ []byte) error { return os.Remove(file) },
		"emptied": func(file string, _ []byte) error { return os.Truncate(file, 0) },
		"older":   func(file string, first []byte) error { return os.WriteFile(file, first, 0o600) },
		"cut off": func(file string, _ []byte) error {
			info, err := os.Stat(file)
			if err != nil {
				return err
			}
			return os.Truncate(file, info.Size()-3)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, old := rollbackSite(t, "every: 8m")
			first := readFile(t, old.file)
			r := startRun(t, s)
			if err := <-r.forceRefresh(saxoAccount); err != nil {
				t.Fatal(err)
			}
			r.newest(saxoAccount)
			if err := spoil(old.file, first); err != nil {
				t.Fatal(err)
			}
			now, _ := old.sim.Current(saxoAccount)
			r.until(func(control.Status) bool { // at the next look
				body, err := os.ReadFile(old.file)
				return err == nil && strings.Contains(string(body), now.RefreshToken)
			})
			// The file is seen before the line about it is.
			waittest.Until(t, "the warning", func() bool { return strings.Contains(r.Stderr(), "takes its place") })
			old.intact(t, s)
		})
	}
}

// After a roll back the old service has refreshed, and its disk was full: its file is cut
// off, and the only copy of the login. A refresh token that stands in it whole is taken; where
// none does, ours, which may be used up, waits, and an alert says what there is to do.
func TestACutOffFileIsTheOnlyCopy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after string // it is cut off there
		taken bool
	}{"after the refresh token": {`"token_expiry"`, true}, "before it": {`"refresh_token"`, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, old := rollbackSite(t, "before_expiry: 9m59s")
			r := startRun(t, s)
			if err := <-r.forceRefresh(saxoAccount); err != nil {
				t.Fatal(err)
			}
			r.newest(saxoAccount)
			r.Stop()
			s.awaitGone(t)
			later := fileTime(t, old.file).Add(1100 * time.Millisecond) // than what a file system's clock lags
			old.refresh(t)
			rest, _, _ := strings.Cut(string(readFile(t, old.file)), c.after)
			rest += c.after
			write(t, old.file, rest)
			if err := os.Chtimes(old.file, later, later); err != nil {
				t.Fatal(err)
			}
			r = startRun(t, s)
			if c.taken {
				r.until(func(control.Status) bool {
					return strings.Contains(r.Stderr(), "a newer token was taken from "+old.file)
				})
				r.newest(saxoAccount)
				if err := <-r.forceRefresh(saxoAccount); err != nil {
					t.Fatal(err)
				}
				r.newest(saxoAccount)
				old.intact(t, s)
			} else {
				r.until(func(st control.Status) bool {
					return len(st.Alerts) == 1 && strings.Contains(st.Alerts[0].Message, "is cut off or damaged")
				})
				if err := <-r.forceRefresh(saxoAccount); err == nil || !strings.Contains(err.Error(), "nothing is refreshed before") {
					t.Errorf("ours was spent: %v", err)
				}
				if got := string(readFile(t, old.file)); got != rest {
					t.Errorf("it was written over: %s", got)
				}
				if out := s.tool(t, "", "sinks", "redeliver", "cache", saxoAccount, "--force"); out.code != exitOK {
					t.Fatalf("%+v", out)
				}
				r.until(func(st control.Status) bool { return len(st.Alerts) == 0 })
				if reused := old.sim.Reused(); len(reused) > 0 {
					t.Errorf("a refresh token was used twice: %v", reused)
				}
			}
			if got := string(readFile(t, old.file+".damaged")); got != rest {
				t.Errorf("kept: %s", got)
			}
		})
	}
}

func fileTime(t *testing.T, file string) time.Time {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

// Our store is a day old, as that of a machine that was put back from a snapshot
// is, but whole: before the first refresh a sink that restores is asked, and the
// newer token that it holds is taken. Neither is it written over meanwhile.
func TestANewerTokenInASinkIsTakenFirst(t *testing.T) {
	t.Parallel()
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: 10 * time.Minute, RefreshLifetime: time.Hour})
	vault := t.TempDir()
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 9m59s")+"sinks:\n"+vaultYAML(t, "vault", vault))
	s.logInEarlier(t, saxo, saxoAccount, format.SaxoCache, time.Minute)
	file := filepath.Join(s.path("state"), store.FileName)
	before := readFile(t, file)
	first := startRun(t, s)
	if err := <-first.forceRefresh(saxoAccount); err != nil {
		t.Fatal(err)
	}
	first.newest(saxoAccount)
	first.Stop()
	s.awaitGone(t)
	if err := os.WriteFile(file, before, 0o600); err != nil {
		t.Fatal(err)
	}

	second := startRun(t, s)
	second.until(func(control.Status) bool { return strings.Contains(second.Stderr(), `was taken from sink \"vault\"`) })
	if err := <-second.forceRefresh(saxoAccount); err != nil {
		t.Fatalf("the token that the sink held is not the newest: %v", err)
	}
	second.newest(saxoAccount)
	if now, ok := saxo.Current(saxoAccount); !ok || !strings.Contains(folder.Stored(vault, saxoAccount), now.RefreshToken) {
		t.Error("the sink does not hold the newest token")
	}
	if reused := saxo.Reused(); len(reused) > 0 {
		t.Errorf("a refresh token was used twice: %v", reused)
	}
}
