package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// inSharedFile is what the shared file of a revoker holds.
type inSharedFile struct {
	Note  string `json:"note"`
	Token struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	} `json:"token"`
}

// A login that bots have in a file, too, is revoked: of the token that lives, under the lock,
// and the file holds its dead refresh token no more, whoever writes it back and whoever dies.
func TestLoginOfASharedFileIsRevoked(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	s := newRevoker(t, brokersim.RevokesGrant, "main")
	path := s.path("bots.json")
	s.shared = fmt.Sprintf("    shared_file: {path: %q, format: schwab}\n", path)
	s.configure(t, s.yaml("main"))
	botWrites := func(access, refresh string) {
		t.Helper()
		write(t, path, fmt.Sprintf(`{"note": "theirs", "creation_timestamp": %d, "token": {"access_token": %q, "refresh_token": %q, "expires_at": %d}}`,
			time.Now().Unix(), access, refresh, time.Now().Add(time.Hour).Unix()))
	}
	first, _ := s.sim.Current("main")
	botWrites(first.AccessToken, first.RefreshToken)
	r := startRun(t, s.site)
	events := r.follow()
	r.until(func(st control.Status) bool { return provider(st, "revokes").State == control.ProviderRunning })

	s.says(exitUsage, []string{"Its refresh token is taken out of the shared file " + path, "can't refresh any more, either. To end it, add --yes"}, "revoke", "main")
	if err := errors.Join(os.Rename(path, path+".moved"), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	s.says(exitFailure, []string{"account main: nothing was revoked: the shared file can't be read: ", "It may hold a newer token than ours"}, "revoke", "main", "--yes")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	// A bot refreshes: of the token before the broker would say that it is revoked.
	mark := events.mark()
	bots := s.sim.Grant("main")
	botWrites(bots.AccessToken, bots.RefreshToken)
	events.await(mark, about(event.Adopted, "main"))
	s.says(exitFailure, []string{"its token was found in the shared file " + path, "tokenkeeper refresh main --force"}, "revoke", "main", "--yes")
	if n := s.sim.Account("main").Revocations; n > 0 {
		t.Errorf("%d revocations", n)
	}
	s.says(exitOK, []string{"main: refreshed"}, "refresh", "main", "--force")
	last, _ := s.sim.Current("main")
	if held := decodeFile[inSharedFile](t, path); held.Token.Refresh != last.RefreshToken {
		t.Fatal("the file does not hold the newest token")
	}

	out := s.says(exitOK, nil, "revoke", "main", "--yes", "--json")
	if got := decode[control.RevokeAnswer](t, out.stdout); got.SharedFile != path || got.SharedFileError != "" || got.Revoked.IsZero() || got.Ends != control.EndsGrant {
		t.Errorf("as JSON: %+v", got)
	}
	holdsNone := func(when string) {
		t.Helper()
		if held := decodeFile[inSharedFile](t, path); held.Token.Refresh != "" || held.Token.Access != last.AccessToken || held.Note != "theirs" {
			t.Errorf("%s the file holds a refresh token: %t, the access token: %t, and %q", when, held.Token.Refresh != "", held.Token.Access == last.AccessToken, held.Note)
		}
	}
	holdsNone("at once")
	mark = events.mark()
	botWrites(last.AccessToken, last.RefreshToken)
	events.await(mark, about(event.SharedFileMended, "main"))
	holdsNone("when a bot has brought it back")
	r.Kill()
	botWrites(last.AccessToken, last.RefreshToken)
	r = startRun(t, s.site)
	r.until(func(control.Status) bool { return decodeFile[inSharedFile](t, path).Token.Refresh == "" })
	holdsNone("after a kill")
	if n := s.sim.Account("main"); n.Revocations != 1 || n.Refused > 0 {
		t.Errorf("the broker was asked: %+v", n)
	}

	g := s.sim.Grant("main")
	if got := s.tool(t, string(tokenFileOf(t, g, format.Schwab, time.Now())), "import", "main", "-"); got.code != exitOK {
		t.Fatalf("import: %+v", got)
	}
	r.until(func(control.Status) bool { return decodeFile[inSharedFile](t, path).Token.Refresh == g.RefreshToken })
	if held := decodeFile[inSharedFile](t, path); held.Note != "theirs" {
		t.Errorf("the file holds %q", held.Note)
	}
	r.Stop()
}

// Where a broker ends every login of the client, a person is told which those are before
// and after, and the others find it out.
func TestEveryLoginOfAClientIsRevoked(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	s := newRevoker(t, brokersim.RevokesClient, "main", "other")
	r := startRun(t, s.site)
	r.until(func(st control.Status) bool { return provider(st, s.provider).State == control.ProviderRunning })
	s.says(exitUsage, []string{"EVERY login of the same client", "those of 1 other account here: other. To end it, add --yes"}, "revoke", "main")
	if _, err := control.NewClient(s.path("state/control.sock")).Revoke(t.Context(), "main", control.EndsGrant); err == nil || !strings.Contains(err.Error(), "?ends=client") || s.sim.Account("main").Revocations > 0 {
		t.Errorf("without having agreed: %v", err)
	}
	out := s.says(exitOK, nil, "revoke", "main", "--yes", "--json")
	if got := decode[control.RevokeAnswer](t, out.stdout); got.Ends != control.EndsClient || strings.Join(got.Others, " ") != "other" {
		t.Errorf("as JSON: %+v", got)
	}
	s.says(exitOK, []string{"other valid v1"}, "status", "other") // nobody has asked yet
	s.says(exitFailure, []string{"account other: ", "refused the grant", "tokenkeeper login other"}, "refresh", "other", "--force")
	s.says(exitFailure, []string{"account other: nothing was revoked: the broker has refused its token already"}, "revoke", "other", "--yes")
	s.configure(t, s.yaml("other"))
	s.says(exitOK, []string{"gone account main"}, "reload")
	s.says(exitOK, []string{"what was stored of account main is removed"}, "accounts", "forget", "main", "--revoke", "--yes")
	r.Stop()
}

// The supervisor is killed while the broker is asked to end a login: nobody knows then whether
// it did, the person is told so, and the next refresh finds out.
func TestKillWhileALoginIsRevoked(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	for stage, revoked := range map[brokersim.Stage]bool{brokersim.BeforeProcessing: false, brokersim.AfterProcessing: true} {
		t.Run(fmt.Sprintf("revoked=%t", revoked), func(t *testing.T) {
			s := newRevoker(t, brokersim.RevokesGrant, "main")
			path := s.path("bots.json")
			s.shared = fmt.Sprintf("    shared_file: {path: %q, format: schwab}\n", path)
			s.configure(t, s.yaml("main"))
			r := startRun(t, s.site)
			r.until(func(st control.Status) bool {
				_, err := os.Stat(path)
				return provider(st, "revokes").State == control.ProviderRunning && err == nil
			})
			gate := brokersim.NewGate()
			s.sim.Inject(brokersim.Fault{Account: "main", GrantType: "revoke", Stage: stage, Hold: gate})
			typed := make(chan result, 1)
			go func() { typed <- s.tool(t, "", "revoke", "main", "--yes", "--json") }()
			<-gate.Entered
			r.Kill()
			gate.Drop()
			got := <-typed
			for _, want := range []string{`"code":"outcome_unknown"`, "nobody knows whether its login is revoked", "tokenkeeper refresh main --force"} {
				if got.code != exitFailure || !strings.Contains(got.stderr, want) {
					t.Errorf("%q is not in: %+v", want, got)
				}
			}
			if decodeFile[inSharedFile](t, path).Token.Refresh == "" {
				t.Error("the file holds no refresh token, although nobody knows that it is dead")
			}
			r = startRun(t, s.site)
			r.until(func(st control.Status) bool { return provider(st, "revokes").State == control.ProviderRunning })
			if revoked {
				s.says(exitFailure, []string{"tokenkeeper login main"}, "refresh", "main", "--force")
				if decodeFile[inSharedFile](t, path).Token.Refresh != "" {
					t.Error("the file holds a dead refresh token")
				}
				if log := r.Stderr(); !strings.Contains(log, "to revoke the login, and the answer was lost: most likely it has") {
					t.Errorf("it is not told what has happened:\n%s", log)
				}
			} else {
				s.says(exitOK, []string{"main: refreshed: v2"}, "refresh", "main", "--force")
				s.says(exitOK, []string{"the broker has ended its login", "So does the shared file " + path}, "revoke", "main", "--yes")
			}
			if v := s.sim.Account("main"); v.Revocations != 1 {
				t.Errorf("the broker has revoked %d times", v.Revocations)
			}
			r.Stop()
		})
	}
}
