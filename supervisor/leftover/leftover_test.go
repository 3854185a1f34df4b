package leftover_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/leftover"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/spools"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/storetest"
)

// house is a store with an account "old", which is in no configuration, and an account
// "new", of which nothing is stored.
type house struct {
	leftover.Accounts
	t    *testing.T
	woke []string
}

func newHouse(t *testing.T) *house {
	h := &house{t: t}
	h.Store, h.Now = store.NewMemory(), time.Now()
	h.Config = &config.Config{StateDir: t.TempDir(), File: "tk.yaml", Accounts: map[string]config.Account{
		"new": {Name: "new", Provider: "fake", ClientID: "client-1234", Settings: map[string]string{"token_url": "https://broker.example/token"}},
	}}
	rec := record("old")
	must(t, h.Store.Commit(t.Context(), rec))
	log := slog.New(slog.DiscardHandler)
	h.Keeper = func(string) (*refresh.Keeper, bool) { return nil, false }
	h.KeeperOf = func(account string) (*refresh.Keeper, bool) {
		c := h.Config.Accounts[account]
		k, err := refresh.NewKeeper(t.Context(), refresh.Config{
			Provider: c.Provider, Accounts: []refresh.Account{{Account: sdk.Account{Name: account, ClientID: c.ClientID, Settings: c.Settings}}}, Store: h.Store,
			Wake: func(account string) { h.woke = append(h.woke, account) }, Events: event.NewBus(log, time.Now), Log: log, Wall: time.Now,
		})
		must(t, err)
		return k, true
	}
	return h
}

// record is a first one, granted as "new" is configured.
func record(account string) store.Record {
	r := store.Record{Account: account, Provider: "fake"}.Next(sdk.Token{
		AccessToken: sdk.NewSecret("access"), RefreshToken: sdk.NewSecret("refresh"), IssuedAt: time.Now(), Lifetime: time.Hour,
	}, store.OriginLogin, "a1", time.Now())
	r.RefreshExpiry = time.Now().Add(24 * time.Hour)
	r.GrantedTo = store.GrantedTo{Client: sdk.NewSecret("client-1234").Fingerprint(), TokenHost: "broker.example"}
	return r
}

// spooled puts an attempt of the account "old" into the spool: to be settled, or, as
// nobody could read its answer, aside.
func (h *house) spooled(attempt string, aside bool) {
	h.t.Helper()
	dir, _ := spools.Dirs(h.Config, "fake")
	must(h.t, os.MkdirAll(filepath.Dir(dir), 0o700))
	sp, err := spool.Open(h.t.Context(), dir, 2)
	must(h.t, err)
	s, _, err := sp.Begin(spool.Header{Attempt: attempt, Account: "old", Kind: spool.KindRefresh, Version: 1})
	must(h.t, err)
	must(h.t, s.Advance(spool.Sent))
	must(h.t, s.Record([]byte("an answer to "+attempt)))
	if aside {
		must(h.t, sp.Settle(attempt, true))
	}
	must(h.t, sp.Close())
}

func (h *house) inSpool(account string) (open, unread int) {
	h.t.Helper()
	slots, aside, err := spools.OfAccount(h.Config, "fake", account)
	must(h.t, err)
	return len(slots), len(aside)
}

