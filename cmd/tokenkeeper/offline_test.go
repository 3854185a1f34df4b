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
	if got := command(t, file(3), "import", "nobody", "-", "-c", w.config); got.code != exitFailure || !strings.Contains(got.stderr, `"nobody"`) {
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
