package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// A shared file from which even the client's id comes is damaged while the
// program runs, and between two runs; and then its folder fills up.
func TestSharedFileThatIsTheOnlyPlaceOfEverything(t *testing.T) {
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
	s := newSite(t, "")
	bots := s.path("bots")
	if err := os.Mkdir(bots, 0o700); err != nil {
		t.Fatal(err)
	}
	small := unix.Mount("tmpfs", bots, "tmpfs", 0, "size=256k,mode=700") == nil // which needs root
	if small {
		t.Cleanup(func() { _ = unix.Unmount(bots, unix.MNT_DETACH) })
	}
	path := filepath.Join(bots, "tokens.json")
	s.configure(t, fmt.Sprintf(`accounts:
  %s:
    provider: saxo
    client_id: ${file:%[2]s#app_key}
    client_secret: ${file:%[2]s#app_secret}
    redirect_url: %[3]s
    settings: {token_url: "%[4]s"}
    shared_file: {path: %[2]s, format: saxo-cache}
`, saxoAccount, path, saxo.Config().RedirectURL, saxo.TokenURL()))
	g := saxo.Grant(saxoAccount)
	first := string(tokenFileOf(t, g, format.SaxoCache, g.IssuedAt))
	first = strings.Replace(first, "{", fmt.Sprintf(`{"note": "theirs", "app_key": %q, "app_secret": %q, `, saxo.Config().ClientID, saxo.Config().ClientSecret), 1)
	if err := os.WriteFile(path, []byte(first), 0o640); err != nil {
		t.Fatal(err)
	}

	r := startRun(t, s)
	events := r.follow()
	r.refreshed(saxoAccount) // is content with the first token, which it has just taken
	r.refreshed(saxoAccount)
	whole := decodeFile[map[string]any](t, path)
	putRight := func(mark int) {
		t.Helper()
		events.await(mark, about(event.SharedFileMended, saxoAccount))
		now := decodeFile[map[string]any](t, path)
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o640 || fmt.Sprint(now) != fmt.Sprint(whole) {
			t.Errorf("it holds other things than before, or has mode %s: %v", info.Mode(), err)
		}
	}
	for _, damage := range []func() error{
		func() error { return os.Remove(path) }, func() error { return os.Truncate(path, 20) },
	} {
		mark := events.mark()
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		putRight(mark)
	}
	r.Stop()

	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if got := s.tool(t, "", "check"); got.code != exitOK || !strings.Contains(got.stdout, "when it was whole") {
		t.Errorf("check: exit code %d:\n%s%s", got.code, got.stdout, got.stderr)
	}
	r = startRun(t, s)
	r.refreshed(saxoAccount) // with the client's id that stands nowhere else
	now := decodeFile[map[string]any](t, path)
	if now["note"] != "theirs" || now["app_key"] != saxo.Config().ClientID || now["refresh_token"] == whole["refresh_token"] {
		t.Errorf("the file holds %v", now["note"])
	}
	if !small {
		t.Skip("the rest needs a small disk, and so root")
	}
	ballast, err := os.Create(filepath.Join(bots, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = ballast.Write(make([]byte, 4096))
	}
	_ = ballast.Close()
	if err := <-r.forceRefresh(saxoAccount); err == nil || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("with a full folder: %v", err)
	}
	if same := decodeFile[map[string]any](t, path); fmt.Sprint(same) != fmt.Sprint(now) {
		t.Error("the file has changed")
	}
	if err := os.Remove(ballast.Name()); err != nil {
		t.Fatal(err)
	}
	r.refreshed(saxoAccount) // the token that was not spent
	r.Stop()
}
