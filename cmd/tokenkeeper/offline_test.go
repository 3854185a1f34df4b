package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// TestImportWithoutASupervisor goes straight into the store, and not past
// anybody who has it open.
func TestImportWithoutASupervisor(t *testing.T) {
	w := newWorld(t, twoAccounts)
	t.Setenv("TK_TEST_ID", "app-key")
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	login := time.Now().Add(-time.Hour).Unix()
	file := func(n int) string {
		return fmt.Sprintf(`{"creation_timestamp": %d, "token": {"access_token": "AT-%d", "refresh_token": "RT-%d", "token_type": "Bearer", "expires_in": 1800, "expires_at": %d}}`,
			login, n, n, time.Now().Add(20*time.Minute).Unix())
	}
	take := func(n int, args ...string) result {
		return command(t, file(n), append([]string{"import", "schwab-main", "-", "--json", "-c", w.config}, args...)...)
	}

	got := take(1)
	if got.code != exitOK {
		t.Fatalf("%+v", got)
	}
	a := decode[control.ImportAnswer](t, got.stdout)
	if a.Version != 1 || a.Format != "schwab" || a.Expiry.IsZero() {
		t.Errorf("got %+v", a)
	}
	if strings.Contains(got.stdout+got.stderr, "AT-1") || strings.Contains(got.stdout+got.stderr, "RT-1") {
		t.Errorf("a token was printed: %+v", got)
	}
	if got := take(2); got.code != exitFailure || !strings.Contains(got.stderr, "schwab-main") {
		t.Errorf("a second import without --force: %+v", got)
	}
	if got := take(2, "--force"); got.code != exitOK || decode[control.ImportAnswer](t, got.stdout).Version != 2 {
		t.Errorf("a second import with --force: %+v", got)
	}
	if got := command(t, file(3), "import", "nobody", "-", "-c", w.config); got.code != exitFailure || !strings.Contains(got.stderr, `"nobody"`) || !strings.Contains(got.stderr, "there are: ") {
		t.Errorf("an account that does not exist: %+v", got)
	}

	st, err := store.Open(w.state, store.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	if r, err := st.Load(t.Context(), "schwab-main"); err != nil || r.Token.RefreshToken.Reveal() != "RT-2" {
		t.Errorf("the store holds version %d, %v", r.Version, err)
	}
	if got := take(4, "--force"); got.code != exitFailure || !strings.Contains(got.stderr, "state directory") {
		t.Errorf("while the store is in use: %+v", got)
	}
}

// A file that does not say when its login was made: nobody knows when that ends,
// which is told, and a person can say it then or later.
func TestLoginTimeAtAnImport(t *testing.T) {
	w := newWorld(t, twoAccounts)
	t.Setenv("TK_TEST_ID", "app-key")
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	const file = `{"access_token": "AT", "refresh_token": "RT", "expires_in": 1800}`
	at := time.Now().Add(-24 * time.Hour).UTC().Truncate(time.Second)
	verb := func(stdin string, args ...string) result {
		return command(t, stdin, append([]string{"import", "schwab-main", "-c", w.config}, args...)...)
	}
	for _, bad := range []string{"yesterday", "2026-11-21", "2026-11-21T09:00:00", time.Now().Add(time.Hour).Format(time.RFC3339),
		time.Now().Add(-8 * 24 * time.Hour).Format(time.RFC3339)} {
		if got := verb(file, "-", "--login-time", bad); got.code == exitOK || !strings.Contains(got.stderr, "time") {
			t.Errorf("--login-time %s: %+v", bad, got)
		}
	}
	if got := verb(file, "--login-time", at.Format(time.RFC3339)); got.code == exitOK || !strings.Contains(got.stderr, "no token yet") {
		t.Errorf("of no token: %+v", got)
	}
	got := verb(file, "-")
	if got.code != exitOK || !strings.Contains(got.stdout, "at a time that nobody knows") || !strings.Contains(got.stderr, "--login-time") {
		t.Errorf("nobody is told that the end is not known: %+v", got)
	}
	for n, args := range [][]string{{"-", "--login-time", at.Format(time.RFC3339)}, {"--login-time", at.Add(time.Hour).Format(time.RFC3339)}} {
		got := verb(file, append(args, "--json")...)
		if got.code != exitOK {
			t.Fatalf("%q: %+v", args, got)
		}
		a := decode[control.ImportAnswer](t, got.stdout)
		login := at.Add(time.Duration(n) * time.Hour)
		if !a.LoginTimeOnly || a.Version != uint64(n)+2 || !a.LoginAt.Equal(login) || !a.RefreshExpiry.Equal(login.Add(7*24*time.Hour)) || a.RefreshExpiryUncertain {
			t.Errorf("%q: %+v", args, a)
		}
	}
	if got := verb(strings.ReplaceAll(file, "RT", "RT-2"), "-", "--login-time", at.Format(time.RFC3339)); got.code != exitFailure || !strings.Contains(got.stderr, "leave FILE out") {
		t.Errorf("with another token: %+v", got)
	}
	if got := verb(strings.ReplaceAll(file, "RT", "RT-2"), "-", "--force", "--login-time", at.Format(time.RFC3339), "--json"); got.code != exitOK ||
		!decode[control.ImportAnswer](t, got.stdout).RefreshExpiry.Equal(at.Add(7*24*time.Hour)) {
		t.Errorf("with another token by force: %+v", got)
	}
}
