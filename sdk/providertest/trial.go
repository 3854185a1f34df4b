package providertest

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/lockloan"
)

// trial is what a rule is held with: attempts in one way, and what is expected of them.
type trial struct {
	attempts
	keys []string // secrets of the account
}

// newTrial is of no way yet.
func newTrial(t *testing.T, s Suite) trial {
	t.Helper()
	p := subject{Suite: s.complete(), test: t.Name()}
	if s.New == nil {
		p.standing = p.start(t, t.TempDir())
	}
	p.described = p.known(t)
	usual := s.Broker.complete()
	w := wording{words: usual, usual: usual, born: time.Now().Truncate(time.Second), noRefresh: p.described.NoRefresh}
	return trial{attempts{subject: p, wording: w}, p.keysOf(p.described)}
}

// hold holds rules in the suite's way.
func (s trial) hold(t *testing.T, groups ...[]rule) {
	if s.way == none {
		return // it sends nothing
	}
	if s.way == guided {
		var err error
		if s, err = s.begin(t); err != nil {
			t.Run(s.name(), func(t *testing.T) { t.Fatalf("BeginLogin: %v", err) })
			return
		}
	}
	for _, rule := range slices.Concat(groups...) {
		t.Run(cmp.Or(rule.name, s.name()), func(t *testing.T) { rule.check(t, s) })
	}
}

// on is the suite for one way.
func (s trial) on(w turn) trial {
	s.turn, s.words = w, s.usual
	switch {
	case w.way == mints && s.MintBroker != nil:
		s.words = s.MintBroker.complete()
	case w.way == guided && s.LoginBroker != nil:
		s.words = s.LoginBroker.complete()
	}
	return s
}

// begin begins the login that the attempts of a guided suite end.
func (s trial) begin(t *testing.T) (trial, error) {
	t.Helper()
	var err error
	s.begun, err = s.fresh(t).BeginLogin(call(t), s.beginning(s.shape, s.beside(t, s.begins(s.shape))))
	return s, err
}

// asks says whether a login of the shape begins with a request to the broker.
func (s trial) asks(t *testing.T) bool {
	b := s.beside(t, s.begins(s.shape))
	_, err := s.fresh(t).BeginLogin(call(t), s.beginning(s.shape, b))
	return err == nil && len(b.posts()) > 0
}

func (s trial) orphan(t *testing.T) orphan {
	t.Helper()
	b, arrived, release := s.holdBack(t)
	o := orphan{ctx: call(t), dir: t.TempDir(), lock: filepath.Join(t.TempDir(), "lock"), answer: release}
	p, remote := s.host(t, o.dir)
	o.Process = p
	ours := flock(t, o.lock)
	switch err := p.Locks.LendLock("one", int(ours.Fd())); {
	case errors.Is(err, lockloan.ErrNotTaken):
		t.Skip("this provider takes no locks, which is allowed: see package lockloan")
	case err != nil:
		t.Fatal(err)
	}
	inMidRequest(t, arrived, func() error {
		_, err := s.next(o.ctx, remote, s.request("one", b))
		return err
	})
	_, _ = ours.Close(), p.Locks.Close() // as the supervisor's death does
	p.LetGo()
	return o
}

func (s trial) wantToken(t *testing.T, got sdk.Token, access, refresh string) {
	t.Helper()
	if got.AccessToken.Reveal() != access || got.RefreshToken.Reveal() != s.given(refresh) {
		t.Error("the token is not the one that the broker sent")
	}
	want, within := Lifetime, time.Duration(0)
	if s.words.JWT {
		want = s.born.Add(Lifetime).Sub(got.IssuedAt)
	}
	if s.words.JWT || s.words.Moments { // which have whole seconds
		within = 5 * time.Second
	}
	if (got.Lifetime - want).Abs() > within {
		t.Errorf("Lifetime %s, want %s", got.Lifetime, want)
	}
	if got.IssuedAt.IsZero() {
		t.Error("IssuedAt is not set")
	}
}

func (s trial) wantUnknown(t *testing.T, req sdk.KeepaliveRequest) {
	t.Helper()
	life, err := s.fresh(t).KeepAlive(call(t), req)
	if err == nil {
		t.Fatalf("the session is called %q, and nobody knows", life)
	}
	s.wantNoSecret(t, err)
}

// wantLogin: a person can follow it, and nothing of it tells a secret.
func (s trial) wantLogin(t *testing.T, login sdk.Login) {
	t.Helper()
	if login.Shape != s.shape {
		t.Errorf("a login of the shape %q has begun, asked for was %q", login.Shape, s.shape)
	}
	for what, text := range map[string]string{"Address": login.Address, "Instructions": login.Instructions, "UserCode": login.UserCode} {
		if plain, err := url.QueryUnescape(text); s.tells(text) || err == nil && s.tells(plain) {
			t.Errorf("Login.%s tells a secret", what)
		}
	}
	if u, err := url.Parse(login.Address); login.Address != "" && (err != nil || u.Host == "" || !safe(u)) {
		t.Errorf("Login.Address is %q; a person is sent to https://, or http:// of the own machine, and nowhere else", login.Address)
	}
	switch {
	case polled(s.shape) && login.PollEvery <= 0:
		t.Error("Login.PollEvery is not set, so that nobody asks whether the person is done")
	case !polled(s.shape) && s.shape != sdk.LoginCallback && login.PollEvery != 0:
		t.Errorf("Login.PollEvery is %s, and nothing is polled: the person hands something in", login.PollEvery)
	}
	if s.shape == sdk.LoginDevice && (login.UserCode == "" || login.Address == "") {
		t.Error("Login has no UserCode or no Address: the person can't type the one at the other (RFC 8628, section 3.3)")
	}
	if login.Address == "" && login.Instructions == "" {
		t.Error("Login has neither Address nor Instructions: nobody knows what to do")
	}
	if !login.Expires.IsZero() && !login.Expires.After(time.Now()) {
		t.Errorf("Login.Expires is %s, which is past", login.Expires)
	}
}

func (s trial) wantNoSecret(t *testing.T, err error) {
	t.Helper()
	if s.tells(err.Error()) {
		t.Errorf("the error's text tells a token, a secret or the answer's body: %v", err)
	}
}

// tells says whether a text holds a secret of the suite's or a key of the account's.
func (s trial) tells(text string) bool {
	return strings.Contains(text, "canary") || strings.Contains(text, verifier) ||
		slices.ContainsFunc(s.keys, func(key string) bool { return strings.Contains(text, key) })
}

// echo is an error that says what it was told.
func (s trial) echo(spent string) string {
	key := clientSecret
	if len(s.keys) > 0 {
		key = s.keys[0]
	}
	b, _ := json.Marshal(map[string]string{"error": cmp.Or(spent, key), "error_description": clientSecret})
	return string(b)
}