// refusals are why an account is not renamed; nothing has changed then.
func TestRenameIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(h *house)
		from, to string
		code     string
		says     string
	}{
		"the same name":      {nil, "old", "old", control.CodeBadRequest, "has that name already"},
		"still configured":   {func(h *house) { h.Config.Accounts["old"] = h.Config.Accounts["new"] }, "old", "new", control.CodeConflict, "is in the configuration tk.yaml: write its new name there"},
		"not configured":     {nil, "old", "neww", control.CodeNotFound, `did you mean "new"?`},
		"nothing is stored":  {nil, "oldd", "new", control.CodeNotFound, `did you mean "old"?`},
		"a token of its own": {func(h *house) { must(t, h.Store.Commit(t.Context(), record("new"))) }, "old", "new", control.CodeConflict, "account new has a token of its own (version 1), which would be lost"},
		"another client": {func(h *house) {
			h.Config.Accounts["new"] = config.Account{Name: "new", Provider: "fake", ClientID: "another"}
		}, "old", "new", control.CodeConflict, "account old can't go on as new: its refresh token was granted to another client_id"},
		"a client that is not known": {func(h *house) {
			h.Config.Accounts["new"] = config.Account{Name: "new", Provider: "fake"}
		}, "old", "new", control.CodeConflict, "the client_id of account new is not known here"},
		"another server": {func(h *house) {
			h.Config.Accounts["new"] = config.Account{Name: "new", Provider: "fake", ClientID: "client-1234", Settings: map[string]string{"token_url": "https://other.example/t"}}
		}, "old", "new", control.CodeConflict, "granted by broker.example, and the configuration names other.example"},
		"another provider": {func(h *house) {
			h.Config.Accounts["new"] = config.Account{Name: "new", Provider: "other", ClientID: "client-1234"}
		}, "old", "new", control.CodeConflict, "account old is one of provider fake, and new one of provider other"},
		"an open attempt": {func(h *house) {
			must(t, h.Store.Intend(t.Context(), store.Intent{Account: "old", Attempt: "open", Version: 1, Kind: spool.KindRefresh}))
		}, "old", "new", control.CodeConflict, "attempt open of account old: the outcome of a refresh is not known yet"},
		"an attempt of its own": {func(h *house) {
			must(t, h.Store.Intend(t.Context(), store.Intent{Account: "new", Attempt: "mine", Kind: spool.KindMint}))
		}, "old", "new", control.CodeConflict, "attempt mine of account new: the outcome of a refresh is not known yet"},
		"an answer in the spool": {func(h *house) { h.spooled("waits", false) }, "old", "new", control.CodeConflict, "attempt waits of it lies in the spool of provider fake"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.spooled("unread", true)
			if c.change != nil {
				c.change(h)
			}
			_, err := h.Rename(t.Context(), c.from, c.to)
			refused, ok := err.(*control.Error)
			if !ok || refused.Code != c.code || !strings.Contains(refused.Message, c.says) {
				t.Fatalf("%v", err)
			}
			if _, err := h.Store.Load(t.Context(), "old"); err != nil {
				t.Error(err)
			}
			if _, unread := h.inSpool("old"); unread != 1 || len(h.woke) > 0 {
				t.Errorf("%d unread answers under the old name, woke %v", unread, h.woke)
			}
		})
	}
}

// The login, what nobody knows of it, and what nobody could read go on under the new name.
func TestRename(t *testing.T) {
	h := newHouse(t)
	h.spooled("unread", true)
	must(t, h.Store.Intend(t.Context(), store.Intent{Account: "old", Attempt: "lost", Version: 1, Kind: spool.KindRefresh, At: time.Now(), AmbiguousSince: time.Now(), Unread: true, UnreadAttempt: "unread"}))
	got, err := h.Rename(t.Context(), "old", "new")
	if err != nil || got.Account != "new" || got.From != "old" || got.Version != 1 || got.Unread != 1 || got.RefreshExpiry.IsZero() {
		t.Fatalf("%+v, %v", got, err)
	}
	k, _ := h.KeeperOf("new")
	if st, _ := k.Status("new"); st.Version != 1 || st.GrantedElsewhere != "" || !st.Record.Token.RefreshToken.Equal(sdk.NewSecret("refresh")) {
		t.Errorf("%+v", st)
	}
	if in, stands, err := h.Store.Intent(t.Context(), "new"); err != nil || !stands || in.Attempt != "lost" {
		t.Errorf("%+v, %v, %v", in, stands, err)
	}
	if _, old := h.inSpool("old"); old != 0 {
		t.Errorf("%d answers have the old name", old)
	}
	_, aside, err := spools.OfAccount(h.Config, "fake", "new")
	if err != nil || len(aside) != 1 || string(aside[0].Answer) != "an answer to unread" || aside[0].Kind != spool.KindRefresh {
		t.Errorf("%+v, %v", aside, err)
	}
	if len(h.woke) != 1 || h.woke[0] != "new" {
		t.Errorf("woke %v", h.woke)
	}
	if all, err := leftover.In(t.Context(), h.Config, h.Store, h.Now); err != nil || len(all) > 0 {
		t.Errorf("left: %+v, %v", all, err)
	}
}

// failing is a store that renames nothing, or has, and nothing is read of it any more.
type failing struct {
	store.Store
	renames bool
}

func (s failing) Rename(ctx context.Context, from, to string, at store.Basis) error {
	if s.renames {
		return s.Store.Rename(ctx, from, to, at)
	}
	return store.ErrDisk
}

