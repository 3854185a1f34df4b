package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
)

// TestSharedFileOfAStranger: check refuses the file that another user has put
// into a folder for everybody, names whom it trusts, and takes what the
// configuration accepts.
func TestSharedFileOfAStranger(t *testing.T) {
	skipUnlessRaced(t)
	usertest.NeedsRoot(t)
	yaml := func(more string) string {
		return "accounts: {a: {provider: saxo, client_id: id, shared_file: {path: shared/token.json, format: saxo-cache" + more + "}}}\n"
	}
	for name, c := range map[string]struct {
		folder, file, lock int // whose they are
		mode               os.FileMode
		more               string
		code               int
		want               string
	}{
		"a file in a sticky folder": {file: usertest.Stranger, mode: 0o777 | os.ModeSticky, code: exitUsage,
			want: "accounts.a.shared_file: shared file "},
		"a lock in a sticky folder": {lock: usertest.Stranger, mode: 0o777 | os.ModeSticky, code: exitUsage,
			want: "token.json.lock (mode 0600, of user 34567, group 34567) belongs to user 34567, who may have put it there"},
		"a folder for everybody":                    {mode: 0o777, code: exitUsage, want: "trust_folder: true"},
		"the same, which the configuration accepts": {mode: 0o777, more: ", trust_folder: true"},
		"the folder of one user": {folder: usertest.Stranger, file: usertest.Stranger, lock: usertest.Stranger, mode: 0o755,
			want: "trusts user 34567, who owns "},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, yaml(c.more))
			dir := filepath.Join(w.dir, "shared")
			if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, c.mode)); err != nil {
				t.Fatal(err)
			}
			givenTo(t, c.folder, dir)
			for path, uid := range map[string]int{"token.json": c.file, "token.json.lock": c.lock} {
				write(t, filepath.Join(dir, path), "")
				givenTo(t, uid, filepath.Join(dir, path))
			}
			got := command(t, "", "check", "-c", w.config)
			if got.code != c.code || !strings.Contains(inOneLine(got.stdout), c.want) {
				t.Errorf("%d, want %d and %q:\n%s", got.code, c.code, c.want, got.stdout)
			}
		})
	}
}

// TestSocketsOfOurs: check and run refuse a control socket where others could put
// one of their own, and check warns of a sink's, unless the folder is trusted.
func TestSocketsOfOurs(t *testing.T) {
	skipUnlessRaced(t)
	for name, c := range map[string]struct {
		mode       os.FileMode
		more       string
		code       int
		want, sink string
	}{
		"a folder of ours":             {mode: 0o755},
		"a sticky one":                 {mode: 0o777 | os.ModeSticky},
		"one for everybody":            {mode: 0o777, code: exitUsage, want: "control.socket: the socket ", sink: "sinks.feed.path: the socket "},
		"one for everybody, as wanted": {mode: 0o777, more: ", trust_folder: true"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "control: {socket: run/c.sock"+c.more+"}\naccounts: {a: {provider: saxo, client_id: id}}\n"+
				"sinks: {feed: {type: unixsocket, direction: listen, path: run/feed.sock"+c.more+"}}\n")
			dir := filepath.Join(w.dir, "run")
			if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, c.mode)); err != nil {
				t.Fatal(err)
			}
			got := command(t, "", "check", "-c", w.config)
			for _, want := range []string{c.want, c.sink} {
				if got.code != c.code || !strings.Contains(got.stdout, want) || strings.Contains(got.stdout, "is not opened") != (want != "") {
					t.Errorf("%d, want %d and %q:\n%s", got.code, c.code, want, got.stdout)
				}
			}
			if c.want == "" {
				return
			}
			if !strings.Contains(got.stdout, "trust_folder: true") {
				t.Errorf("what allows it is not named:\n%s", got.stdout)
			}
			if got := command(t, "", "run", "-c", w.config); got.code == 0 || !strings.Contains(got.stderr, "can be changed by everybody") {
				t.Errorf("run: %+v", got)
			}
		})
	}
}

// TestLockThatOthersCanHold: whoever may open a lock can hold it for ever, which
// check tells with the command that keeps him out; not of those who may open the
// file itself, and not where the configuration accepts it.
func TestLockThatOthersCanHold(t *testing.T) {
	skipUnlessRaced(t)
	usertest.NeedsRoot(t)
	const bots = 34569 // a group
	for name, c := range map[string]struct {
		folder, lock, file os.FileMode // file 0: there is none
		more, want, never  string
	}{
		"everybody":                            {folder: 0o755, lock: 0o664, file: 0o660, want: "may be opened by everybody on this machine", never: "the group"},
		"everybody, in a closed folder":        {folder: 0o700, lock: 0o666, file: 0o600},
		"everybody, which is accepted":         {folder: 0o755, lock: 0o666, file: 0o660, more: ", trust_folder: true"},
		"the bots' group, as the file":         {folder: 0o755, lock: 0o660, file: 0o640},
		"the bots' group, with no file so far": {folder: 0o755, lock: 0o660},
		"a group that may not open the file":   {folder: 0o750, lock: 0o660, file: 0o600, want: "may be opened by the group 34569"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "accounts: {a: {provider: saxo, client_id: id, shared_file: {path: shared/token.json, format: saxo-cache"+c.more+"}}}\n")
			dir := filepath.Join(w.dir, "shared")
			lock, token := filepath.Join(dir, "token.json.lock"), filepath.Join(dir, "token.json")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for at := w.dir; at != os.TempDir(); at = filepath.Dir(at) {
				if err := os.Chmod(at, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			set := func(path string, mode os.FileMode) {
				if err := errors.Join(os.Chown(path, 0, bots), os.Chmod(path, mode)); err != nil {
					t.Fatal(err)
				}
			}
			write(t, lock, "")
			set(lock, c.lock)
			if c.file != 0 {
				write(t, token, "{}")
				set(token, c.file)
			}
			set(dir, c.folder)
			got := command(t, "", "check", "-c", w.config)
			warned := strings.Contains(got.stdout, "accounts.a.shared_file.lock: "+lock+" may be opened by")
			if warned != (c.want != "") || !strings.Contains(got.stdout, c.want) || c.never != "" && strings.Contains(got.stdout, c.never) {
				t.Errorf("warned: %t, want %q:\n%s", warned, c.want, got.stdout)
			}
			if !warned {
				return
			}
			if _, do, _ := strings.Cut(got.stdout, "chmod "); do[:4] == "" || command(t, "", "check", "-c", w.config).code != 0 {
				t.Errorf("no command is named, or the warning counts as a problem:\n%s", got.stdout)
			} else if mode, err := strconv.ParseUint(do[:4], 8, 32); err != nil || os.Chmod(lock, os.FileMode(mode)) != nil {
				t.Errorf("%q is no mode: %v", do[:4], err)
			}
			if again := command(t, "", "check", "-c", w.config); strings.Contains(again.stdout, "shared_file.lock") {
				t.Errorf("after that command it still is warned of:\n%s", again.stdout)
			}
		})
	}
}
