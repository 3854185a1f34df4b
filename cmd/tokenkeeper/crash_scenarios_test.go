package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile/sharedfiletest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// crashScenario is one kind of attempt, from a known state on disk to its end.
type crashScenario struct {
	name    string
	dialect brokersim.Dialect
	// shared: the account has a shared file.
	shared bool
	// last is a point that a whole attempt passes.
	last string
	// from is the window that the attempt is in when the supervisor starts.
	from window
	// prepare brings the disk to where the attempt begins.
	prepare func(c *crashSite)
	// act is what happens from outside once the supervisor was started, which
	// may die meanwhile. It returns then, too.
	act func(c *crashSite, r *running)
	// over says that the attempt has had an outcome.
	over func(c *crashSite, a control.Account) bool
	// judge holds the outcome against the rules and completes the fate. r
	// runs, and nothing is open.
	judge func(c *crashSite, r *running, a control.Account, f *fate)
	// short says whether the choice for every day has these deaths.
	short func(process, victim string) bool
}

var crashScenarios = []crashScenario{
	{
		// A token that is due when the supervisor starts.
		name: "refresh", dialect: brokersim.Saxo, from: beforeSend, last: settledPoint,
		prepare: func(c *crashSite) { c.importToken(wornOut) },
		act:     func(*crashSite, *running) {},
		over:    refreshOver, judge: judgeRefresh,
		short: func(process, victim string) bool { return victim == "both" },
	},
	{
		// An answer that waits in the spool since everything died.
		name: "recovery", dialect: brokersim.Saxo, from: spooled, last: settledPoint,
		prepare: func(c *crashSite) {
			c.importToken(wornOut)
			r := c.launch("CRASHPOINT_KILL=provider/saxo;spool: the answer is durable;both")
			if _, alive := c.await(r, func(control.Status) bool { return false }); alive {
				c.t.Fatal("nothing died")
			}
			c.awaitGone(c.t)
			c.log += "-recovery"
		},
		act:  func(*crashSite, *running) {},
		over: refreshOver, judge: judgeRefresh,
		short: func(process, victim string) bool { return process == "supervisor" && victim == "both" },
	},
	{
		// A person's login, at a broker where a new login ends the one before.
		name: "exchange", dialect: brokersim.Schwab, from: beforeSend, last: settledPoint,
		prepare: func(c *crashSite) { c.importToken(0) },
		act: func(c *crashSite, r *running) {
			if _, alive := c.await(r, func(st control.Status) bool {
				return atRest(st) && account(st, crashAccount).Version >= 1
			}); alive {
				_ = c.logInByCode(r) // fails if somebody dies
			}
		},
		over:  func(*crashSite, control.Account) bool { return true },
		judge: judgeExchange,
		short: func(process, victim string) bool { return process == "provider" && victim == "supervisor" },
	},
	{
		// A refresh under the lock of a shared file, which gets the new token.
		name: "shared refresh", dialect: brokersim.Saxo, from: beforeSend, shared: true, last: settledPoint,
		prepare: func(c *crashSite) { c.shareAndImport(wornOut) },
		act:     func(*crashSite, *running) {},
		over: func(c *crashSite, a control.Account) bool {
			return a.State == control.AccountNeedsLogin || refreshOver(c, a) && c.shared() == c.held()
		},
		judge: judgeRefresh,
		short: func(process, victim string) bool { return process == "supervisor" && victim == "both" },
	},
	{
		// A newer token that another program has put into the shared file.
		name: "adoption", dialect: brokersim.Saxo, from: beforeSend, shared: true, last: "shared: adopted",
		prepare: func(c *crashSite) {
			c.shareAndImport(wornOut)
			bot := sharedfiletest.Bot{Path: c.sharedPath(), Lock: c.sharedPath() + ".lock", TokenURL: c.sim.TokenURL(), Refreshes: 1}
			if err := bot.Run(c.t.Context(), io.Discard); err != nil {
				c.t.Fatal(err)
			}
		},
		act:  func(*crashSite, *running) {},
		over: refreshOver, judge: judgeRefresh,
		short: func(process, victim string) bool { return process == "supervisor" && victim == "supervisor" },
	},
}

// wornOut is the age of an access token that is due at once.
const wornOut = 24 * time.Hour

// settledPoint is the last point of a refresh.
const settledPoint = "refresh: settled"

// logIn logs in at the broker and returns the token in a file of that format,
// as old as that.
func (c *crashSite) logIn(layout string, age time.Duration) []byte {
	c.t.Helper()
	g, cfg := c.sim.Grant(crashAccount), c.sim.Config()
	issued := g.IssuedAt.Add(-age)
	body, err := format.Encode(layout, format.Document{
		Account: crashAccount, AccessToken: sdk.NewSecret(g.AccessToken), RefreshToken: sdk.NewSecret(g.RefreshToken),
		TokenType: g.TokenType, IssuedAt: issued, Expiry: issued.Add(g.ExpiresIn), LoginAt: g.IssuedAt,
		ClientID: cfg.ClientID, ClientSecret: sdk.NewSecret(cfg.ClientSecret),
	}, format.Options{Location: time.Local})
	if err != nil {
		c.t.Fatal(err)
	}
	return body
}

