package supervisor

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/keepalive"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/spools"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// backend lets the control API control a Supervisor.
type backend struct{ s *Supervisor }

func (b backend) Status(ctx context.Context) (control.Status, error) {
	s := b.s
	st := control.Status{
		Version: s.opts.Version, PID: os.Getpid(), StartedAt: s.started, Now: s.opts.Seams.Wall(),
		StateDir: s.opts.Config.StateDir, Config: s.opts.Config.File, ConfigChanged: s.opts.Config.Changed(),
		Providers: []control.Provider{}, Accounts: []control.Account{},
	}
	for _, name := range slices.Sorted(maps.Keys(s.providers)) {
		st.Providers = append(st.Providers, providerStatus(name, s.providers[name].Status(), s.keepers[name], st.Now))
		for _, a := range s.opts.Config.AccountsOf(name) {
			k, _ := s.keepers[name].Status(a.Name)
			acc := accountStatus(a.Name, name, k)
			acc.Session = sessionStatus(s.beats[name], a.Name, k.Record, st.Now)
			acc.Unread = spools.UnreadFile(s.opts.Config, name, k.Unread)
			acc.SetAside = setAside(k.Record, st.Now)
			acc.Sinks = s.deliveries(a.Name, k.Record)
			st.Accounts = append(st.Accounts, acc)
		}
	}
	slices.SortFunc(st.Accounts, func(x, y control.Account) int { return cmp.Compare(x.Name, y.Name) })
	alerts, err := s.alerts.Alerts(ctx)
	if err != nil {
		return st, control.Errorf(control.CodeUnavailable, "%v", err)
	}
	st.Alerts = openAlerts(alerts)
	st.Machine = s.ownership.status()
	return st, nil
}

func providerStatus(name string, m process.Status, k *refresh.Keeper, now time.Time) control.Provider {
	l := k.Load()
	return control.Provider{
		Name: name, State: string(m.State), PID: m.PID, Generation: m.Generation, StartedAt: m.StartedAt,
		Restarts: m.Restarts, Crashes: m.Crashes, LastError: m.LastError, NextStart: m.NextStart,
		Version: m.Description.Version, Command: m.Command, InFlight: k.InFlight(),
		MaxInFlight: l.Slots, Overdue: l.Overdue, Overloaded: l.Overloaded(now),
		NeededRate: l.Needed, PossibleRate: l.Possible(), AnswerTime: l.Answer, AnswerTimeAssumed: !l.Measured,
	}
}

func accountStatus(name, provider string, k refresh.Status) control.Account {
	r := k.Record
	a := control.Account{
		Name: name, Provider: provider, State: string(k.State), Version: r.Version, Origin: string(r.Origin), Grant: r.Grant,
		RefreshExpiry: r.RefreshExpiry, RefreshExpiryUncertain: k.EndGuessed && !r.RefreshExpiry.IsZero(),
		Due: k.Due, InFlight: k.InFlight, MaxFailures: k.MaxFailures, AmbiguousSince: k.AmbiguousSince,
		Failures: r.Health.Failures, LastError: r.Health.LastError, LastKind: string(r.Health.LastKind),
		LastFailure: r.Health.LastFailure, Withheld: k.Withheld,
		Waiting: string(k.Waiting), WaitingText: k.WaitingText, Advice: k.Advice(),
	}
	if r.Version > 0 {
		a.Expiry, a.ExpiryUncertain, a.Way = r.Token.Expiry(), r.Token.Uncertain, wayOf(r)
	}
	if k.Mints {
		a.Way = control.WayMint
	}
	a.RefreshExpiryUnknown = k.LoginEnd == refresh.EndUnknown
	a.OldAccessDies = k.OldAccessDies
	a.Person, a.Candidate = whose(r)
	a.Login = openLogin(k.Login)
	if r.Origin == store.OriginRefresh || r.Origin == store.OriginMint {
		a.LastRefresh = r.StoredAt
	}
	return a
}

