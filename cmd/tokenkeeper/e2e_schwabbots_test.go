package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// python3 is Debian's, as of all examples that are installed.
const python3 = "/usr/bin/python3"

// schwabdev3 does with its database what Schwabdev 3 does (schwabdev/tokens.py): it makes
// the table, and reads it; with a time it has logged in then. It prints what it has.
const schwabdev3 = `
import datetime, sqlite3, sys
conn = sqlite3.connect(sys.argv[1])
cur = conn.cursor()
cur.execute("""
CREATE TABLE IF NOT EXISTS schwabdev (
    access_token_issued TEXT NOT NULL,
    refresh_token_issued TEXT NOT NULL,
    access_token TEXT NOT NULL,
    refresh_token TEXT NOT NULL,
    id_token TEXT NOT NULL,
    expires_in INTEGER,
    token_type TEXT,
    scope TEXT
);
""")
cur.execute("PRAGMA busy_timeout = 30000;")
conn.commit()
if len(sys.argv) > 2:
    cur.execute("BEGIN EXCLUSIVE")
    cur.execute("DELETE FROM schwabdev")
    cur.execute("INSERT INTO schwabdev (access_token_issued, refresh_token_issued, access_token, refresh_token, id_token, expires_in, token_type, scope) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (sys.argv[2], sys.argv[2], "bots-access-token", "bots-refresh-token", "", 1800, "Bearer", "api"))
    conn.commit()
row = cur.execute("SELECT access_token_issued, refresh_token_issued, access_token, refresh_token, id_token, expires_in, token_type, scope FROM schwabdev LIMIT 1").fetchone()
if row:
    at, rt = (datetime.datetime.fromisoformat(text) for text in row[:2])
    assert at.tzinfo and rt.tzinfo
    print("%s|%s|%d" % (row[2], row[3], (at + datetime.timedelta(seconds=row[5])).timestamp()))
`

// followers are clients of the other libraries, as far as tokenkeeper_follow.py touches
// them; both refuse to refresh and to log in. They print what they have before and after
// a line comes in.
const followers = `
import asyncio, json, sys
sys.path.insert(0, sys.argv[1])
from tokenkeeper_follow import follow_schwab_py, follow_schwabdev2

class Token(dict):
    pass

class Session:
    token = Token(access_token="old")
    def ensure_active_token(self, token=None):
        raise SystemExit("it refreshes by itself")

class Async(Session):
    async def ensure_active_token(self, token=None):
        raise SystemExit("it refreshes by itself")

class Tokens:
    def update_tokens(self, force_access_token=False, force_refresh_token=False):
        raise SystemExit("it refreshes by itself")
    update_access_token = update_refresh_token = update_tokens

class Client:
    pass

py, py_async, dev2 = Client(), Client(), Client()
py.session, py_async.session, dev2.tokens = Session(), Async(), Tokens()
follow_schwab_py(py, sys.argv[2])
follow_schwab_py(py_async, sys.argv[2])
follow_schwabdev2(dev2, sys.argv[3])
def show():
    assert py.session.ensure_active_token(py.session.token) and isinstance(py.session.token, Token)
    assert asyncio.run(py_async.session.ensure_active_token(py_async.session.token))
    assert py_async.session.token == py.session.token
    dev2.tokens.update_tokens()
    assert dev2.tokens._access_token_issued.tzinfo and dev2.tokens._refresh_token_issued.tzinfo
    print(py.session.token["access_token"], dev2.tokens.access_token, "refresh_token" in py.session.token or bool(dev2.tokens.refresh_token), flush=True)
show()
sys.stdin.readline()
show()
`

