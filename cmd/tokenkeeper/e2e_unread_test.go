package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// TestUnreadAnswerIsMended: a broker's answer that nobody can read is shown
// without a secret, written out, mended by a person and taken; and discarded.
func TestUnreadAnswerIsMended(t *testing.T) {
	t.Parallel()
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
	s := newSite(t, "")
	s.configure(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m"))
	s.logIn(t, saxo, saxoAccount, format.JSON)
	r := startRun(t, s)
	saxo.Inject(brokersim.Garbage().At(brokersim.AfterProcessing))
	if err := <-r.forceRefresh(saxoAccount); err == nil {
		t.Fatal("a refresh whose answer nobody can read has succeeded")
	}
	var file string
	r.until(func(st control.Status) bool {
		file = account(st, saxoAccount).Unread
		return file != ""
	})
	newest, _ := saxo.Current(saxoAccount)

	seen := s.tool(t, "", "spool")
	if seen.code != exitOK || !strings.Contains(seen.stdout, file) || !strings.Contains(seen.stdout, "refresh of account "+saxoAccount+", version 1") || !strings.Contains(seen.stdout, "HTTP 200") ||
		strings.Contains(seen.stdout, "overtaken") {
		t.Errorf("spool: %+v", seen)
	}
	if got := s.tool(t, "", "status"); !strings.Contains(got.stdout, "tokenkeeper spool inspect") || !strings.Contains(got.stdout, file) {
		t.Errorf("status:\n%s", got.stdout)
	}
	body := s.path("mended.json")
	if got := s.tool(t, "", "spool", "inspect", file, "--body", body); got.code != exitOK {
		t.Fatalf("inspect: %+v", got)
	}
	if info, err := os.Stat(body); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the body's file: %v, %v", info, err)
	}
	if got := s.tool(t, "", "spool", "take", file, body); got.code == exitOK {
		t.Errorf("rubbish was taken: %+v", got)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the answer is gone after a take that failed: %v", err)
	}
	write(t, body, `{"access_token":"`+newest.AccessToken+`","refresh_token":"`+newest.RefreshToken+`","expires_in":3600,"token_type":"Bearer"}`)
	taken := s.tool(t, "", "spool", "take", file, body)
	if taken.code != exitOK || !strings.Contains(taken.stdout, "imported as v2") {
		t.Fatalf("take: %+v", taken)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the answer's file after it was taken: %v", err)
	}
	if err := <-r.forceRefresh(saxoAccount); err != nil {
		t.Errorf("the mended token does not work: %v", err)
	}
	for _, text := range []string{seen.stdout, taken.stdout, taken.stderr} {
		if strings.Contains(text, newest.RefreshToken) || strings.Contains(text, newest.AccessToken) {
			t.Errorf("a secret was printed:\n%s", text)
		}
	}

	// One that came before the newest token is not taken any more, and can go.
	stale := filepath.Join(filepath.Dir(file), "unread-STALE")
	saxo.Inject(brokersim.Garbage().At(brokersim.BeforeProcessing))
	<-r.forceRefresh(saxoAccount)
	r.until(func(st control.Status) bool {
		file = account(st, saxoAccount).Unread
		return file != ""
	})
	if err := os.Rename(file, stale); err != nil {
		t.Fatal(err)
	}
	if err := <-r.forceRefresh(saxoAccount); err != nil {
		t.Fatal(err)
	}
	if got := s.tool(t, "", "spool"); !strings.Contains(got.stdout, "overtaken by v4 ") || !strings.Contains(got.stdout, "tokenkeeper spool discard "+stale+" --yes\n") {
		t.Errorf("spool says of a stale answer: %+v", got)
	}
	if got := s.tool(t, "", "spool", "take", stale, body); got.code == exitOK || !strings.Contains(got.stderr, "came meanwhile") {
		t.Errorf("a stale answer: %+v", got)
	}
	if got := s.tool(t, "", "spool", "discard", stale); got.code != exitUsage || !strings.Contains(got.stderr, "--yes") {
		t.Errorf("discard without --yes: %+v", got)
	}
	if got := s.tool(t, "", "spool", "discard", stale, "--yes"); got.code != exitOK {
		t.Errorf("discard: %+v", got)
	}
	if got := s.tool(t, "", "spool", "discard", s.config, "--yes"); got.code == exitOK {
		t.Errorf("the configuration was discarded: %+v", got)
	}
	if got := s.tool(t, "", "spool"); got.stdout != "no answer lies unread\n" {
		t.Errorf("at the end: %+v", got)
	}
}