// wayOf is how a record's account gets its next token.
func wayOf(r store.Record) string {
	if r.Way == store.WayRefresh {
		return control.WayRefresh
	}
	return string(r.Way)
}

// sessionStatus is what is known of the session of a version; nil: nothing.
func sessionStatus(b *keepalive.Beats, account string, rec store.Record, now time.Time) *control.Session {
	s, ok := b.Session(account)
	if !ok || !hasSession(rec, now) || s.Version != rec.Version {
		return nil
	}
	return &control.Session{Life: string(s.Life), Since: s.Since, Heard: s.Heard, Failures: s.Failures, Silent: s.Silent, LastError: s.Error, Unheard: s.Unheard}
}

// setAside are the answers that a person can still take.
func setAside(r store.Record, now time.Time) (all []control.SetAside) {
	for _, e := range r.Late(now) {
		s := control.SetAside{Attempt: e.Attempt, Kind: e.Kind, Version: e.Version, Grant: e.Begins(), At: e.At, Until: e.Until, Why: e.Why}
		if p := refresh.PersonIn(e.Token); p.Fingerprint != "" {
			s.Person = p.String()
		}
		all = append(all, s)
	}
	return all
}

func (s *Supervisor) deliveries(account string, rec store.Record) []control.Delivery {
	out := []control.Delivery{}
	for _, name := range slices.Sorted(maps.Keys(s.workers)) {
		if !s.workers[name].Takes(account) {
			continue
		}
		w := s.workers[name].Status(account)
		d := control.Delivery{
			Sink: name, Type: s.workers[name].Type(), Version: w.Version, DeliveredAt: w.DeliveredAt, Latency: w.Latency,
			Failures: w.Failures, LastError: w.LastError, Absent: w.Absent, Disabled: w.Disabled,
		}
		if rec.Version > w.Version {
			d.Lag = rec.Version - w.Version
		}
		out = append(out, d)
	}
	return out
}

func (b backend) Restart(ctx context.Context, provider string) (control.RestartAnswer, error) {
	m, ok := b.s.providers[provider]
	if !ok {
		if _, sink := b.s.sinkPlugins[provider]; sink {
			return control.RestartAnswer{}, control.Errorf(control.CodeNotFound,
				"%s is no provider but a sink; restart it with: tokenkeeper sinks restart %s", provider, provider)
		}
		return control.RestartAnswer{}, control.Errorf(control.CodeNotFound,
			"no account uses a provider named %q%s", provider, hint(provider, slices.Sorted(maps.Keys(b.s.providers)), "status"))
	}
	a, err := m.Restart(ctx)
	if err != nil {
		return control.RestartAnswer{}, control.Errorf(control.CodeUnavailable, "%v", err)
	}
	return control.RestartAnswer{Provider: provider, OldPID: a.OldPID, PID: a.PID, Generation: a.Generation}, nil
}

func (b backend) Refresh(ctx context.Context, account string, force bool) (control.RefreshAnswer, error) {
	k, err := b.s.keeperOf(account)
	if err != nil {
		return control.RefreshAnswer{}, err
	}
	refreshed, err := k.Refresh(ctx, account, force)
	st, _ := k.Status(account)
	if errors.Is(err, sdk.ErrInvalidGrant) && st.Record.NeedsLogin() {
		return control.RefreshAnswer{}, control.Errorf(control.CodeNeedsLogin, "%v", err)
	}
	if err != nil {
		return control.RefreshAnswer{}, apiError(err)
	}
	replacedBy := ""
	if o := st.Record.Origin; refreshed && (o == store.OriginLogin || o == store.OriginImport) {
		replacedBy = string(o)
	}
	return control.RefreshAnswer{
		Account: account, Refreshed: refreshed, Version: st.Record.Version,
		Expiry: st.Record.Token.Expiry(), ExpiryUncertain: st.Record.Token.Uncertain, Due: st.Due, ReplacedBy: replacedBy,
		By: broughtBy(st.Record, refreshed),
	}, nil
}

