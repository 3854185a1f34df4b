package gcpsecretmanager_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/plugins/gcpsecretmanager/secretmanagertest"
	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// TestKeepsOtherKeys: what other programs keep in the secret stays, in its
// place and as it was written; what told of the token before does not.
func TestKeepsOtherKeys(t *testing.T) {
	for name, c := range map[string]struct {
		settings             []string
		before, content, now string
	}{
		"a Python program's secret": {
			before: `{"app_key": "k", "app_secret": "s", "access_token": "old", "refresh_token": "old", "token_expiry": "x", "watchlist": [1.50, "é<"], "version": 7}`,
			content: `{
  "access_token": "new",
  "refresh_token": "next",
  "token_expiry": "y"
}`,
			now: `{
  "app_key": "k",
  "app_secret": "s",
  "access_token": "new",
  "refresh_token": "next",
  "token_expiry": "y",
  "watchlist": [
    1.50,
    "é<"
  ],
  "version": 7
}
`,
		},
		"no refresh token is given": {
			before:  `{"app_key":"k","access_token":"old","refresh_token":"old"}`,
			content: `{"access_token":"new"}`,
			now:     `{"app_key":"k","access_token":"new"}`,
		},
		"nothing else is there": {
			before: `{"access_token":"old"}`, content: "{\n \"access_token\": \"new\"\n}\n", now: "{\n \"access_token\": \"new\"\n}\n",
		},
		"others are not wanted": {
			settings: []string{"keep_unknown", "false"},
			before:   `{"app_key":"k"}`, content: `{"access_token":"new"}`, now: `{"access_token":"new"}`,
		},
		"under a key": {
			settings: []string{"key", "{provider}/{account}"},
			before:   `{"app_key":"k","saxo/saxo-live":{"mine":1,"access_token":"old"}}`, content: `{"access_token":"new"}`,
			now: `{"app_key":"k","saxo/saxo-live":{"mine":1,"access_token":"new"}}`,
		},
		"under a key, others are not wanted": {
			settings: []string{"key", "t", "keep_unknown", "false"},
			before:   `{"app_key":"k","t":{"mine":1}}`, content: `{"access_token":"new"}`,
			now: `{"app_key":"k","t":{"access_token":"new"}}`,
		},
		"text under a key": {
			settings: []string{"key", "t"}, before: `{"app_key":"k","t":"old"}`, content: "new\n", now: `{"app_key":"k","t":"new\n"}`,
		},
		"text":                    {before: "old", content: "new", now: "new"},
		"an object for text":      {settings: []string{"keep_unknown", "false"}, before: "old", content: `{"a":1}`, now: `{"a":1}`},
		"text for an object":      {settings: []string{"keep_unknown", "false"}, before: `{"a":1}`, content: "new", now: "new"},
		"nothing under a new key": {settings: []string{"key", "t"}, before: "", content: `{"a":1}`, now: `{"t":{"a":1}}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, c.settings...)
			r.Put(secret, c.before)
			req := r.request("saxo-live", 2)
			req.Content = sdk.NewSecret(c.content)
			r.must(r.send(req))
			if r.newest() != c.now {
				t.Errorf("stored\n%q, want\n%q", r.newest(), c.now)
			}
			r.enabled(2)
			r.must(r.send(req))
			if n := len(r.Versions(secret)); n != 2 {
				t.Errorf("the same again made it %d versions", n)
			}
		})
	}
}

// TestRefuses: nothing is overwritten that is newer, another account's or
// can't be told from another program's.
func TestRefuses(t *testing.T) {
	own := func(account string, n uint64, issued time.Time) string {
		return fmt.Sprintf(`{"account":%q,"provider":"saxo","version":%d,"issued_at":%q,"access_token":"CANARY-x"}`,
			account, n, issued.Format(time.RFC3339))
	}
	const version = 5
	issued := began.Add(version * 20 * time.Minute)
	later, earlier := issued.Add(time.Hour), issued.Add(-time.Hour)
	for name, c := range map[string]struct {
		settings        []string
		before, content string
		says            string // "": it is delivered
	}{
		"newer":                           {before: own("saxo-live", 6, later), says: "a newer token is there"},
		"newer in the same second":        {before: own("saxo-live", 6, issued), says: "a newer token is there"},
		"the same version, issued later":  {before: own("saxo-live", 5, later), says: "a newer token is there"},
		"older":                           {before: own("saxo-live", 4, earlier)},
		"our store was set up anew":       {before: own("saxo-live", 99, earlier)},
		"our clock was set back":          {before: own("saxo-live", 4, later)},
		"newer, under the key":            {settings: []string{"key", "k"}, before: `{"k":` + own("saxo-live", 6, later) + `}`, says: "a newer token is there"},
		"another account's":               {before: own("saxo-sim", 4, earlier), says: "account saxo-sim"},
		"another account's under the key": {settings: []string{"key", "k"}, before: `{"k":` + own("saxo-sim", 4, earlier) + `}`, says: "account saxo-sim"},
		"somebody's own account":          {before: `{"account":"12345","version":100}`},
		"newer in Schwab's layout": {
			before:  fmt.Sprintf(`{"creation_timestamp":1,"token":{"access_token":"x","expires_in":1800,"expires_at":%d}}`, later.Unix()+1800),
			content: `{"creation_timestamp":1,"token":{"access_token":"CANARY-y"}}`, says: "a newer token is there",
		},
		"older in Schwab's layout": {
			before:  fmt.Sprintf(`{"creation_timestamp":1,"token":{"access_token":"x","expires_in":1800,"expires_at":%d}}`, earlier.Unix()+1800),
			content: `{"creation_timestamp":1,"token":{"access_token":"CANARY-y"}}`,
		},
		"an object for text":    {before: "CANARY-text", says: "keep_unknown: false"},
		"text for an object":    {before: `{"a":1}`, content: "CANARY-text", says: "keep_unknown: false"},
		"a key in text":         {settings: []string{"key", "k"}, before: "CANARY-text", says: "name another secret"},
		"a key in an array":     {settings: []string{"key", "k"}, before: "[1]", says: "name another secret"},
		"nothing":               {content: " \n", says: "nothing to store"},
		"too large":             {before: `{"other":"` + strings.Repeat("x", 65000) + `"}`, content: `{"access_token":"` + strings.Repeat("CANARY", 200) + `"}`, says: "65536"},
		"cut off":               {before: `{"a":"CANARY`, says: "no JSON object"},
		"no name":               {settings: []string{"secret", "{account}.json"}, says: "letters"},
		"no project":            {settings: []string{"project", "Trading Bots"}, says: "project"},
		"no truth":              {settings: []string{"create", "yes"}, says: "true or false"},
		"no duration":           {settings: []string{"interval", "-1s"}, says: "duration"},
		"insecure, and far off": {settings: []string{"endpoint", "192.0.2.1:443"}, says: "this machine"},
		"insecure, to Google":   {settings: []string{"endpoint", ""}, says: "this machine"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, c.settings...)
			if c.before != "" {
				r.Put(secret, c.before)
			}
			req := r.request("saxo-live", version)
			if c.content != "" {
				req.Content = sdk.NewSecret(c.content)
			}
			err := r.send(req)
			if c.says == "" {
				r.must(err)
				r.enabled(2)
				return
			}
			if !errors.Is(err, sdk.ErrRefused) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the error is %v, want a refusal that says %q", err, c.says)
			}
			if c.before != "" {
				r.enabled(1)
			}
		})
	}
}