// importToken imports a token of that age.
func (c *crashSite) importToken(age time.Duration) {
	c.t.Helper()
	c.importFile(c.logIn(format.JSON, age))
}

func (c *crashSite) importFile(body []byte) {
	c.t.Helper()
	if got := c.tool(c.t, string(body), "import", crashAccount, "-"); got.code != exitOK {
		c.t.Fatalf("import: %+v", got)
	}
}

// shareAndImport puts a token of that age into the shared file and imports it.
func (c *crashSite) shareAndImport(age time.Duration) {
	c.t.Helper()
	body := c.logIn(format.SaxoCache, age)
	if err := os.WriteFile(c.sharedPath(), body, 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.importFile(body)
}

// logInByCode logs in as a person does, and returns why that failed.
func (c *crashSite) logInByCode(r *running) error {
	ctx, cancel := waittest.Context(context.Background(), waittest.Patience, r.steps)
	defer cancel()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	begun, err := r.Client.Login(ctx, crashAccount, "")
	for err != nil { // the process may be starting
		select {
		case <-look.C:
			begun, err = r.Client.Login(ctx, crashAccount, "")
		case <-r.ended:
			return err
		case <-ctx.Done():
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, begun.Address+"&login_hint="+crashAccount, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	for {
		_, err = r.Client.CompleteLogin(ctx, crashAccount, resp.Header.Get("Location"))
		if err == nil || !strings.Contains(err.Error(), refresh.ErrNoProcess.Error()) {
			return err
		}
		select { // an open login is told of while no process runs, and its code is not used
		case <-look.C:
		case <-r.ended:
			return err
		case <-ctx.Done():
			return err
		}
	}
}

func refreshOver(_ *crashSite, a control.Account) bool {
	return a.State == control.AccountNeedsLogin ||
		a.State == control.AccountValid && a.Version >= 2 && a.AmbiguousSince.IsZero()
}

// judgeRefresh: the newest refresh token is held, and no refresh token was
// sent twice; unless the answer could not have been saved, and then the
// account says so.
func judgeRefresh(c *crashSite, _ *running, a control.Account, f *fate) {
	t := c.t
	f.ambiguous = c.ambiguous()
	f.lost = a.State == control.AccountNeedsLogin
	f.held = !f.lost
	counts := c.sim.Account(crashAccount)
	if !f.lost && !c.sim.RefreshValid(c.held()) {
		t.Errorf("%+v: the refresh token that is held (version %d) is not the newest one", *f, a.Version)
	}
	if f.lost && !f.mayBeLost() {
		t.Errorf("%+v: the login is lost: %s", *f, a.LastError)
	}
	if f.lost && !f.ambiguous {
		t.Errorf("%+v: the login is lost and nobody was told that an attempt was ambiguous", *f)
	}
	if f.ambiguous && !f.unknown() {
		t.Errorf("%+v: the attempt was called ambiguous", *f)
	}
	if counts.Repeats > 0 && !f.unknown() {
		t.Errorf("%+v: a refresh token was sent %d times more than once: %+v", *f, counts.Repeats, c.sim.Reused())
	}
	noViolations(t, c, f)
}

// judgeExchange: an answer that could be saved is saved, and otherwise the
// person can log in again.
func judgeExchange(c *crashSite, r *running, a control.Account, f *fate) {
	t := c.t
	saved := f.window == spooled || f.window == committed || f.process == "provider" && f.victim == "supervisor"
	grants := c.sim.Account(crashAccount).Logins - 1 // the first was not by code
	loggedIn := func(st control.Status) bool {
		return atRest(st) && account(st, crashAccount).Origin == store.OriginLogin
	}
	if f.unknown() {
		st, _ := c.await(r, func(st control.Status) bool { return loggedIn(st) || atRest(st) && c.ambiguous() })
		a = account(st, crashAccount)
	}
	f.held = saved || a.Origin == store.OriginLogin
	if f.lost = !f.held && grants > 0; !f.held {
		if err := c.logInByCode(r); err != nil {
			t.Fatalf("%+v: no login is possible any more: %v", *f, err)
		}
	}
	st, _ := c.await(r, loggedIn)
	a = account(st, crashAccount)
	f.ambiguous = c.ambiguous()
	if f.lost && !f.mayBeLost() {
		t.Errorf("%+v: the answer to a login is lost", *f)
	}
	if f.lost && !f.ambiguous {
		t.Errorf("%+v: the answer to a login is lost and nobody was told that it may be", *f)
	}
	if f.ambiguous && !f.unknown() {
		t.Errorf("%+v: the login was called ambiguous", *f)
	}
	if !c.sim.RefreshValid(c.held()) {
		t.Errorf("%+v: the refresh token that is held (version %d) is not the newest one", *f, a.Version)
	}
	if n := c.sim.Account(crashAccount).Refused; n > 0 {
		t.Errorf("%+v: the broker refused %d requests: a code was sent twice", *f, n)
	}
	noViolations(t, c, f)
}

func noViolations(t *testing.T, c *crashSite, f *fate) {
	t.Helper()
	if v := c.sim.Violations(); len(v) > 0 {
		t.Errorf("%+v: requests that the broker does not allow: %+v", *f, v)
	}
}
