package refresh_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
)

// hostileFiles are what a program may leave in a shared file.
var hostileFiles = []string{
	"", "{", "\xff", "[]", "\x00\x00",
	`{"access_token":"a","refresh_token":"r"}`,
	`{"access_token":"a","refresh_token":"r","expires_in":1200,"refresh_expires_at":9999999999}`,
	`{"access_token":"a","refresh_token":"r","expires_at":1e300,"issued_at":"9999-12-31T23:59:59Z","login_at":"0001-01-01T00:00:00Z"}`,
	`{"refresh_token":"refresh-two-2","expires_at":-1}`,
	`{"refresh_token":"refresh-one-1","expires_in":-9223372036854775808}`,
	`{"creation_timestamp":9223372036854775807,"token":{"access_token":"a","refresh_token":"r","expires_in":9223372036854775807,"refresh_token_expires_in":1}}`,
	`{"access_token":"a","refresh_token":"r","token_expiry":"0001-01-01T00:00:00.000000","app_key":"k"}`,
	`{"access_token":"a","refresh_token":"r","token_expiry":"9999-01-01T00:00:00.000000"}`,
	`{"access_token":"a","refresh_token":"refresh-one-`,
}

// Whatever another program leaves in the file that it shares with one account, whenever
// it says that it has, no time enters a record or a text that is none, and the other
// account goes on: over a restart, too.
func FuzzSharedFile(f *testing.F) {
	for i, content := range hostileFiles {
		for name := range len(format.Names()) {
			if testing.Short() && (i+name)%3 != 0 {
				continue
			}
			f.Add(uint8(name), []byte(content), int64(946684800+60))
			if i%4 == 0 {
				f.Add(uint8(name), []byte(content), int64(1<<40))
			}
		}
	}
	f.Fuzz(func(t *testing.T, name uint8, content []byte, written int64) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 20*time.Minute, "one", "two")
			path := filepath.Join(filestest.TempDir(t), "tokens")
			file, err := sharedfile.New(sharedfile.Config{Path: path, Format: format.Names()[int(name)%len(format.Names())], Location: time.UTC})
			if err != nil {
				t.Fatal(err)
			}
			r.accounts[0].Shared, r.accounts[0].SharedPath = file, path
			var log bytes.Buffer
			r.log = slog.New(slog.NewTextHandler(&log, nil))
			r.restart()
			stop := r.watch()
			for range 2 { // the first one is followed by a restart
				g := r.start()
				time.Sleep(time.Minute)
				if err := os.WriteFile(path, content, 0o600); err != nil {
					t.Fatal(err)
				}
				at := time.Unix(written, 0)
				_ = os.Chtimes(path, at, at) // as far as the file system has such a time
				r.keeper.Touch("one")
				time.Sleep(16 * time.Minute)
				synctest.Wait()
				rec := r.record("one")
				for what, at := range map[string]time.Time{
					"issued": rec.Token.IssuedAt, "expiry": rec.Token.Expiry(), "login": rec.LoginAt, "end": rec.RefreshExpiry, "stored": rec.StoredAt, "failed": rec.Health.LastFailure,
				} {
					if !at.IsZero() && !moment.Sane(at) {
						t.Errorf("%s %s", what, at)
					}
				}
				for _, account := range []string{"one", "two"} {
					s := r.status(account)
					fmt.Fprintln(&log, s.Asked, s.Ways, s.WaitingText, s.Shut, s.Zone, s.Withheld, s.GrantedElsewhere, s.Record.Health.LastError)
				}
				for _, fact := range r.keeper.Facts() {
					fmt.Fprintln(&log, fact.What)
				}
				_ = g.end()
				synctest.Wait()
				r.restart()
			}
			stop()
			for _, e := range r.events {
				b, err := json.Marshal(e)
				r.must(err)
				fmt.Fprintln(&log, string(b))
			}
			for line := range strings.Lines(log.String()) {
				for _, none := range []string{"0001-01-01", "%!", "defect of Tokenkeeper"} {
					if strings.Contains(line, none) {
						t.Errorf("%s is told: %s", none, line)
					}
				}
			}
			if s := r.status("two"); s.State != refresh.Valid || s.Record.Version < 3 || !r.broker.holds("two", s.Record.Token.RefreshToken) {
				t.Errorf("the other account: %s at version %d", s.State, s.Record.Version)
			}
			if n := r.broker.count(); n > 2+30 {
				t.Errorf("%d requests in half an hour", n)
			}
		})
	})
}