// broughtBy is what has brought a record's token, if somebody asked for it just now.
func broughtBy(r store.Record, asked bool) string {
	switch {
	case !asked:
	case r.Origin == store.OriginMint:
		return control.ByMint
	case r.Origin == store.OriginRefresh && r.Way == store.WayRenew:
		return control.ByRenewal
	case r.Origin == store.OriginRefresh:
		return control.ByRefresh
	}
	return ""
}

func (b backend) Token(_ context.Context, account string) (control.TokenAnswer, error) {
	k, err := b.s.keeperOf(account)
	if err != nil {
		return control.TokenAnswer{}, err
	}
	st, _ := k.Status(account)
	r := st.Record
	if r.Version == 0 && st.Mints {
		return control.TokenAnswer{}, control.Errorf(control.CodeNoToken,
			"account %s has no token yet: its provider mints one, which has not come; how it goes: tokenkeeper status %[1]s", account)
	}
	if r.Version == 0 {
		return control.TokenAnswer{}, control.Errorf(control.CodeNoToken,
			"account %s has no token yet; %s", account, st.By.First())
	}
	return control.TokenAnswer{
		Account: account, Version: r.Version, AccessToken: r.Token.AccessToken.Reveal(),
		TokenType: r.Token.TokenType, Expiry: r.Token.Expiry(), ExpiryUncertain: r.Token.Uncertain,
	}, nil
}

func (b backend) Import(ctx context.Context, req control.ImportRequest) (control.ImportAnswer, error) {
	k, err := b.s.keeperOf(req.Account)
	if err != nil {
		return control.ImportAnswer{}, err
	}
	return importInto(ctx, k, b.s.opts.Config, req)
}

func (b backend) Login(ctx context.Context, account, shape string, by event.Caller) (control.LoginAnswer, error) {
	k, err := b.s.keeperOf(account)
	if err != nil {
		return control.LoginAnswer{}, err
	}
	l, err := k.BeginLogin(ctx, account, sdk.LoginShape(shape), by)
	if err != nil {
		return control.LoginAnswer{}, apiError(err)
	}
	return control.LoginAnswer{
		Account: account, ID: l.ID, Address: l.URL, UserCode: l.UserCode, Instructions: l.Instructions, Polled: l.Polled,
		Earlier: l.Earlier, OpenLogin: *openLogin(&l),
	}, nil
}

func (b backend) CancelLogin(ctx context.Context, account string) (control.CancelledAnswer, error) {
	k, err := b.s.keeperOf(account)
	if err != nil {
		return control.CancelledAnswer{}, err
	}
	l, err := k.CancelLogin(ctx, account)
	if err != nil {
		return control.CancelledAnswer{}, apiError(err)
	}
	return control.CancelledAnswer{Account: account, OpenLogin: *openLogin(&l)}, nil
}

func openLogin(l *refresh.OpenLogin) *control.OpenLogin {
	if l == nil {
		return nil
	}
	return &control.OpenLogin{Shape: string(l.Shape), BegunAt: l.At, By: l.By, Until: l.Until, Unpolled: l.Unpolled}
}

func (b backend) CompleteLogin(ctx context.Context, account, redirected string) (control.LoggedInAnswer, error) {
	k, err := b.s.keeperOf(account)
	if err != nil {
		return control.LoggedInAnswer{}, err
	}
	guided, open := k.IsGuided(account)
	got, err := codeIn(redirected, b.s.opts.Config.Accounts[account].RedirectURL)
	// What is no address may be meant for a login that is over: of that, then, its person
	// hears.
	if guided || err != nil && !open {
		rec, err := k.HandIn(ctx, account, sdk.NewSecret(redirected))
		if err != nil {
			return control.LoggedInAnswer{}, apiError(err)
		}
		return loggedInAnswer(rec), nil
	}
	if err == nil {
		err = k.CheckIssuer(account, got.issuer)
	}
	if err != nil {
		return control.LoggedInAnswer{}, control.Errorf(control.CodeBadRequest, "account %s: %v", account, err)
	}
	rec, err := k.CompleteLogin(ctx, account, got.state, got.code)
	if err != nil {
		return control.LoggedInAnswer{}, apiError(err)
	}
	return loggedInAnswer(rec), nil
}

