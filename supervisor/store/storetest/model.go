package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// testModel compares the store with three maps, whatever is called in
// whichever order.
func testModel(t *testing.T, place Place) {
	rapid.Check(t, func(rt *rapid.T) {
		o := place(t)
		s, err := o()
		must(t, err)
		m := &model{store: s, open: o, records: map[string]store.Record{}, intents: map[string]store.Intent{}, ledger: map[string]store.Delivery{}, alerts: map[string]event.Alert{}}
		defer func() { _ = m.store.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"intend":  m.intend,
			"replace": m.replace,
			"commit":  m.commit,
			"abandon": m.abandon,
			"deliver": m.deliver,
			"try":     m.try,
			"raise":   m.raise,
			"drop":    m.drop,
			"rename":  m.rename,
			"forget":  m.forget,
			"reopen":  m.reopen,
			"":        m.check,
		})
	})
}

var (
	accounts = []string{"a", "a-b", "b"}
	sinks    = []string{"s", "s-1"}
	keys     = []string{"needs_login:a", "needs_login:b", "disk_trouble:*"}
	attempts = []string{"x", "y", "z"}
)

// model is what the store should hold.
type model struct {
	store   store.Store
	open    Opener
	records map[string]store.Record
	intents map[string]store.Intent
	ledger  map[string]store.Delivery
	alerts  map[string]event.Alert
	tokens  uint64
}

func account(t *rapid.T) string { return rapid.SampledFrom(accounts).Draw(t, "account") }
func attempt(t *rapid.T) string { return rapid.SampledFrom(attempts).Draw(t, "attempt") }

// version is mostly the one that fits.
func version(t *rapid.T, fits uint64) uint64 {
	off := rapid.SampledFrom([]uint64{0, 0, 0, 1, ^uint64(0)}).Draw(t, "off by")
	return fits + off
}

// basis is mostly that of rec; fits: it is.
func basis(t *rapid.T, rec store.Record) (at store.Basis, fits bool) {
	at = rec.Basis()
	at.Version = version(t, at.Version)
	if rapid.IntRange(0, 4).Draw(t, "another grant") == 0 {
		at.Grant++
	}
	return at, at.Version == rec.Version && (at.Grant == rec.Grant || at.Grant == 1 && rec.Grant == 0)
}

// expect checks err against whether the model allows the call.
func expect(t *rapid.T, err error, allowed bool) {
	if allowed && err != nil || !allowed && !errors.Is(err, store.ErrConflict) {
		t.Fatalf("allowed is %v, and the error is %v", allowed, err)
	}
}

func (m *model) intend(t *rapid.T) {
	acc := account(t)
	at, fits := basis(t, m.records[acc])
	in := store.Intent{Account: acc, Attempt: attempt(t), Version: at.Version, Grant: at.Grant, At: start}
	standing, stands := m.intents[acc]
	ok := fits && (!stands || standing.Attempt == in.Attempt)
	expect(t, m.store.Intend(t.Context(), in), ok)
	if ok {
		m.intents[acc] = in
	}
}

func (m *model) replace(t *rapid.T) {
	old, acc := attempt(t), account(t)
	at, fits := basis(t, m.records[acc])
	in := store.Intent{Account: acc, Attempt: attempt(t), Version: at.Version, Grant: at.Grant, Replays: old, AmbiguousSince: start, At: start}
	standing, stands := m.intents[acc]
	ok := stands && standing.Attempt == old && (fits || at == standing.Basis())
	expect(t, m.store.Replace(t.Context(), old, in), ok)
	if ok {
		m.intents[in.Account] = in
	}
}

func (m *model) commit(t *rapid.T) {
	acc := account(t)
	cur, exists := m.records[acc]
	if !exists {
		cur = store.Record{Account: acc, Provider: "saxo"}
	}
	m.tokens++
	next := cur.Next(Token(acc, m.tokens), store.OriginRefresh, attempt(t), start)
	next.Version = version(t, next.Version)
	heir := rapid.SampledFrom([]bool{true, true, true, false}).Draw(t, "descends")
	if !heir {
		next.Grant += rapid.SampledFrom([]uint64{0, 1}).Draw(t, "grants more")
		next.Parent += "of another"
	}
	if rapid.Bool().Draw(t, "newer program") {
		next.Unknown = map[string][]byte{rapid.StringMatching(`x[a-zA-Z_"<]{0,6}`).Draw(t, "field"): []byte(`{"k":[1,"<&>"]}`)}
	}
	standing, stands := m.intents[acc]
	ok := heir && next.Version == cur.Version+1 && (!stands || standing.Attempt == next.Attempt)
	expect(t, m.store.Commit(t.Context(), next), ok)
	if ok {
		m.records[acc] = next
		delete(m.intents, acc)
	}
}

