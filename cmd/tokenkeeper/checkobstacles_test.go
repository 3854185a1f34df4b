package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// check says of a shared file that can't be replaced what to do, and so does
// the test of a sink; neither leaves anything behind.
func TestCheckTriesTheFilesThatATokenReplaces(t *testing.T) {
	w := newWorld(t, `accounts:
  saxo-live:
    provider: saxo
    client_id: id
    client_secret: secret
    redirect_url: "http://localhost/callback"
    shared_file: {path: bots/tokens.json, format: saxo-cache}
sinks:
  cache: {type: file, path: "out/{account}.json"}
`)
	bots, out := filepath.Join(w.dir, "bots"), filepath.Join(w.dir, "out")
	for _, dir := range []string{bots, out} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if got := command(t, "", "check", "-c", w.config); got.code != exitOK || strings.Contains(got.stdout, "can't be replaced") {
		t.Errorf("with folders that are well: exit code %d:\n%s", got.code, got.stdout)
	}
	for _, dir := range []string{bots, out} {
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("left in %s: %v, %v", dir, entries, err)
		}
	}
	file := filepath.Join(bots, "tokens.json")
	write(t, file, "{}")
	if err := unix.Mount(file, file, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("a file can't be mounted, which needs root: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(file, unix.MNT_DETACH) })
	if err := unix.Mount("tmpfs", out, "tmpfs", 0, "size=8k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(out, unix.MNT_DETACH) })
	got := decode[report](t, command(t, "", "check", "--json", "-c", w.config).stdout)
	if got.OK || len(got.Problems) != 1 || got.Problems[0].Key != "accounts.saxo-live.shared_file" || got.Problems[0].Line == 0 ||
		!strings.Contains(got.Problems[0].Message, "mount the folder, not the file") {
		t.Errorf("problems: %+v", got.Problems)
	}
	said := false
	for _, f := range got.Warnings {
		said = said || f.Key == "sinks.cache.path" && strings.Contains(f.Message, "free some space")
	}
	if !said {
		t.Errorf("warnings: %+v", got.Warnings)
	}
}