func (b backend) AwaitLogin(ctx context.Context, account, id string) (control.AwaitedAnswer, error) {
	k, err := b.s.keeperOf(account)
	if err != nil {
		return control.AwaitedAnswer{}, err
	}
	rec, err := k.AwaitLogin(ctx, account, id)
	switch {
	case errors.Is(err, refresh.ErrLoginOpen):
		open := control.AwaitedAnswer{Account: account}
		if st, _ := k.Status(account); st.Login != nil && st.Login.ID == id {
			open.Unpolled = st.Login.Unpolled
		}
		return open, nil
	case err != nil:
		return control.AwaitedAnswer{}, apiError(err)
	}
	got := loggedInAnswer(rec)
	return control.AwaitedAnswer{Account: account, LoggedIn: &got}, nil
}

// keeperOf returns the Keeper of an account.
func (s *Supervisor) keeperOf(account string) (*refresh.Keeper, error) {
	c, ok := s.opts.Config.Accounts[account]
	if !ok {
		return nil, noAccount(account, s.opts.Config)
	}
	return s.keepers[c.Provider], nil
}

// noAccount says that an account is not configured, and which are.
func noAccount(name string, cfg *config.Config) error {
	return control.Errorf(control.CodeNotFound, "no account is named %q in %s%s", name, cfg.File, hint(name, slices.Sorted(maps.Keys(cfg.Accounts)), "check"))
}

// apiError gives an error of the refresh cycle its code.
func apiError(err error) error {
	code := control.CodeUnavailable
	switch {
	case errors.Is(err, sdk.ErrConnection):
		return control.Errorf(code, "%v; the provider's process is started again by itself, and what was under way is settled then: "+
			"\"tokenkeeper status\" shows the outcome", err)
	case errors.Is(err, refresh.ErrUnknownAccount):
		code = control.CodeNotFound
	case errors.Is(err, refresh.ErrNoToken):
		code = control.CodeNoToken
	case errors.Is(err, refresh.ErrNeedsLogin):
		code = control.CodeNeedsLogin
	case errors.Is(err, refresh.ErrAnotherPerson):
		code = control.CodeAnotherPerson
	case errors.Is(err, refresh.ErrLoginTime), errors.Is(err, refresh.ErrNoLogin), errors.Is(err, refresh.ErrNoShape), errors.Is(err, refresh.ErrNothingToHandIn), errors.Is(err, sdk.ErrInvalidGrant), errors.Is(err, sdk.ErrUnimplemented):
		code = control.CodeBadRequest
	case errors.Is(err, refresh.ErrLoginOpen), errors.Is(err, refresh.ErrNoOpenLogin), errors.Is(err, refresh.ErrLoginSpent), errors.Is(err, refresh.ErrNoCandidate), errors.Is(err, refresh.ErrCandidateOver), errors.Is(err, refresh.ErrHasToken), errors.Is(err, refresh.ErrWithheld), errors.Is(err, refresh.ErrUntrusted), errors.Is(err, refresh.ErrNotLooked),
		errors.Is(err, refresh.ErrNotNewer), errors.Is(err, refresh.ErrUnsettled), errors.Is(err, refresh.ErrLimit), errors.Is(err, refresh.ErrOtherAccount):
		code = control.CodeConflict
	}
	return control.Errorf(code, "%v", err)
}
