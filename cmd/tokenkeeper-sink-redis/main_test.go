package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/plugins/redis"
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
)

// TestRedisOfAStranger: neither the password nor a byte of a token goes to a user
// who has opened the server's socket first.
func TestRedisOfAStranger(t *testing.T) {
	usertest.NeedsRoot(t)
	const stranger = usertest.Stranger
	for name, tc := range map[string]struct {
		mode    fs.FileMode
		owner   int
		users   string
		refused string
	}{
		"in a sticky folder":              {fs.ModeSticky | 0o777, 0, "", "; if that is the right one, write allow_uids: 34567"},
		"in a sticky folder, and allowed": {fs.ModeSticky | 0o777, 0, "root, 34567", ""},
		"in his own folder":               {0o755, stranger, "", ""},
		"allowed by a name of nobody":     {0o755, stranger, "nobody-of-this-machine", `this machine has no user "nobody-of-this-machine"`},
	} {
		t.Run(name, func(t *testing.T) {
			top, err := os.MkdirTemp("", "tk")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(top) })
			dir := filepath.Join(top, "run")
			if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, tc.owner, tc.owner), os.Chmod(dir, tc.mode), os.Chmod(top, 0o755)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "redis.sock")
			l := usertest.Listen(t, path, stranger)
			heard := make(chan string, 1)
			go func() {
				conn, err := l.Accept()
				if err != nil {
					heard <- ""
					return
				}
				buf := make([]byte, 4096)
				n, _ := conn.Read(buf)
				_ = conn.Close()
				heard <- string(buf[:n])
			}()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			settings := sdk.Settings{"address": sdk.NewSecret(path), "password": sdk.NewSecret("CANARY"), "allow_uids": sdk.NewSecret(tc.users)}
			err = redis.New(dial).Deliver(ctx, sdk.DeliverRequest{Settings: settings, Account: "a", Version: 1, Content: sdk.NewSecret("CANARY")})
			_ = l.Close()
			got := <-heard
			if tc.refused == "" {
				if !strings.Contains(got, "CANARY") {
					t.Errorf("he heard %q: %v", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.refused) || got != "" {
				t.Errorf("he heard %q: %v", got, err)
			}
		})
	}
}

// TestRedisThatIsMissing is told as before.
func TestRedisThatIsMissing(t *testing.T) {
	settings := sdk.Settings{"address": sdk.NewSecret(filepath.Join(t.TempDir(), "s"))}
	err := redis.New(dial).Deliver(t.Context(), sdk.DeliverRequest{Settings: settings, Account: "a", Version: 1})
	if err == nil || !strings.Contains(err.Error(), "nothing listens at this address") {
		t.Error(err)
	}
}