// TestTwoAccountsInOnePlace: also where the layout does not tell whose it is.
func TestTwoAccountsInOnePlace(t *testing.T) {
	r := start(t, "secret", secret)
	one, two := r.request("a", 1), r.request("b", 1)
	one.Content, two.Content = sdk.NewSecret("CANARY-1"), sdk.NewSecret("CANARY-2")
	r.must(r.send(one))
	if err := r.send(two); !errors.Is(err, sdk.ErrRefused) || !strings.Contains(err.Error(), "set key") {
		t.Errorf("the error is %v", err)
	}
	if r.newest() != "CANARY-1" {
		t.Error("it was overwritten")
	}
}

// TestManyAccountsInOneSecret deliver at once; none may undo another's.
func TestManyAccountsInOneSecret(t *testing.T) {
	r := start(t, "secret", secret, "key", "{account}")
	r.Put(secret, `{"other":"kept"}`)
	const accounts, versions = 6, 5
	var all sync.WaitGroup
	for a := range accounts {
		all.Go(func() {
			for n := range uint64(versions) {
				if err := r.send(r.request(fmt.Sprintf("a%d", a), n+1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for a := range accounts {
		if want := access(fmt.Sprintf("a%d", a), versions); !strings.Contains(r.newest(), want) {
			t.Errorf("%s is missing in %s", want, r.newest())
		}
	}
	if !strings.Contains(r.newest(), `"other":"kept"`) {
		t.Error("the other key was lost")
	}
	r.enabled(1 + accounts*versions)
}

// TestAnotherProgramWrites between reading and adding: nobody's keys are lost.
func TestAnotherProgramWrites(t *testing.T) {
	r := start(t)
	r.Put(secret, `{"theirs":1}`)
	r.With(func(s *secretmanagertest.Server) {
		s.Before = once("AddSecretVersion", func() { s.Put(secret, `{"theirs":2}`) })
	})
	r.must(r.deliver(1))
	if !strings.Contains(r.newest(), `"theirs":2`) || !strings.Contains(r.newest(), access("saxo-live", 1)) {
		t.Errorf("the newest version is %s", r.newest())
	}
	r.enabled(4)
}

// TestAnotherProgramNeverStops: the delivery ends all the same.
func TestAnotherProgramNeverStops(t *testing.T) {
	r := start(t)
	r.Put(secret, `{"theirs":0}`)
	n := 0
	r.With(func(s *secretmanagertest.Server) {
		s.Before = before("AddSecretVersion", func() { n++; s.Put(secret, fmt.Sprintf(`{"theirs":%d}`, n)) })
	})
	if err := r.deliver(1); err == nil || !strings.Contains(err.Error(), "faster") {
		t.Errorf("the error is %v", err)
	}
	r.With(func(s *secretmanagertest.Server) { s.Before = nil })
	r.must(r.deliver(1))
}

// TestRivalWrites: another supervisor's newer token comes between; in the end
// it is on top again.
func TestRivalWrites(t *testing.T) {
	r := start(t)
	r.must(r.deliver(1))
	newer := r.request("saxo-live", 9).Content.Reveal()
	r.With(func(s *secretmanagertest.Server) {
		s.Before = once("AddSecretVersion", func() { s.Put(secret, newer) })
	})
	if err := r.deliver(2); !errors.Is(err, sdk.ErrRefused) {
		t.Errorf("the error is %v", err)
	}
	if r.newest() != newer {
		t.Errorf("the newest version is %s", r.newest())
	}
}
