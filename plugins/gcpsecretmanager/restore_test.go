package gcpsecretmanager_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"

	"github.com/tokenkeeper/tokenkeeper/plugins/gcpsecretmanager/secretmanagertest"
	"github.com/tokenkeeper/tokenkeeper/sdk"
)

func (r *rig) restore(account string) (sdk.Restored, error) {
	r.t.Helper()
	got, err := r.sink.Restore(r.t.Context(), sdk.RestoreRequest{
		Sink: "gcp", Settings: r.settings, Account: account, Provider: "saxo",
	})
	if err != nil {
		r.free(err.Error())
	}
	return got, err
}

// TestRestore gives back what was delivered, to a process that knows nothing.
func TestRestore(t *testing.T) {
	for name, settings := range map[string][]string{
		"alone": nil, "under a key": {"secret", "shared", "key", "{account}"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, settings...)
			r.With(func(s *secretmanagertest.Server) { s.Now = func() time.Time { return began } })
			for _, account := range []string{"a", "b"} {
				r.must(r.send(r.request(account, 1)))
				r.must(r.send(r.request(account, 2)))
			}
			r.restart()
			for _, account := range []string{"a", "b"} {
				got, err := r.restore(account)
				r.must(err)
				if want := r.request(account, 2).Content.Reveal(); got.Content.Reveal() != want {
					t.Errorf("given back: %s, want %s", got.Content.Reveal(), want)
				}
				if !got.StoredAt.Equal(began) {
					t.Errorf("stored at %s, want %s", got.StoredAt, began)
				}
			}
			if _, err := r.restore("c"); !errors.Is(err, sdk.ErrNothingStored) {
				t.Errorf("of an account that was never delivered: %v", err)
			}
		})
	}
}

// TestRestoreText: a token that is no JSON object comes back as it was.
func TestRestoreText(t *testing.T) {
	r := start(t, "key", "token")
	req := r.request("saxo-live", 1)
	req.Content = sdk.NewSecret("TOKEN='CANARY'\n")
	r.must(r.send(req))
	got, err := r.restore("saxo-live")
	r.must(err)
	if got.Content.Reveal() != req.Content.Reveal() {
		t.Errorf("given back: %q", got.Content.Reveal())
	}
}

// TestRestoreWithoutLatest falls back to the newest version that can be read.
func TestRestoreWithoutLatest(t *testing.T) {
	r := start(t)
	r.Put(secret, `{"access_token":"1"}`, `{"access_token":"2"}`, `{"access_token":"3"}`, `{"access_token":"4"}`)
	r.Set(secret, 4, secretmanagerpb.SecretVersion_DESTROYED)
	r.Set(secret, 3, secretmanagerpb.SecretVersion_DISABLED)
	got, err := r.restore("saxo-live")
	r.must(err)
	if got.Content.Reveal() != `{"access_token":"2"}` {
		t.Errorf("given back: %s", got.Content.Reveal())
	}
}

func TestNothingToRestore(t *testing.T) {
	for name, c := range map[string]struct {
		settings []string
		put      []string // nil: no secret
		destroy  bool
	}{
		"no secret":            {},
		"no version":           {put: []string{}},
		"all destroyed":        {put: []string{"CANARY"}, destroy: true},
		"empty":                {put: []string{" \n"}},
		"another account's":    {put: []string{`{"account":"b","provider":"saxo","version":1,"access_token":"CANARY"}`}},
		"nothing under a key":  {settings: []string{"key", "k"}, put: []string{`{"a":"CANARY"}`}},
		"null under a key":     {settings: []string{"key", "k"}, put: []string{`{"k":null}`}},
		"no object with a key": {settings: []string{"key", "k"}, put: []string{"CANARY"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, c.settings...)
			if c.put != nil {
				r.Put(secret, c.put...)
			}
			if c.destroy {
				r.Set(secret, 1, secretmanagerpb.SecretVersion_DESTROYED)
			}
			if got, err := r.restore("saxo-live"); !errors.Is(err, sdk.ErrNothingStored) || !got.Content.IsZero() {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// TestRestoreFails: an error is not an empty secret, or a login would be asked
// for in vain.
func TestRestoreFails(t *testing.T) {
	for _, code := range []codes.Code{codes.PermissionDenied, codes.Unavailable, codes.Unauthenticated, codes.ResourceExhausted} {
		r := start(t)
		r.Put(secret, `{"access_token":"1"}`)
		r.With(func(s *secretmanagertest.Server) { s.Before = fail("AccessSecretVersion", code) })
		if _, err := r.restore("saxo-live"); err == nil || errors.Is(err, sdk.ErrNothingStored) {
			t.Errorf("%s: the error is %v", code, err)
		}
	}
	r := start(t)
	r.Put(secret, `{"access_token":"1"}`)
	r.With(func(s *secretmanagertest.Server) { s.Damage = true })
	if _, err := r.restore("saxo-live"); err == nil || errors.Is(err, sdk.ErrNothingStored) {
		t.Errorf("damaged: the error is %v", err)
	}
}

// TestTest says before the first token what would stand in its way, and adds
// nothing.
func TestTest(t *testing.T) {
	for name, c := range map[string]struct {
		settings []string
		put      []string
		denied   []string
		says     string // "": it is in order
	}{
		"in order":                  {put: []string{"{}"}},
		"no version yet":            {put: []string{}},
		"to be created":             {},
		"not to be created":         {settings: []string{"create", "false"}, says: "gcloud secrets create"},
		"may not read":              {put: []string{"{}"}, denied: []string{"access"}, says: "secretAccessor"},
		"may not add":               {put: []string{"{}"}, denied: []string{"add"}, says: "[secretmanager.versions.add]"},
		"may neither add nor tidy":  {put: []string{"{}"}, denied: []string{"add", "destroy"}, says: "[secretmanager.versions.add secretmanager.versions.destroy]"},
		"no such project":           {settings: []string{"project", "other"}, says: "check the setting project"},
		"a setting that is nothing": {settings: []string{"interval", "soon"}, says: "interval"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, c.settings...)
			if c.put != nil {
				r.Put(secret, c.put...)
			}
			r.With(func(s *secretmanagertest.Server) {
				for _, p := range c.denied {
					s.Denied["secretmanager.versions."+p] = true
				}
			})
			err := r.sink.Test(t.Context(), sdk.TestRequest{Sink: "gcp", Settings: r.settings, Account: "saxo-live", Provider: "saxo"})
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("the error is %v, want %q", err, c.says)
			}
			if len(r.Versions(secret)) != len(c.put) {
				t.Error("it added a version")
			}
		})
	}
}
