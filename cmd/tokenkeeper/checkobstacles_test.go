package main

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
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
	if err := os.Mkdir(bots, 0o700); err != nil {
		t.Fatal(err)
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

// Whatever would keep a token from its destination is told with its place, so that
// nobody reads that everything is in order.
func TestCheckTriesEveryDestination(t *testing.T) {
	const account = "accounts:\n  a: {provider: saxo, client_id: id, client_secret: secret, redirect_url: \"http://localhost/callback\""
	sink := func(text string) string { return account + "}\nsinks:\n  s: {" + text + "}\n" }
	for name, tt := range map[string]struct {
		yaml    string
		problem bool
		want    string
	}{
		"a file in no folder":             {sink("type: file, path: none/token.json"), true, ":6: sinks.s.path: the folder DIR/none does not exist"},
		"one folder of several":           {sink(`type: file, path: "out/{account}/token.json"`), true, ":6: sinks.s.path: the folder DIR/out/a does not exist"},
		"a file in a file":                {sink("type: file, path: tk.yaml/token.json"), true, ":6: sinks.s.path: DIR/tk.yaml/token.json can't be replaced: DIR/tk.yaml is no directory"},
		"a file in a pipe's place":        {sink("type: file, path: DIR/pipe"), true, ":6: sinks.s.path: DIR/pipe can't be replaced: it is a pipe (FIFO)"},
		"a file in a folder's place":      {sink("type: file, path: DIR/plugins"), true, ":6: sinks.s.path: DIR/plugins can't be replaced: "},
		"a socket in a pipe's place":      {sink("type: unixsocket, path: DIR/pipe"), true, ":6: sinks.s.path: DIR/pipe is no socket but a pipe (FIFO): move it away"},
		"a socket in a file's place":      {sink("type: unixsocket, path: DIR/tk.yaml"), true, ":6: sinks.s.path: DIR/tk.yaml is no socket but a file: "},
		"a socket in a folder's place":    {sink("type: unixsocket, path: DIR/plugins"), true, ":6: sinks.s.path: DIR/plugins is no socket but a folder: "},
		"a socket in a file":              {sink("type: unixsocket, path: DIR/tk.yaml/s"), true, ":6: sinks.s.path: the socket can't be reached: "},
		"ours in a pipe's place":          {sink("type: unixsocket, direction: listen, path: DIR/pipe"), true, ":6: sinks.s.path: the socket DIR/pipe is not opened: DIR/pipe is no socket but a pipe (FIFO): "},
		"a consumer's socket":             {sink("type: unixsocket, path: none/s"), false, ":6: sinks.s.path: the folder DIR/none does not exist, in which the consumer"},
		"a socket of ours":                {sink("type: unixsocket, direction: listen, path: none/s"), true, ":6: sinks.s.path: the folder DIR/none does not exist"},
		"a socket that may have a folder": {sink("type: unixsocket, direction: listen, path: /run/tokenkeeper-of-no-machine/s"), false, "the folder /run/tokenkeeper-of-no-machine does not exist"},
		"a program that is missing":       {sink("type: exec, command: [DIR/none]"), true, ":6: sinks.s.command: there is no program DIR/none"},
		"one that is in no folder":        {sink("type: exec, command: [no-such-program-at-all]"), true, ":6: sinks.s.command: there is no program no-such-program-at-all"},
		"one that may not be run":         {sink("type: exec, command: [DIR/tk.yaml]"), true, ":6: sinks.s.command: DIR/tk.yaml may not be run"},
		"the log":                         {account + "}\nlog: {file: none/log}\n", true, ":5: log.file: "},
		"a shared file in no folder":      {account + ", shared_file: {path: none/token.json, format: saxo-cache}}\n", true, ":4: accounts.a.shared_file: the folder DIR/none"},
		"a login that can't begin":        {strings.Replace(account, ", redirect_url: \"http://localhost/callback\"", "", 1) + "}\n", false, ":4: accounts.a.redirect_url: is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "")
			here := strings.NewReplacer("DIR", w.dir)
			write(t, w.config, "state_dir: state\nplugins: {dir: plugins}\n"+here.Replace(tt.yaml))
			if err := unix.Mkfifo(filepath.Join(w.dir, "pipe"), 0o600); err != nil {
				t.Fatal(err)
			}
			before, code := "warning: ", exitOK
			if tt.problem {
				before, code = "problem: ", exitUsage
			}
			got := command(t, "", "check", "-c", w.config)
			if got.code != code || !strings.Contains(got.stdout, "\n"+before+w.config+":") || !strings.Contains(got.stdout, here.Replace(tt.want)) || strings.Contains(got.stdout, "in order") {
				t.Errorf("exit code %d, want %d and %q in:\n%s%s", got.code, code, here.Replace(tt.want), got.stdout, got.stderr)
			}
			left, err := os.ReadDir(w.dir)
			if err != nil || len(left) != 5 { // the configuration, a pipe and three folders
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// What a consumer may bring in time is a warning, also where no file of it is missing.
func TestWhatMayPassIsAWarning(t *testing.T) {
	full, refused, closed := unix.ENOSPC, unix.ECONNREFUSED, fs.ErrPermission
	for name, tt := range map[string]struct {
		o       supervisor.Obstacle
		service bool
		passes  bool
		hint    string
	}{
		"nobody listens":                  {supervisor.Obstacle{Sink: "s", Obstacle: sink.Obstacle{Err: refused, Later: true}}, true, true, "the consumer may be there"},
		"nobody listens, and nobody will": {supervisor.Obstacle{Sink: "s", Obstacle: sink.Obstacle{Err: refused}}, true, false, ""},
		"a consumer's folder":             {supervisor.Obstacle{Sink: "s", Obstacle: sink.Obstacle{Missing: "/none", Later: true, Err: fs.ErrNotExist}}, true, true, "may make it"},
		"a unit's folder":                 {supervisor.Obstacle{Sink: "s", Obstacle: sink.Obstacle{Missing: "/run/bot", Err: fs.ErrNotExist}}, true, true, "may make it"},
		"a folder":                        {supervisor.Obstacle{Sink: "s", Obstacle: sink.Obstacle{Missing: "/none", Err: fs.ErrNotExist}}, true, false, ""},
		"a right of another user":         {supervisor.Obstacle{Sink: "s", Obstacle: sink.Obstacle{Err: closed}}, false, true, ""},
		"a right of the service":          {supervisor.Obstacle{Sink: "s", Obstacle: sink.Obstacle{Err: closed}}, true, false, ""},
		"a full disk under a sink":        {supervisor.Obstacle{Sink: "s", Obstacle: sink.Obstacle{Err: full}}, true, true, ""},
		"under a shared file":             {supervisor.Obstacle{Account: "a", Obstacle: sink.Obstacle{Err: full}}, true, false, ""},
	} {
		hint, passes := mayPass(tt.o, tt.service)
		if passes != tt.passes || !strings.Contains(hint, tt.hint) || (hint == "") != (tt.hint == "") {
			t.Errorf("%s: %v, %q", name, passes, hint)
		}
	}
}

// What check can't see is named; of a file, where nothing is left to be seen, it says
// nothing.
func TestCheckSaysWhatItCouldNotTry(t *testing.T) {
	w := newWorld(t, "accounts:\n  a: {provider: saxo, client_id: id, client_secret: secret, redirect_url: \"http://localhost/callback\"}\n"+`sinks:
  bot: {type: unixsocket, path: bot.sock}
  feed: {type: unixsocket, direction: listen, path: feed.sock}
  files: {type: file, path: token.json}
  hook: {type: webhook, url: "https://bots.example/token", secret: "whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTA="}
  other: {type: webhook, url: "https://bots.example/other", secret: "whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTA="}
  teller: {type: exec, command: [/bin/true]}
`)
	path := filepath.Join(w.dir, "bot.sock")
	for _, tt := range []struct{ opened, want string }{
		{"", "whether the consumer will open " + path + ", which is not there now (bot)"},
		{"bots.sock", "whether the consumer will open " + path + ", which is not there now, though " + filepath.Join(w.dir, "bots.sock") + " is (bot)"},
		{"bot.sock", "whether the consumer answers (bot)"},
	} {
		if tt.opened != "" {
			l, err := net.Listen("unix", filepath.Join(w.dir, tt.opened))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
		}
		want := "not tried, as check sends nothing: whether the brokers take the clients' ids and secrets; what the program does (teller); " +
			tt.want + "; whether the receiver answers (hook, other); once it runs: tokenkeeper sinks test NAME"
		got := command(t, "", "check", "-c", w.config)
		if got.code != exitOK || !strings.Contains(inOneLine(got.stdout), want) {
			t.Errorf("exit code %d, %q is not in:\n%s", got.code, want, got.stdout)
		}
	}
	r := decode[report](t, command(t, "", "check", "--json", "-c", w.config).stdout)
	if len(r.Untried) != 4 || len(r.Untried[0].Sinks) != 0 || strings.Join(r.Untried[3].Sinks, " ") != "hook other" || r.CheckedAs == "" || r.ServiceUser != "" {
		t.Errorf("%+v, as %q, for %q", r.Untried, r.CheckedAs, r.ServiceUser)
	}
}
