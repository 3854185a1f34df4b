package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// TestSpoolWithoutASupervisor: what was set aside is shown while nothing runs, too,
// with the login that it belongs to; nothing is changed by it.
func TestSpoolWithoutASupervisor(t *testing.T) {
	t.Parallel()
	s := newSite(t, "accounts:\n  main: {provider: saxo, client_id: x, client_secret: \"s\"}\n")
	if got := s.tool(t, "", "spool"); got.code != exitOK || got.stdout != "no answer lies unread\n" {
		t.Errorf("without a state directory: %+v", got)
	}
	st, err := store.Open(s.path("state"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	token := func(name string) sdk.Token {
		return sdk.Token{AccessToken: sdk.NewSecret(name + "-access"), RefreshToken: sdk.NewSecret(name + "-refresh"), IssuedAt: time.Now(), Lifetime: time.Hour}
	}
	err = errors.Join(
		st.Commit(t.Context(), store.Record{Account: "main", Provider: "saxo", Version: 1, Grant: 1, Origin: store.OriginImport, Token: token("one")}),
		st.Commit(t.Context(), store.Record{Account: "main", Provider: "saxo", Version: 2, Grant: 2, Origin: store.OriginImport, Token: token("two")}),
		st.SetAside(t.Context(), "main", store.Evidence{Attempt: "OLD", Kind: spool.KindRefresh, Version: 1, Grant: 1, Token: token("late"), Why: "somebody has logged in"}),
		st.SetAside(t.Context(), "main", store.Evidence{Attempt: "LOGIN", Kind: spool.KindExchange, Version: 1, Grant: 2, Token: token("third"), Why: "somebody has imported"}),
		st.Close(),
	)
	if err != nil {
		t.Fatal(err)
	}

	got := s.tool(t, "", "spool")
	for _, want := range []string{
		"refresh of account main, version 1, attempt OLD\n", "set aside: somebody has logged in\n", "tokenkeeper spool adopt main OLD\n",
		"  of the account's login or import number 1; its token is of number 2\n", "  of the account's login or import number 3; its token is of number 2\n",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("spool does not say %q", want)
		}
	}
	if got.code != exitOK || strings.Contains(got.stdout, "late-") {
		t.Errorf("spool: %+v", got)
	}
	var all unreadAnswers
	if got = s.tool(t, "", "spool", "--json"); json.Unmarshal([]byte(got.stdout), &all) != nil || len(all.Answers) != 2 {
		t.Fatalf("spool --json: %+v", got)
	}
	if a := all.Answers[1]; a.Attempt != "OLD" || a.Grant != 1 || a.AccountGrant != 2 || a.AccountVersion != 2 || a.Provider != "saxo" {
		t.Errorf("spool --json: %+v", a)
	}
	got = s.tool(t, "", "spool", "--socket", s.path("none.sock"))
	if got.code != exitOK || !strings.Contains(got.stdout, "attempt OLD\n") ||
		!strings.Contains(got.stderr, "no supervisor is running on "+s.path("none.sock")+": this is what the state directory "+s.path("state")+" holds") {
		t.Errorf("spool --socket: %+v", got)
	}
	if got := s.tool(t, "", "spool", "adopt", "main", "OLD"); got.code != exitOK || !strings.Contains(got.stdout, "imported as v3") {
		t.Errorf("adopt: %+v", got)
	}
}
