package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// renewing is a broker without refresh tokens, and its provider: the access token
// gets the next one while it lives, once.
type renewing struct {
	sdk.NoRefresh
	lifetime time.Duration
	stays    bool // the token before lives on

	mu      sync.Mutex
	token   string // the one that lives
	dies    time.Time
	issued  int
	sent    map[string]int
	faults  []func(slot *spool.Slot) error // before the answer of the next requests, by turn
	refused int
	// until: before that it takes requests, does nothing and answers none.
	until time.Time
}

func newRenewing(lifetime time.Duration) *renewing {
	return &renewing{lifetime: lifetime, sent: map[string]int{}}
}

// login is a person's.
func (b *renewing) login() sdk.Token {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.issue()
}

func (b *renewing) issue() sdk.Token {
	b.issued++
	b.token, b.dies = fmt.Sprintf("access-%d", b.issued), time.Now().Add(b.lifetime)
	return sdk.Token{AccessToken: sdk.NewSecret(b.token), IssuedAt: time.Now(), Lifetime: b.lifetime}
}

func (b *renewing) accepts(t sdk.Secret) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return t.Reveal() == b.token && time.Now().Before(b.dies)
}

func (b *renewing) next(fs ...func(*spool.Slot) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, fs...)
}

// sentTwice lists the tokens that came more than once.
func (b *renewing) sentTwice() (twice []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for t, n := range b.sent {
		if n > 1 {
			twice = append(twice, t)
		}
	}
	return twice
}

func (b *renewing) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{Name: "fake", Version: "1", Policy: sdk.Policy{
		AccessLifetime: b.lifetime, BeforeExpiry: b.lifetime / 4, OldAccessDies: !b.stays,
	}}, nil
}

