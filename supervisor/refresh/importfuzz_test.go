package refresh_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/importing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// Whatever a person imports for one account, the others go on: over a restart, too.
func FuzzImport(f *testing.F) {
	for _, body := range []string{
		`{"access_token":"a","refresh_token":"r","expires_in":1200,"refresh_expires_at":9999999999}`,
		`{"access_token":"a","refresh_token":"r","expires_at":1e300,"issued_at":"9999-12-31T23:59:59Z","login_at":"0001-01-01T00:00:00Z"}`,
		`{"account":"two","refresh_token":"refresh-two-2","expires_at":-1}`,
		`{"refresh_token":"refresh-two-2"}`, `{"refresh_token":"r","extra":{"a":"b"},"expires_in":-9223372036854775808}`,
		`{"creation_timestamp":9223372036854775807,"token":{"access_token":"a","refresh_token":"r","expires_in":9223372036854775807,"refresh_token_expires_in":1}}`,
		`{"access_token":"a","refresh_token":"r","token_expiry":"9999-01-01T00:00:00.000000","app_key":"k"}`,
		"", "{}", "[]", "\xff",
	} {
		for name := range len(format.ReadNames()) {
			f.Add(uint8(name), []byte(body), int64(0))
			f.Add(uint8(name), []byte(body), int64(1<<62))
		}
	}
	cfg := &config.Config{Accounts: map[string]config.Account{"one": {}, "two": {}}}
	f.Fuzz(func(t *testing.T, name uint8, body []byte, written int64) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 20*time.Minute, "one", "two")
			g := r.start()
			time.Sleep(time.Minute)
			synctest.Wait()
			names := format.ReadNames()
			_, err := importing.Into(t.Context(), r.keeper, cfg, control.ImportRequest{
				Account: "one", Format: names[int(name)%len(names)], Body: body, Force: true, WrittenAt: time.Unix(written, 0),
			})
			rec := r.record("one")
			if err == nil != (rec.Version == 2) {
				t.Errorf("version %d after %v", rec.Version, err)
			}
			for what, at := range map[string]time.Time{"issued": rec.Token.IssuedAt, "expiry": rec.Token.Expiry(), "login": rec.LoginAt, "end": rec.RefreshExpiry} {
				if !at.IsZero() && !moment.Sane(at) {
					t.Errorf("%s %s", what, at)
				}
			}
			time.Sleep(18 * time.Minute)
			synctest.Wait()
			_ = g.end()
			r.restart()
			g = r.start()
			time.Sleep(15 * time.Minute)
			synctest.Wait()
			if s := r.status("two"); s.State != refresh.Valid || s.Record.Version != 3 || !r.broker.holds("two", s.Record.Token.RefreshToken) {
				t.Errorf("the other account: %s at version %d", s.State, s.Record.Version)
			}
			if n := r.broker.count(); n > 2+25 {
				t.Errorf("%d requests in half an hour", n)
			}
			_ = g.end()
		})
	})
}
