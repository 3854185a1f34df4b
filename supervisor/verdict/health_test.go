package verdict_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/verdict"
)

func TestHealth(t *testing.T) {
	ended := now.Add(-time.Minute)
	account := func(state refresh.State, expiry time.Time, more func(*control.Account)) control.Status {
		a := control.Account{Name: "main", Provider: "saxo", Shown: refresh.Shown{State: state, Expiry: expiry}}
		if more != nil {
			more(&a)
		}
		return control.Status{Accounts: []control.Account{a}}
	}
	advised := func(a *control.Account) { a.Advice = "log in with: tokenkeeper login main" }
	provider := func(p control.Provider) control.Status {
		p.Name = "saxo"
		return control.Status{Providers: []control.Provider{p}}
	}
	elsewhere, parked := account(control.AccountExpired, ended, nil), account(control.AccountExpired, ended, nil)
	elsewhere.Machine.Other = true
	parked.Providers = []control.Provider{{Name: "saxo", Status: process.Status{State: control.ProviderParked}}}
	for name, tt := range map[string]struct {
		status      control.Status
		dead, ready string // why not
	}{
		"nothing configured":                     {control.Status{}, "", ""},
		"all is well":                            {account(control.AccountValid, now.Add(time.Hour), nil), "", ""},
		"looked at lately":                       {control.Status{LookedAt: now.Add(-time.Minute)}, "", ""},
		"nobody looks around any more":           {control.Status{LookedAt: now.Add(-10 * time.Minute)}, "the supervisor has not looked around for 10m0s", ""},
		"a loop that is stuck":                   {provider(control.Provider{Stuck: true}), "the refresh loop of saxo is stuck: it sleeps past an account that is due", ""},
		"a provider that starts":                 {provider(control.Provider{Unanswered: true}), "", "provider saxo has not answered yet"},
		"a parked one":                           {provider(control.Provider{Status: process.Status{State: control.ProviderParked}}), "", ""},
		"a refresh that fails":                   {account(control.AccountRetrying, now.Add(time.Second), nil), "", ""},
		"nobody has logged in yet":               {account(control.AccountNew, time.Time{}, advised), "", "main new: log in with: tokenkeeper login main"},
		"a token that is still to be minted":     {account(control.AccountNew, time.Time{}, nil), "", ""},
		"a login is needed, and the token lives": {account(control.AccountNeedsLogin, now.Add(time.Hour), advised), "", ""},
		"a login is needed":                      {account(control.AccountNeedsLogin, ended, advised), "", "main has expired: log in with: tokenkeeper login main"},
		"a login is needed, of which nobody knows how long the token lives": {
			account(control.AccountNeedsLogin, time.Time{}, advised), "", "main needs login: log in with: tokenkeeper login main"},
		"expired, and tried again":         {account(control.AccountExpired, ended, func(a *control.Account) { a.Waiting = promise.BackOff }), "", ""},
		"expired, and its provider parked": {parked, "", "main expired: its provider is parked; see tokenkeeper status"},
		"paused, and the token lives":      {account(control.AccountPaused, now.Add(time.Hour), func(a *control.Account) { a.Version = 3 }), "", ""},
		"paused, and expired": {account(control.AccountPaused, ended, func(a *control.Account) { a.Version = 3 }), "",
			"main is paused, and its token has expired: let it go on with: tokenkeeper resume main"},
		"another machine's store": {elsewhere, "", "main expired: the store is another machine's; see tokenkeeper status"},
		"a client that is refused": {account(control.AccountExpired, ended, func(a *control.Account) { a.Waiting, a.LastKind = promise.BackOff, sdk.KindInvalidClient }), "",
			"main expired: the broker does not take its client; mend client_id and client_secret"},
		"a question about a shared file": {account(control.AccountExpired, ended, func(a *control.Account) { a.Waiting = promise.Asked }), "",
			"main expired: a person has to decide about its shared file; see tokenkeeper status main"},
	} {
		t.Run(name, func(t *testing.T) {
			h := verdict.Health(tt.status, now)
			for what, p := range map[string]struct {
				got  control.Probe
				want string
			}{"lives": {h.Lives, tt.dead}, "ready": {h.Ready, tt.ready}} {
				if text := strings.Join(p.got.Reasons, "\n"); text != p.want || p.got.OK != (p.want == "") || p.got.Reasons == nil {
					t.Errorf("%s: %+v, want %q", what, p.got, p.want)
				}
			}
		})
	}
}

// What makes a supervisor not ready is critical to a monitoring system too: there are no
// two judgements.
func TestWhatIsNotReadyIsCritical(t *testing.T) {
	for _, state := range []refresh.State{control.AccountNew, control.AccountValid, control.AccountRetrying, control.AccountExpired, control.AccountNeedsLogin, control.AccountPaused} {
		for _, expiry := range []time.Time{{}, now, now.Add(time.Hour)} {
			s := control.Status{Accounts: []control.Account{{Name: "main", Advice: "do", Shown: refresh.Shown{State: state, Expiry: expiry}}}}
			if v := verdict.Of(s, now); !verdict.Health(s, now).Ready.OK && v.Code != verdict.Critical {
				t.Errorf("%s until %s: not ready, and %s", state, expiry, v.Line())
			}
		}
	}
}

func TestReasonsAreBounded(t *testing.T) {
	var s control.Status
	for i := range 1000 {
		s.Accounts = append(s.Accounts, control.Account{Name: fmt.Sprint("a", i), Advice: "do", Shown: refresh.Shown{State: control.AccountNew}})
	}
	got := verdict.Health(s, now).Ready.Reasons
	if len(got) != 21 || got[0] != "a0 new: do" || got[20] != "980 more" {
		t.Errorf("%q", got)
	}
}

func TestSpeechless(t *testing.T) {
	h := verdict.Speechless(errors.New("the disk is away"))
	want := []string{"the supervisor can't say how it is: the disk is away"}
	if h.Lives.OK || h.Ready.OK || !slices.Equal(h.Lives.Reasons, want) || !slices.Equal(h.Ready.Reasons, want) {
		t.Errorf("%+v", h)
	}
}
