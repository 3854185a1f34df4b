package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// TestBotsOfAnotherUserAreServed: bots that run as a user of their own, in the folders
// that the examples name, are cut off by no rule about who is trusted: check finds
// nothing in the way, and each gets the token, in a file that stays his.
func TestBotsOfAnotherUserAreServed(t *testing.T) {
	t.Parallel()
	usertest.NeedsRoot(t)
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
	root, err := os.MkdirTemp("", "tk") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	bots, run := filepath.Join(root, "bots"), filepath.Join(root, "run")
	file, socket := filepath.Join(bots, "token.json"), filepath.Join(run, "token.sock")
	for _, err := range []error{
		os.Chmod(root, 0o755), os.Mkdir(bots, 0o755), os.Mkdir(run, 0o755), os.WriteFile(file, []byte("{}"), 0o640),
		os.Chown(bots, usertest.Stranger, usertest.Stranger), os.Chown(run, usertest.Stranger, usertest.Stranger),
		os.Chown(file, usertest.Stranger, usertest.Stranger),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	consumer := answering(t, usertest.Listen(t, socket, usertest.Stranger))
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m")+fmt.Sprintf(`sinks:
  files: {type: file, path: %q}
  bot: {type: unixsocket, path: %q}
`, file, socket))
	checked := s.tool(t, "", "check")
	if checked.code != exitOK || aboutTrust.MatchString(checked.stdout+checked.stderr) || !strings.Contains(checked.stdout, "trusts user 34567") {
		t.Errorf("check: %+v", checked)
	}
	r := startRun(t, s)
	r.until(func(control.Status) bool { return true })
	g := saxo.Grant(saxoAccount)
	if _, err := r.Client.Import(t.Context(), control.ImportRequest{Account: saxoAccount, Body: tokenFileOf(t, g, format.SaxoCache, g.IssuedAt)}); err != nil {
		t.Fatal(err)
	}
	r.delivered(saxoAccount, 1)
	consumer.hears(t, g.AccessToken)
	content, err := os.ReadFile(file)
	info, statErr := os.Stat(file)
	if err := errors.Join(err, statErr); err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); !strings.Contains(string(content), g.AccessToken) || st.Uid != usertest.Stranger || info.Mode().Perm() != 0o640 {
		t.Errorf("the bots' file is of user %d, mode %s, %d bytes", st.Uid, info.Mode(), len(content))
	}
	r.Stop()
	s.awaitGone(t)
}
