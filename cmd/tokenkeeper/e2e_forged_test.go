package main

import (
	"os"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// forge writes a token that no broker has given, and that looks newer than any.
func (s sharing) forge(t *testing.T, name string) {
	t.Helper()
	g := brokersim.Grant{Account: saxoAccount, AccessToken: "access-" + name, RefreshToken: "refresh-" + name, TokenType: "Bearer", ExpiresIn: 2 * time.Hour}
	if err := os.WriteFile(s.file, tokenFileOf(t, g, format.SaxoCache, time.Now()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestForgedTokenInTheSharedFile: whoever may write into the file puts a forged
// newer token there. It is believed only until the broker refuses it: then the
// one that it has replaced is used, which has been kept over a restart, too.
func TestForgedTokenInTheSharedFile(t *testing.T) {
	t.Parallel()
	s := newSharing(t)
	r := startRun(t, s.site)
	events := r.follow()
	r.refreshed(saxoAccount) // is content with the token in the file, which it has just taken
	r.refreshed(saxoAccount)

	forge := func(names ...string) {
		t.Helper()
		for _, name := range names {
			mark := events.mark()
			s.forge(t, name)
			events.await(mark, about(event.Adopted, saxoAccount))
		}
	}
	// The refused token is given up for the one before it, which is refreshed for
	// whoever has asked, and written. The first to ask may be content with the
	// token that was just taken from the file.
	goesBack := func() {
		t.Helper()
		r.refreshed(saxoAccount)
		r.refreshed(saxoAccount)
		if !s.holdsLiving(t) {
			t.Error("the file holds no living token")
		}
		r.until(func(st control.Status) bool { return account(st, saxoAccount).State == control.AccountValid })
	}
	forge("one")
	goesBack()

	// Twice in a row, and with a restart in between.
	forge("two", "three")
	r.Stop()
	r = startRun(t, s.site)
	events = r.follow()
	goesBack()

	// A living one that comes after the forged one goes first.
	forge("four")
	g := s.saxo.Grant(saxoAccount)
	mark := events.mark()
	if err := os.WriteFile(s.file, tokenFileOf(t, g, format.SaxoCache, time.Now().Add(3*time.Hour)), 0o600); err != nil {
		t.Fatal(err)
	}
	events.await(mark, about(event.Adopted, saxoAccount))
	goesBack()

	// The one that it has replaced is dead, too: a person is called.
	forge("five")
	s.saxo.Revoke(saxoAccount)
	mark = events.mark()
	<-r.forceRefresh(saxoAccount) // may be content with what it has just taken
	if err := <-r.forceRefresh(saxoAccount); err == nil {
		t.Error("a refresh has succeeded with no living token")
	}
	events.await(mark, about(event.NeedsLogin, saxoAccount))
	r.Stop()
}