// TestBotsOfSchwabLibraries does what examples/bots-schwab says: the files of three
// libraries are written in the layout that each has, none with a refresh token; their
// clients follow; and a login that a bot has made itself is told, not written over, and
// can be taken.
func TestBotsOfSchwabLibraries(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	mustHave(t, python3)
	lib := filepath.Join(installed(t, "bots-schwab"), "tokenkeeper-bots-schwab")
	program := filepath.Join(lib, "schwabdev_tokens.py")
	sim := startBroker(t, brokersim.Config{Dialect: brokersim.Schwab})
	s := newSite(t, "")
	db, tokens, pyFile := s.path("tokens.db"), s.path("tokens.json"), s.path("schwab_py.json")
	s.configure(t, "accounts:\n"+accountYAML(schwabAccount, sim, sim.TokenURL(), "before_expiry: 5m")+fmt.Sprintf(`sinks:
  schwab-py: {type: file, path: %q, format: schwab-py}
  schwabdev2: {type: exec, command: [%q, %q]}
  schwabdev3: {type: exec, command: [%q, %q]}
`, pyFile, program, tokens, program, db))
	python := func(script string, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), python3, append([]string{"-c", script}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	python(schwabdev3, db) // the bot's own table, still empty

	s.logInEarlier(t, sim, schwabAccount, format.Schwab, 10*time.Minute)
	r := startRun(t, s)
	r.delivered(schwabAccount, 1)
	bots := exec.CommandContext(t.Context(), python3, "-c", followers, lib, pyFile, tokens)
	goOn, err := bots.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out := begin(t, bots)
	has := func(version uint64) {
		t.Helper()
		now, _ := sim.Current(schwabAccount)
		out.until(t, func(said string) bool {
			return strings.Contains(said, now.AccessToken+" "+now.AccessToken+" False\n")
		})
		access, _, _ := strings.Cut(python(schwabdev3, db), "|")
		if access != now.AccessToken {
			t.Errorf("version %d: Schwabdev 3 has another access token", version)
		}
	}
	has(1)
	r.refreshed(schwabAccount)
	r.delivered(schwabAccount, 2)
	if _, err := goOn.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	has(2)
	expires := account(r.until(func(control.Status) bool { return true }), schwabAccount).Expiry
	if row := python(schwabdev3, db); !strings.HasSuffix(row, fmt.Sprintf("||%d", expires.Unix())) {
		t.Errorf("Schwabdev 3 reads %q, want no refresh token and the end %d", row, expires.Unix())
	}

	// A bot logs in by itself.
	mine := python(schwabdev3, db, time.Now().UTC().Format("2006-01-02T15:04:05.000000+00:00"))
	if err := <-r.forceRefresh(schwabAccount); err != nil {
		t.Fatal(err)
	}
	r.until(func(st control.Status) bool { return strings.Contains(failureOf(st, "schwabdev3"), "exit code 3") })
	if now := python(schwabdev3, db); now != mine {
		t.Errorf("the bot's login was written over: %q", now)
	}
	printed, err := exec.CommandContext(t.Context(), program, "--print", db).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := s.tool(t, string(printed), "import", schwabAccount, "-", "--force"); got.code != exitOK {
		t.Errorf("the bot's login is not taken: %+v", got)
	}
	if got := s.tool(t, "", "token", schwabAccount); strings.TrimSpace(got.stdout) != "bots-access-token" {
		t.Errorf("the token is not the bot's: %+v", got)
	}
	r.until(func(st control.Status) bool { return failureOf(st, "schwabdev3") == "" })
	r.Stop()
	s.awaitGone(t)
}

// giveNothing is schwabdev_tokens.py for a user whose group is not the file's, and who may
// give no file away.
const giveNothing = `
import os, sys
sys.path.insert(0, sys.argv.pop(1))
import schwabdev_tokens
def refused(*_):
    raise PermissionError(1, "Operation not permitted")
os.chown, os.getegid = refused, lambda: 54321
schwabdev_tokens.main(sys.argv[1:])
`

// TestSchwabdevTokensAreWritten: neither a file that has the right owner already nor a
// time in it that a wrong clock has left there keeps a token from being written.
func TestSchwabdevTokensAreWritten(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	mustHave(t, python3)
	lib := filepath.Join(installed(t, "bots-schwab"), "tokenkeeper-bots-schwab")
	tokens := filepath.Join(t.TempDir(), "tokens.json")
	old := `{"access_token_issued":"2199-01-01T00:00:00+00:00","refresh_token_issued":"2026-01-01T00:00:00+00:00","token_dictionary":{"access_token":"old"}}`
	if err := os.WriteFile(tokens, []byte(old), 0o640); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python3, "-c", giveNothing, lib, tokens)
	cmd.Stdin = strings.NewReader(`{"account":"main","access_token":"new","issued_at":"2026-01-02T00:00:00Z","expires":"2026-01-02T00:30:00Z"}`)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	now, err := os.ReadFile(tokens)
	if err != nil || !strings.Contains(string(now), `"access_token": "new"`) {
		t.Errorf("the token was not written: %v %s", err, now)
	}
	if info, err := os.Stat(tokens); err != nil || info.Mode() != 0o640 {
		t.Errorf("the file's mode is %v (%v), want the old one's", info.Mode(), err)
	}
}

// failureOf is the last error of a sink with the only account.
func failureOf(st control.Status, sink string) string {
	for _, d := range account(st, schwabAccount).Sinks {
		if d.Sink == sink {
			return d.LastError
		}
	}
	return ""
}
