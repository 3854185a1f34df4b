package refresh_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// TestRevokeOfALeftLogin: the login of an account that is in no configuration is revoked by
// the client of another that is, at the server that has granted it, and at no other.
func TestRevokeOfALeftLogin(t *testing.T) {
	for name, c := range map[string]struct {
		granted, is map[string]string // settings, of the login and of the account that is configured
		prepare     func(r *rig, v *revoking)
		why         error // nil: it is revoked
		says        string
	}{
		"the same server":      {nil, nil, nil, nil, ""},
		"its default, written": {nil, map[string]string{"region": "eu"}, nil, nil, ""},
		"another region":       {nil, map[string]string{"region": "us"}, nil, refresh.ErrGrantedElsewhere, "with account one, whose client it is, it would go elsewhere: its refresh token was granted by eu"},
		"another host": {map[string]string{"token_url": "https://a.example/t"}, map[string]string{"token_url": "https://b.example/t"}, nil,
			refresh.ErrGrantedElsewhere, "granted by a.example, and the configuration names b.example"},
		"withheld": {nil, nil, func(r *rig, _ *revoking) { r.keeper.Hold(&refresh.Hold{Reason: "it is another machine's"}) },
			refresh.ErrWithheld, "it is another machine's"},
		"of the whole client": {nil, nil, func(_ *rig, v *revoking) { v.ends = sdk.RevokesClient }, nil, "every login of the client, that of account one, too"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 20*time.Minute)
				configure := func(name string, settings map[string]string) {
					r.configure(sdk.Account{Name: name, ClientID: "key", Settings: settings})
				}
				v := &revoking{broker: r.broker}
				r.provider = v
				configure("left", c.granted)
				g := r.start()
				synctest.Wait()
				_, err := r.keeper.Import(t.Context(), store.Record{Account: "left", Token: r.broker.grant("left")}, false)
				r.must(err)
				_ = g.end()

				configure("one", c.is)
				if c.prepare != nil {
					c.prepare(r, v)
				}
				g = r.start()
				synctest.Wait()
				rec, err := r.store.Load(t.Context(), "left")
				r.must(err)
				_, err = r.keeper.RevokeLeft(t.Context(), rec, "one", "again", byUser)
				after, lerr := r.store.Load(t.Context(), "left")
				r.must(lerr)
				revoked := c.says == ""
				if (err == nil) != revoked || c.why != nil && !errors.Is(err, c.why) || err != nil && !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v", err)
				}
				if asked := v.times(); asked > 0 != revoked || after.Health.Revoked.IsZero() == revoked {
					t.Errorf("asked %d times; the record says %+v", asked, after.Health)
				}
				_ = g.end()
			})
		})
	}
}