func (s failing) Load(ctx context.Context, account string) (store.Record, error) {
	rec, err := s.Store.Load(ctx, account)
	if account == "new" && err == nil {
		return store.Record{}, store.ErrDamaged
	}
	return rec, err
}

// What nobody could read has the name that what is stored has.
func TestRenameThatFails(t *testing.T) {
	for owner, renames := range map[string]bool{"old": false, "new": true} {
		h := newHouse(t)
		h.spooled("one", true)
		h.spooled("two", true)
		h.Store = failing{h.Store, renames}
		if _, err := h.Rename(t.Context(), "old", "new"); err == nil {
			t.Errorf("renamed %t: no error", renames)
		}
		if _, unread := h.inSpool(owner); unread != 2 {
			t.Errorf("renamed %t: %d unread answers of account %s", renames, unread, owner)
		}
		if renames {
			continue
		}
		h.Store = h.Store.(failing).Store
		if got, err := h.Rename(t.Context(), "old", "new"); err != nil || got.Unread != 2 {
			t.Errorf("once more: %+v, %v", got, err)
		}
	}
}

// The store does not say whether it has taken that: it is read back before anybody is told.
func TestUnknownOutcomeOfAForgottenOrRenamedOne(t *testing.T) {
	for how, made := range map[storetest.Loss]bool{storetest.Before: false, storetest.After: true, storetest.Late: true} {
		for name, do := range map[string]func(*house) error{
			"renamed":   func(h *house) error { _, err := h.Rename(t.Context(), "old", "new"); return err },
			"forgotten": func(h *house) error { _, err := h.Forget(t.Context(), "old"); return err },
		} {
			h := newHouse(t)
			s := &storetest.Lossy{Store: h.Store}
			h.Store = s
			s.Lose(how)
			if err := do(h); (err == nil) != made {
				t.Errorf("%s, lost %s: %v", name, how, err)
			}
			if _, err := h.Store.Load(t.Context(), "old"); errors.Is(err, store.ErrNotFound) != made {
				t.Errorf("%s, lost %s: the old one: %v", name, how, err)
			}
		}
	}
}

// Nothing is left of what is forgotten, and what was cut off is done once more.
func TestForget(t *testing.T) {
	h := newHouse(t)
	h.spooled("unread", true)
	h.spooled("waits", false)
	must(t, h.Store.Intend(t.Context(), store.Intent{Account: "old", Attempt: "waits", Version: 1, Kind: spool.KindRefresh}))
	if _, err := h.Forget(t.Context(), "new"); err == nil || !strings.Contains(err.Error(), "is in the configuration tk.yaml: remove it from there") {
		t.Errorf("one that is configured: %v", err)
	}
	got, err := h.Forget(t.Context(), "old")
	if err != nil || got.Version != 1 || !got.HadLogin || got.Provider != "fake" || got.Attempts != 1 || got.Unread != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if open, unread := h.inSpool("old"); open+unread > 0 {
		t.Errorf("%d attempts and %d answers lie in the spool", open, unread)
	}
	if _, err := h.Forget(t.Context(), "old"); err == nil || !strings.Contains(err.Error(), `nothing is stored of an account "old"`) {
		t.Errorf("once more: %v", err)
	}
	h.spooled("unread", true)
	if got, err := h.Forget(t.Context(), "old"); err != nil || got.Unread != 1 || got.Version != 0 {
		t.Errorf("what was left in the spool alone: %+v, %v", got, err)
	}
}

// unforgetting is a store that forgets nothing.
type unforgetting struct{ store.Store }

func (unforgetting) Forget(context.Context, string, string, store.Basis) error { return store.ErrDisk }

// What is cut off when the spool was cleared proves by that of no attempt that it was not
// sent, should the account come back; and it is done once more.
func TestForgetThatIsCutOff(t *testing.T) {
	h := newHouse(t)
	h.spooled("waits", false)
	must(t, h.Store.Intend(t.Context(), store.Intent{Account: "old", Attempt: "waits", Version: 1, Kind: spool.KindRefresh, Spool: "the-spool", Fingerprint: "f"}))
	forgets := h.Store
	h.Store = unforgetting{forgets}
	if _, err := h.Forget(t.Context(), "old"); err == nil {
		t.Error("no error")
	}
	if in, stands, err := forgets.Intent(t.Context(), "old"); err != nil || !stands || in.Attempt != "waits" || in.Fingerprint != "f" || in.Spool != "" {
		t.Errorf("%+v, %v, %v", in, stands, err)
	}
	if open, _ := h.inSpool("old"); open != 0 {
		t.Errorf("%d attempts lie in the spool", open)
	}
	h.Store = forgets
	if got, err := h.Forget(t.Context(), "old"); err != nil || got.Version != 1 || got.Attempts != 1 {
		t.Errorf("once more: %+v, %v", got, err)
	}
}

