package readback_test

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// The table of the README.
func TestCompare(t *testing.T) {
	got := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) // when we got ours
	wrote := got.Add(time.Second)
	const life = 20 * time.Minute
	type world struct {
		rec    store.Record
		ledger store.Delivery
		held   readback.Held
	}
	token := func(refresh string, expiry time.Time) format.Document {
		return format.Document{RefreshToken: sdk.NewSecret(refresh), Expiry: expiry}
	}
	for name, c := range map[string]struct {
		change func(*world)
		want   readback.Finding
	}{
		"unknown, younger and later": {func(*world) {}, readback.Living},
		"no record":                  {func(w *world) { w.rec = store.Record{} }, readback.Silent},
		"no refresh token":           {func(w *world) { w.held.Document.RefreshToken = sdk.Secret{} }, readback.Silent},
		"ours":                       {func(w *world) { w.held.Document = token("ours", got.Add(time.Hour)) }, readback.Ours},
		"past":                       {func(w *world) { w.held.Document = token("past", got.Add(time.Hour)) }, readback.Past},
		"ours and past, after going back to it": {func(w *world) {
			w.held.Document, w.rec.Fingerprints = token("ours", got), []string{sdk.NewSecret("ours").Fingerprint()}
		}, readback.Ours},
		"past, and ours was refused": {func(w *world) {
			w.held.Document, w.rec.Health.NeedsLogin = token("past", got.Add(time.Hour)), sdk.NewSecret("ours").Fingerprint()
		}, readback.Past},
		"another client's":   {func(w *world) { w.held.Document.ClientID = "other" }, readback.Strange},
		"another account's":  {func(w *world) { w.held.Document.Account = "other" }, readback.Strange},
		"another provider's": {func(w *world) { w.held.Document.Provider = "other" }, readback.Strange},
		"ours was refused, and nothing else speaks for theirs": {func(w *world) {
			w.held = readback.Held{Document: token("new", got.Add(-time.Hour)), At: got.Add(-time.Hour)}
			w.rec.Health.NeedsLogin = sdk.NewSecret("ours").Fingerprint()
		}, readback.Living},
		"put there before the broker gave us ours": {func(w *world) { w.held.At = got.Add(-time.Minute) }, readback.Outlived},
		"the same, but ours was imported": {func(w *world) {
			w.held.At, w.rec.Origin = got.Add(-time.Minute), store.OriginImport
		}, readback.Doubtful},
		"younger, not later":                 {func(w *world) { w.held.Document.Expiry = got }, readback.Doubtful},
		"younger, its end unknown":           {func(w *world) { w.held.Document.Expiry = time.Time{} }, readback.Living},
		"later, as old as our last delivery": {func(w *world) { w.held.At = wrote }, readback.Doubtful},
		"neither": {func(w *world) {
			w.held = readback.Held{Document: token("new", got), At: got.Add(-time.Minute)}
			w.rec.Origin = store.OriginImport
		}, readback.Strange},
		"never delivered, put there after our import": {func(w *world) {
			w.ledger, w.rec.Origin, w.held.At = store.Delivery{}, store.OriginImport, got.Add(time.Minute)
		}, readback.Living},
		"nobody knows when ours ends":      {func(w *world) { w.rec.Token.Lifetime = 0 }, readback.Living},
		"a destination that tells no time": {func(w *world) { w.held.At = time.Time{} }, readback.Living},
		"may not be read":                  {func(w *world) { w.held = readback.Held{Hidden: true, At: wrote.Add(time.Second)} }, readback.Doubtful},
		"cut off":                          {func(w *world) { w.held = readback.Held{Rest: true, At: wrote.Add(time.Second)} }, readback.Doubtful},
		"cut off, as we left it":           {func(w *world) { w.held = readback.Held{Rest: true, At: wrote} }, readback.Silent},
		"cut off before the broker gave us ours": {func(w *world) {
			w.ledger, w.held = store.Delivery{Version: 1, At: got.Add(-time.Hour)}, readback.Held{Rest: true, At: got.Add(-time.Minute)}
		}, readback.Outlived},
		"cut off, with an unknown one in it": {func(w *world) {
			w.held = readback.Held{Rest: true, At: wrote.Add(time.Second), Document: format.Document{RefreshToken: sdk.NewSecret("new")}}
		}, readback.Living},
		"cut off, with several in it": {func(w *world) {
			w.held = readback.Held{Rest: true, At: wrote.Add(time.Second), Document: format.Document{Several: []sdk.Secret{sdk.NewSecret("ours"), sdk.NewSecret("new")}}}
		}, readback.Doubtful},
		"the same, as we left it": {func(w *world) {
			w.held = readback.Held{Rest: true, At: wrote, Document: format.Document{Several: []sdk.Secret{sdk.NewSecret("ours"), sdk.NewSecret("new")}}}
		}, readback.Strange},
		"cut off, with several of ours in it": {func(w *world) {
			w.held = readback.Held{Rest: true, At: wrote.Add(time.Second), Document: format.Document{Several: []sdk.Secret{sdk.NewSecret("ours"), sdk.NewSecret("past")}}}
		}, readback.Past},
		"cut off, with ours in it": {func(w *world) {
			w.held = readback.Held{Rest: true, At: wrote.Add(time.Second), Document: format.Document{RefreshToken: sdk.NewSecret("ours")}}
		}, readback.Ours},
		"may not be read, as we left it": {func(w *world) { w.held = readback.Held{Hidden: true, At: wrote} }, readback.Silent},
	} {
		w := world{
			rec: store.Record{
				Account: "main", Provider: "saxo", Version: 2, Origin: store.OriginRefresh, StoredAt: got,
				Token:        sdk.Token{RefreshToken: sdk.NewSecret("ours"), IssuedAt: got, Lifetime: life},
				Fingerprints: []string{sdk.NewSecret("past").Fingerprint()},
			},
			ledger: store.Delivery{Version: 2, At: wrote},
			held:   readback.Held{Document: token("new", got.Add(time.Hour)), At: wrote.Add(time.Hour)},
		}
		w.held.Document.ClientID, w.held.Document.Account, w.held.Document.Provider = "key", "main", "saxo"
		c.change(&w)
		if f, _ := readback.Compare(lineage.Ours{ClientID: "key"}, w.rec, w.ledger, w.held, got.Add(2*time.Hour)); f != c.want {
			t.Errorf("%s: finding %d, want %d", name, f, c.want)
		}
	}
}

