package refresh_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A provider that answers one account with the token of another gets neither
// stored where it does not belong.
func TestAnotherAccountsTokenIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one", "two")
		defer r.watch()()
		one, two := r.record("one"), r.record("two")
		r.broker.next("one", fault{answers: &two.Token})
		g := r.start()
		_, err := r.keeper.Refresh(t.Context(), "one", true)
		if err == nil || !strings.Contains(err.Error(), "the refresh token of account two") || !strings.Contains(err.Error(), "provider fake") ||
			!strings.Contains(err.Error(), "one login at the broker") || !strings.Contains(err.Error(), "remove one of the two accounts") {
			t.Errorf("the refresh: %v", err)
		}
		synctest.Wait()
		for name, before := range map[string]store.Record{"one": one, "two": two} {
			if now := r.record(name); now.Version != before.Version || !now.Token.AccessToken.Equal(before.Token.AccessToken) {
				t.Errorf("account %s has version %d", name, now.Version)
			}
		}
		if r.count(event.Ambiguous) != 1 {
			t.Errorf("%d events say that the outcome is unknown", r.count(event.Ambiguous))
		}
		// Nothing is lost by it: the refresh token had not been used up.
		time.Sleep(time.Minute)
		synctest.Wait()
		if now := r.record("one"); now.Version != 2 || !r.broker.holds("one", now.Token.RefreshToken) {
			t.Errorf("after a minute account one has version %d", now.Version)
		}
		_ = g.end()
	})
}

// What was announced for one account is not the other's because the spool says
// so, and names that nobody knows fill no log.
func TestSpoolThatMixesUpAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20*time.Minute, "one", "two")
		var log bytes.Buffer
		r.log = slog.New(slog.NewTextHandler(&log, nil))
		one := r.record("one")
		if err := r.store.Intend(t.Context(), store.Intent{
			Account: "one", Provider: "fake", Attempt: "open", Kind: spool.KindRefresh, Version: one.Version,
			Fingerprint: one.Token.RefreshToken.Fingerprint(), At: time.Now(), Boot: "an earlier one",
		}); err != nil {
			t.Fatal(err)
		}
		r.leave(spool.Header{Attempt: "open", Account: "two", Kind: spool.KindRefresh, Version: 1}, string(encodeAnswer(one.Token)))
		for i := range 20 {
			r.leave(spool.Header{Attempt: fmt.Sprint("of-nobody-", i), Account: fmt.Sprint("nobody-", i), Kind: spool.KindRefresh}, "")
		}
		r.restart()
		g := r.start()
		time.Sleep(time.Second)
		synctest.Wait()
		if two := r.record("two"); two.Version != 1 || two.Token.AccessToken.Equal(one.Token.AccessToken) {
			t.Errorf("account two has version %d, or one's token", two.Version)
		}
		_ = g.end()
		if n := strings.Count(log.String(), "not configured"); n != 1 || !strings.Contains(log.String(), "attempts=20") {
			t.Errorf("%d lines tell of attempts that belong to nobody:\n%s", n, log.String())
		}
		if !strings.Contains(log.String(), "one of account one") || !strings.Contains(log.String(), "account=two") {
			t.Errorf("the log does not tell what was mixed up:\n%s", log.String())
		}
	})
}