func (m *model) abandon(t *rapid.T) {
	acc, att := account(t), attempt(t)
	h := store.Health{Failures: rapid.IntRange(0, 9).Draw(t, "failures"), LastError: rapid.String().Draw(t, "error"), LastKind: sdk.KindTransient}
	standing, stands := m.intents[acc]
	rests, fits := basis(t, m.records[acc])
	ok := fits && (!stands || standing.Attempt == att)
	expect(t, m.store.Abandon(t.Context(), acc, att, rests, h), ok)
	if !ok {
		return
	}
	delete(m.intents, acc)
	if r, exists := m.records[acc]; exists {
		r.Health = h
		m.records[acc] = r
	}
}

func (m *model) deliver(t *rapid.T) {
	d := store.Delivery{
		Sink: rapid.SampledFrom(sinks).Draw(t, "sink"), Account: subject(t),
		Version: rapid.Uint64Range(1, 5).Draw(t, "version"), At: start,
	}
	if err := m.store.MarkDelivered(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	key := d.Sink + "/" + d.Account
	line := m.ledger[key]
	if d.Version < line.Version {
		return
	}
	line.Sink, line.Account, line.Version, line.At = d.Sink, d.Account, d.Version, d.At
	if d.Version >= line.TriedVersion {
		line = delivered(line)
	}
	m.ledger[key] = line
}

func (m *model) try(t *rapid.T) {
	tried := store.Tried{
		Sink: rapid.SampledFrom(sinks).Draw(t, "sink"), Account: subject(t),
		Version: rapid.Uint64Range(1, 5).Draw(t, "version"), At: start.Add(time.Minute),
		Result: rapid.SampledFrom([]string{store.ResultFailed, store.ResultRefused}).Draw(t, "result"),
		Error:  rapid.String().Draw(t, "error"), Failures: rapid.IntRange(1, 9).Draw(t, "failures"),
	}
	if err := m.store.MarkTried(t.Context(), tried); err != nil {
		t.Fatal(err)
	}
	key := tried.Sink + "/" + tried.Account
	line := m.ledger[key]
	if tried.Version < line.TriedVersion {
		return
	}
	line.Sink, line.Account = tried.Sink, tried.Account
	line.Result, line.TriedVersion, line.TriedAt = tried.Result, tried.Version, tried.At
	line.Error, line.Failures = tried.Error, tried.Failures
	m.ledger[key] = line
}

// subject is what a line of the ledger can be about.
func subject(t *rapid.T) string {
	return rapid.SampledFrom(slices.Concat(accounts, keys)).Draw(t, "subject")
}

func (m *model) raise(t *rapid.T) {
	a := event.Alert{
		Key: rapid.SampledFrom(keys).Draw(t, "key"), Type: event.NeedsLogin, State: event.AlertRaised,
		Version: rapid.Uint64().Draw(t, "version"), Account: account(t), Message: rapid.String().Draw(t, "message"),
		Since: start, ChangedAt: start.Add(time.Hour),
	}
	if err := m.store.SaveAlert(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	m.alerts[a.Key] = a
}

func (m *model) drop(t *rapid.T) {
	key := rapid.SampledFrom(keys).Draw(t, "key")
	stands, there := m.alerts[key]
	at := version(t, stands.Version)
	ok := !there || at == stands.Version
	if expect(t, m.store.DropAlert(t.Context(), key, at), ok); !ok {
		return
	}
	delete(m.alerts, key)
	for _, sink := range sinks {
		delete(m.ledger, sink+"/"+key)
	}
}

func (m *model) reopen(t *rapid.T) {
	if err := m.store.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	if m.store, err = m.open(); err != nil {
		t.Fatal(err)
	}
}

func (m *model) check(t *rapid.T) {
	ctx := t.Context()
	list, err := Records(ctx, m.store)
	if err != nil || len(list) != len(m.records) {
		t.Fatalf("%d records listed, want %d (%v)", len(list), len(m.records), err)
	}
	if !slices.IsSortedFunc(list, func(a, b store.Record) int { return strings.Compare(a.Account, b.Account) }) {
		t.Fatal("the list is not ordered")
	}
	for _, r := range list {
		if d := Diff(r, m.records[r.Account]); d != "" {
			t.Fatalf("%s: %s", r.Account, d)
		}
	}
	for _, acc := range accounts {
		in, ok, err := m.store.Intent(ctx, acc)
		want, stands := m.intents[acc]
		if err != nil || ok != stands || !sameIntent(in, want) {
			t.Fatalf("intent of %s: %+v (%v, %v), want %+v (%v)", acc, in, ok, err, want, stands)
		}
	}
	for _, sink := range sinks {
		for _, of := range slices.Concat(accounts, keys) {
			want := m.ledger[fmt.Sprint(sink, "/", of)]
			if got, err := m.store.Delivery(ctx, sink, of); err != nil || !sameDelivery(got, want) {
				t.Fatalf("%s in the ledger of %s: %+v (%v), want %+v", of, sink, got, err, want)
			}
		}
	}
	alerts, err := m.store.Alerts(ctx)
	if err != nil || len(alerts) != len(m.alerts) {
		t.Fatalf("%d alerts, want %d (%v)", len(alerts), len(m.alerts), err)
	}
	for _, a := range alerts {
		if !sameAlert(a, m.alerts[a.Key]) {
			t.Fatalf("alert %+v, want %+v", a, m.alerts[a.Key])
		}
	}
}