// Our clock was an hour ahead when the record was stored, and is right again. The
// old service has refreshed since: its file is the only copy of the living token.
func TestOutlivedByAWrongClock(t *testing.T) {
	now := time.Date(2026, 11, 28, 10, 30, 0, 0, time.UTC)
	wrong := now.Add(30 * time.Minute)
	rec := store.Record{
		Account: "a", Provider: "p", Version: 3, Origin: store.OriginRefresh, StoredAt: wrong,
		Token: sdk.Token{AccessToken: sdk.NewSecret("a2"), RefreshToken: sdk.NewSecret("r2"), IssuedAt: wrong, Lifetime: 20 * time.Minute},
	}
	f, _ := readback.Compare(lineage.Ours{}, rec, store.Delivery{Version: 3, At: wrong}, readback.Held{
		At: now, Document: format.Document{AccessToken: sdk.NewSecret("a3"), RefreshToken: sdk.NewSecret("r3"), Expiry: now.Add(20 * time.Minute)},
	}, now)
	if !f.Unknown() {
		t.Errorf("finding %d: the only copy of the living token is written over", f)
	}
}

// What another account has or had is neither used nor written over, and whose it
// is can be told.
func TestAnotherAccountsTokenAtADestination(t *testing.T) {
	now := time.Date(2026, 11, 28, 10, 30, 0, 0, time.UTC)
	rec := store.Record{Account: "a", Version: 3, Token: sdk.Token{RefreshToken: sdk.NewSecret("r2"), IssuedAt: now, Lifetime: time.Hour}}
	rec.Health.NeedsLogin = rec.Token.RefreshToken.Fingerprint()
	ours := lineage.Ours{Owner: func(string) string { return "b" }}
	f, owner := readback.Compare(ours, rec, store.Delivery{}, readback.Held{Document: format.Document{RefreshToken: sdk.NewSecret("b's"), Expiry: now.Add(2 * time.Hour)}}, now)
	if f != readback.Strange || owner != "account b" {
		t.Errorf("finding %d, of %q", f, owner)
	}
}