// Of a renamed account it is asked whether it was, where that can be one alone.
func TestMayBe(t *testing.T) {
	cfg := func(accounts ...config.Account) *config.Config {
		c := &config.Config{Accounts: map[string]config.Account{}}
		for _, a := range accounts {
			c.Accounts[a.Name] = a
		}
		return c
	}
	of := func(name, client string) config.Account {
		return config.Account{Name: name, Provider: "fake", ClientID: client}
	}
	ended := record("ended")
	ended.RefreshExpiry = time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		cfg    *config.Config
		stored []store.Record
		want   string
	}{
		"renamed":          {cfg(of("new", "client-1234")), []store.Record{record("old")}, "old: new"},
		"two could be":     {cfg(of("new", "client-1234")), []store.Record{record("old"), record("older")}, "old: , older: "},
		"to one of two":    {cfg(of("new", "client-1234"), of("newer", "client-1234")), []store.Record{record("old")}, "old: new newer"},
		"it has a token":   {cfg(of("new", "client-1234")), []store.Record{record("new"), record("old")}, "old: "},
		"another client":   {cfg(of("new", "client-9")), []store.Record{record("old")}, "old: "},
		"another provider": {cfg(config.Account{Name: "new", Provider: "other", ClientID: "client-1234"}), []store.Record{record("old")}, "old: "},
		"it has ended":     {cfg(of("new", "client-1234")), []store.Record{ended}, "ended: "},
		"all configured":   {cfg(of("old", "client-1234")), []store.Record{record("old")}, ""},
	} {
		st := store.NewMemory()
		for _, r := range c.stored {
			must(t, st.Commit(t.Context(), r))
		}
		left, err := leftover.In(t.Context(), c.cfg, st, time.Now())
		must(t, err)
		for what, left := range map[string][]control.ListedAccount{
			"of the store": left, "of the list": leftover.Of(leftover.List(c.cfg, c.stored, time.Now())),
			"of another's list": leftover.Of(leftover.Compare(c.cfg, leftover.List(cfg(of("gone", "client-1234")), c.stored, time.Now()))),
		} {
			var got []string
			for _, a := range left {
				got = append(got, a.Name+": "+strings.Join(a.MayBe, " "))
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("%s, %s: %v, want %s", name, what, got, c.want)
			}
		}
	}
}

// Whose refresh token it is, of the accounts of a provider that are in no configuration.
func TestHolder(t *testing.T) {
	h := newHouse(t)
	now := time.Now()
	next := record("old").Next(sdk.Token{RefreshToken: sdk.NewSecret("second"), IssuedAt: now, Lifetime: time.Hour}, store.OriginRefresh, "a2", now)
	must(t, h.Store.Commit(t.Context(), next))
	before := store.Intent{Account: "old", Attempt: "before", Version: 2, Kind: spool.KindRefresh, At: now, Fingerprint: sdk.NewSecret("sent").Fingerprint()}
	must(t, h.Store.Intend(t.Context(), before))
	must(t, h.Store.Replace(t.Context(), "before", store.Intent{Account: "old", Attempt: "login", Version: 2, Kind: spool.KindExchange, At: now, Before: &before}))
	for secret, want := range map[string]string{"second": "old", "refresh": "old", "sent": "old", "another": ""} {
		if got := leftover.Holder(t.Context(), h.Config, h.Store, "fake")(sdk.NewSecret(secret).Fingerprint()); got != want {
			t.Errorf("%s: %q, want %q", secret, got, want)
		}
	}
	second := sdk.NewSecret("second").Fingerprint()
	if got := leftover.Holder(t.Context(), h.Config, h.Store, "other")(second); got != "" {
		t.Errorf("of another provider: %q", got)
	}
	h.Config.Accounts["old"] = h.Config.Accounts["new"]
	if got := leftover.Holder(t.Context(), h.Config, h.Store, "fake")(second); got != "" {
		t.Errorf("one that is configured: %q", got)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
