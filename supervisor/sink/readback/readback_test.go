package readback_test

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
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
		"younger, its end unknown":           {func(w *world) { w.held.Document.Expiry = time.Time{} }, readback.Doubtful},
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
		"may not be read, as we left it":   {func(w *world) { w.held = readback.Held{Hidden: true, At: wrote} }, readback.Silent},
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
		if f := readback.Compare(w.rec, w.ledger, "key", w.held); f != c.want {
			t.Errorf("%s: finding %d, want %d", name, f, c.want)
		}
	}
}