func (b *renewing) Renew(ctx context.Context, req sdk.RenewRequest) (sdk.Token, error) {
	slot, _ := spool.FromContext(ctx)
	if err := errors.Join(slot.Advance(spool.Ready), slot.Advance(spool.Sent)); err != nil {
		return sdk.Token{}, sdk.ErrNotSent
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Now().Before(b.until) {
		return sdk.Token{}, sdk.ErrAmbiguous
	}
	sent := req.Token.AccessToken.Reveal()
	b.sent[sent]++
	if sent != b.token || !time.Now().Before(b.dies) {
		b.refused++
		return sdk.Token{}, &sdk.Error{Kind: sdk.KindInvalidGrant, Message: "the token is not known", HTTPStatus: 401}
	}
	var fault func(*spool.Slot) error
	if len(b.faults) > 0 {
		fault, b.faults = b.faults[0], b.faults[1:]
	}
	token, dies := b.token, b.dies
	t := b.issue()
	if fault == nil {
		return t, nil
	}
	if b.stays { // what was lost was one of two that live
		b.token, b.dies = token, dies
	}
	return t, fault(slot)
}

// newRenewRig is a rig at such a broker, with a login.
func newRenewRig(t *testing.T, b *renewing) *rig {
	r := newRig(t, b.lifetime)
	r.provider = b
	r.accounts = []refresh.Account{{Account: sdk.Account{Name: "main"}, Timeout: 30 * time.Second, MaxFailures: 5}}
	r.restart()
	d, err := b.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.Renewer, d.NoRefresh = true, true
	r.keeper.Meet(d)
	r.logInAt(b)
	return r
}

func (r *rig) logInAt(b *renewing) {
	r.t.Helper()
	if _, err := r.keeper.Import(r.t.Context(), store.Record{Account: "main", Token: b.login()}, true); err != nil {
		r.t.Fatal(err)
	}
}

// Through a week a token of 90 minutes renews itself with one login, whatever ends
// the provider and the supervisor; no token is sent twice, and consumers always hold
// one that works.
func TestRenewedForAWeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRenewing(90 * time.Minute)
		r := newRenewRig(t, b)
		gen := r.start()
		for step := range 7 * 24 * 12 {
			switch step % 500 {
			case 200:
				gen.kill()
				if err := gen.died(); !errors.Is(err, sdk.ErrConnection) {
					t.Fatal(err)
				}
				gen = r.start()
			case 300:
				if err := gen.end(); err != nil {
					t.Fatal(err)
				}
				r.restart()
				gen = r.start()
			}
			time.Sleep(5 * time.Minute)
			r.keeper.Look()
			synctest.Wait()
			if s := r.status("main"); s.State != refresh.Valid || !b.accepts(s.Record.Token.AccessToken) {
				t.Fatalf("step %d: %s, %+v", step, s.State, s.Record.Health)
			}
		}
		if twice := b.sentTwice(); len(twice) > 0 {
			t.Errorf("sent twice: %v", twice)
		}
		if rec := r.record("main"); rec.Way != store.WayRenew || rec.Version < 100 || !rec.RefreshExpiry.Equal(rec.Token.Expiry()) {
			t.Errorf("version %d, ends %s and %s", rec.Version, rec.RefreshExpiry, rec.Token.Expiry())
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// A supervisor that dies with the answer in the spool takes it at the next start, and
// sends nothing.
func TestRenewedAnswerIsTakenFromTheSpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRenewing(time.Hour)
		r := newRenewRig(t, b)
		gen := r.start()
		b.next(func(*spool.Slot) error { gen.cut(); time.Sleep(time.Second); return nil })
		if err := gen.died(); !errors.Is(err, sdk.ErrConnection) {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		gen.kill()
		r.restart()
		if in, open, err := r.store.Intent(t.Context(), "main"); err != nil || !open || in.Kind != spool.KindRenew || r.record("main").Version != 1 {
			t.Fatalf("%+v, %t, %v", in, open, err)
		}
		gen = r.start()
		synctest.Wait()
		if rec := r.record("main"); rec.Version != 2 || !b.accepts(rec.Token.AccessToken) || len(b.sentTwice()) > 0 {
			t.Errorf("version %d, sent %v", rec.Version, b.sent)
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// A lost answer is ambiguous where the token before died of it, and means a login;
// where that lives on it is asked for again, and nobody is alarmed.
func TestLostRenewal(t *testing.T) {
	for _, stays := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newRenewing(time.Hour)
			b.stays = stays
			r := newRenewRig(t, b)
			defer r.watch()()
			gen := r.start()
			b.next(func(*spool.Slot) error { return sdk.ErrAmbiguous })
			time.Sleep(58 * time.Minute)
			synctest.Wait()
			s := r.status("main")
			if stays && (s.State != refresh.Valid || r.count(event.Ambiguous) != 0 || !b.accepts(s.Record.Token.AccessToken)) {
				t.Errorf("%s, %d alarms", s.State, r.count(event.Ambiguous))
			}
			if !stays && (s.State != refresh.NeedsLogin || r.count(event.Ambiguous) != 1 || r.count(event.NeedsLogin) != 1) {
				t.Errorf("%s, %d alarms, %+v", s.State, r.count(event.Ambiguous), s.Record.Health)
			}
			if !stays {
				for _, e := range r.events {
					if e.Type == event.NeedsLogin && !strings.Contains(e.Message, "the server refused the access token") {
						t.Error(e.Message)
					}
				}
				r.logInAt(b)
				time.Sleep(2 * time.Hour)
				if s := r.status("main"); s.State != refresh.Valid || !b.accepts(s.Record.Token.AccessToken) {
					t.Errorf("after the login: %s", s.State)
				}
			}
			if err := gen.end(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What died while nothing ran is not sent any more: a person has to log in.
func TestDeadTokenIsNotRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRenewing(time.Hour)
		r := newRenewRig(t, b)
		time.Sleep(2 * time.Hour)
		r.restart()
		gen := r.start()
		time.Sleep(time.Hour)
		if s := r.status("main"); s.State != refresh.NeedsLogin || len(b.sent) != 0 {
			t.Errorf("%s, sent %v", s.State, b.sent)
		}
		if _, err := r.keeper.Refresh(t.Context(), "main", false); !errors.Is(err, refresh.ErrNeedsLogin) {
			t.Error(err)
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// daily is a broker whose tokens come from a login alone.
type daily struct{ sdk.NoRefresh }

func (*daily) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{Name: "fake", Policy: sdk.Policy{
		Access: sdk.Deadline{Clock: sdk.TimeOfDay{Hour: 6, Zone: "Asia/Kolkata"}, Certain: true},
	}}, nil
}

// newDailyRig is a rig at such a broker, without a token.
func newDailyRig(t *testing.T) *rig {
	r := newRig(t, time.Hour)
	r.provider = &daily{}
	r.accounts = []refresh.Account{{Account: sdk.Account{Name: "main"}, Timeout: 30 * time.Second, MaxFailures: 5}}
	r.restart()
	return r
}

// A token that nothing renews is served until it dies; then a person is needed, and
// nothing is ever sent.
func TestLoggedInEachMorning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDailyRig(t)
		defer r.watch()()
		gen := r.start()
		synctest.Wait()
		for day := range 7 {
			token := sdk.Token{AccessToken: sdk.NewSecret(fmt.Sprint("day-", day)), IssuedAt: time.Now(), Lifetime: 24 * time.Hour}
			rec, err := r.keeper.Import(t.Context(), store.Record{Account: "main", Token: token}, false)
			if err != nil || rec.Way != store.WayLogin {
				t.Fatal(rec.Way, err)
			}
			time.Sleep(rec.RefreshExpiry.Sub(r.wall()) - time.Minute)
			if s := r.status("main"); s.State != refresh.Valid || !s.Due.IsZero() {
				t.Errorf("day %d: %s, due %s", day, s.State, s.Due)
			}
			if _, err := r.keeper.Refresh(t.Context(), "main", true); !errors.Is(err, refresh.ErrNeedsLogin) {
				t.Errorf("a refresh: %v", err)
			}
			time.Sleep(2 * time.Minute)
			if s := r.status("main"); s.State != refresh.NeedsLogin {
				t.Errorf("day %d: %s", day, s.State)
			}
		}
		if r.count(event.RefreshFailed)+r.count(event.NeedsLogin) > 0 {
			t.Errorf("something was sent: %+v", r.events)
		}
		if err := gen.end(); err != nil {
			t.Error(err)
		}
	})
}

// An access token of which nothing says when it ends has the end that its provider's
// policy tells, if only a login brings the next one: consumers are told of it.
func TestEndOfAnAccessTokenByThePolicy(t *testing.T) {
	for name, certain := range map[string]bool{"documented": true, "a guess": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newDailyRig(t)
				r.provider = &dailyBy{certain: certain}
				gen := r.start()
				synctest.Wait()
				if _, err := r.keeper.Import(t.Context(), store.Record{Account: "main", Token: sdk.Token{AccessToken: sdk.NewSecret("a"), IssuedAt: time.Now()}}, false); err != nil {
					t.Fatal(err)
				}
				for range 2 { // also of the record as it stands at the next start
					s := r.status("main")
					rec, at := s.Record, time.Date(2000, 1, 1, 0, 30, 0, 0, time.UTC)
					if !rec.Token.Expiry().Equal(at) || !rec.RefreshExpiry.Equal(at) || rec.Token.Uncertain == certain || s.EndGuessed == certain {
						t.Errorf("it ends %s (assumed: %t), its login %s (a guess: %t)", rec.Token.Expiry(), rec.Token.Uncertain, rec.RefreshExpiry, s.EndGuessed)
					}
					if err := gen.end(); err != nil {
						t.Error(err)
					}
					r.restart()
					gen = r.start()
					synctest.Wait()
				}
				if err := gen.end(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// dailyBy is daily whose broker documents that, or does not.
type dailyBy struct {
	daily
	certain bool
}

func (b *dailyBy) Describe(ctx context.Context) (sdk.Description, error) {
	d, err := b.daily.Describe(ctx)
	d.Policy.Access.Certain = b.certain
	return d, err
}
