package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
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
// the table, and reads it; with a time, an access token and a refresh token it has logged
// in then. It prints what it has.
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
        (sys.argv[2], sys.argv[2], sys.argv[3], sys.argv[4], "", 1800, "Bearer", "api"))
    conn.commit()
row = cur.execute("SELECT access_token_issued, refresh_token_issued, access_token, refresh_token, id_token, expires_in, token_type, scope FROM schwabdev LIMIT 1").fetchone()
if row:
    at, rt = (datetime.datetime.fromisoformat(text) for text in row[:2])
    assert at.tzinfo and rt.tzinfo
    print("%s|%s|%d" % (row[2], row[3], (at + datetime.timedelta(seconds=row[5])).timestamp()))
`

func python(t *testing.T, script string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), python3, append([]string{"-c", script}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// schwabBots are the bots of testdata/bots-schwab, a process.
type schwabBots struct {
	t        *testing.T
	commands io.Writer
	out      *awaited
	asked    int
}

func beginSchwabBots(t *testing.T, args ...string) *schwabBots {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), python3, append([]string{filepath.Join("testdata", "bots-schwab", "bots.py")}, args...)...)
	commands, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	return &schwabBots{t: t, commands: commands, out: begin(t, cmd)}
}

// do has them do something, and returns what each has to say.
func (b *schwabBots) do(command string) (said map[string][]string) {
	b.t.Helper()
	if _, err := io.WriteString(b.commands, command+"\n"); err != nil {
		b.t.Fatalf("%v\n%s", err, b.out.String())
	}
	b.asked++
	b.out.until(b.t, func(text string) bool {
		var answers []string
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "{") && strings.HasSuffix(line, "\n") {
				answers = append(answers, line)
			}
		}
		return len(answers) == b.asked && json.Unmarshal([]byte(answers[b.asked-1]), &said) == nil
	})
	return said
}

// use sees that each bot's requests are served, with that token.
func (b *schwabBots) use(when, token string) {
	b.t.Helper()
	said := b.do("request")
	delete(said, "login")
	if len(said) != 8 {
		b.t.Errorf("%s: %d bots have spoken", when, len(said))
	}
	for name, got := range said {
		if !slices.Equal(got, []string{"200 " + token}) {
			b.t.Errorf("%s: %s is answered %q, want 200 with the newest token", when, name, got)
		}
	}
}

// TestBotsOfSchwabLibraries does what examples/bots-schwab says: the files of the
// libraries are written in the layout that each has, none with a refresh token; their
// clients follow through refreshes, logins, the last hour of a login and the loss of a
// file; the time of a login may be set right; and a login that a bot has made itself can
// be taken.
func TestBotsOfSchwabLibraries(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	mustHave(t, python3)
	lib := filepath.Join(installed(t, "bots-schwab"), "tokenkeeper-bots-schwab")
	program := filepath.Join(lib, "schwabdev_tokens.py")
	sim := startBroker(t, brokersim.Config{Dialect: brokersim.Schwab})
	s := newSite(t, "")
	db, tokens, pyFile := s.path("tokens.db"), s.path("tokens.json"), s.path("schwab_py.json")
	urls := fmt.Sprintf("{authorize_url: %q, ", sim.AuthorizeURL())
	s.configure(t, "accounts:\n"+strings.Replace(accountYAML(schwabAccount, sim, sim.TokenURL(), "before_expiry: 5m"), "{", urls, 1)+fmt.Sprintf(`sinks:
  schwab-py: {type: file, path: %q, format: schwab-py}
  schwabdev2: {type: exec, command: [%q, %q]}
  schwabdev3: {type: exec, command: [%q, %q]}
`, pyFile, program, tokens, program, db))
	python(t, schwabdev3, db) // the bot's own table, still empty

	s.logInEarlier(t, sim, schwabAccount, format.Schwab, 10*time.Minute)
	r := startRun(t, s)
	r.delivered(schwabAccount, 1)
	bots := beginSchwabBots(t, lib, sim.ResourceURL(), pyFile, tokens, db)
	follow := func(when string, version uint64) {
		t.Helper()
		r.delivered(schwabAccount, version)
		now, _ := sim.Current(schwabAccount)
		bots.use(when, now.AccessToken)
	}
	follow("at the start", 1)
	first, _ := sim.Current(schwabAccount)
	r.refreshed(schwabAccount)
	follow("after a refresh", 2)
	expires := account(r.until(func(control.Status) bool { return true }), schwabAccount).Expiry
	if row := python(t, schwabdev3, db); !strings.HasSuffix(row, fmt.Sprintf("||%d", expires.Unix())) {
		t.Errorf("Schwabdev 3 reads %q, want no refresh token and the end %d", row, expires.Unix())
	}
	bots.lastHour(sim)

	// The login was made earlier than thought.
	earlier := time.Now().Add(-time.Hour).Truncate(time.Second).UTC()
	if got := s.tool(t, "", "import", schwabAccount, "--login-time", earlier.Format(time.RFC3339)); got.code != exitOK {
		t.Fatalf("the time of the login is not set: %+v", got)
	}
	follow("after the time of the login was set right", 3)
	if got := bots.do("request")["login"]; !slices.Equal(got, []string{strconv.FormatInt(earlier.Unix(), 10)}) {
		t.Errorf("a bot takes %s for the time of its login, want %d", got, earlier.Unix())
	}

	if got := s.logInAs(t, schwabAccount, schwabAccount); got.code != exitOK {
		t.Fatalf("no login: %+v", got)
	}
	follow("after a login", 4)
	now, _ := sim.Current(schwabAccount)
	if got, want := bots.do("force")["force"], []string{"401 " + first.AccessToken, "401 " + first.AccessToken, "200 " + now.AccessToken}; !slices.Equal(got, want) {
		t.Errorf("Schwabdev 3 without the two lines is answered %q after a login, by client.tokens.update_tokens, and by client.update_tokens; want %q", got, want)
	}

	taken := func() result {
		t.Helper()
		printed, err := exec.CommandContext(t.Context(), program, "--print", db).Output()
		if err != nil {
			t.Fatal(err)
		}
		return s.tool(t, string(printed), "import", schwabAccount, "-", "--force")
	}
	if got := taken(); got.code == exitOK || !strings.Contains(got.stderr, "the file holds no refresh token") {
		t.Errorf("no bot has logged in, and a login is taken: %+v", got)
	}

	// A bot logs in by itself, which ends the login of Tokenkeeper.
	mine := sim.Grant(schwabAccount)
	python(t, schwabdev3, db, mine.IssuedAt.UTC().Format("2006-01-02T15:04:05.000000+00:00"), mine.AccessToken, mine.RefreshToken)
	if err := <-r.forceRefresh(schwabAccount); err == nil {
		t.Fatal("the login has ended, and the refresh went well")
	}
	st := r.until(func(st control.Status) bool { return account(st, schwabAccount).State == control.AccountNeedsLogin })
	if said := failureOf(st, "schwabdev3"); said != "" {
		t.Errorf("the sink, which has got nothing new, says %q", said)
	}
	if got := taken(); got.code != exitOK {
		t.Errorf("the bot's login is not taken: %+v", got)
	}
	follow("after the login of a bot was taken", 5)
	if row := python(t, schwabdev3, db); !strings.HasPrefix(row, mine.AccessToken+"||") {
		t.Errorf("Schwabdev 3 reads %q, want the bot's own token without its refresh token", row)
	}
	r.Stop()

	// The files are away for a moment, or there is only a part of them.
	for _, file := range []string{pyFile, tokens} {
		if err := os.Rename(file, file+".away"); err != nil {
			t.Fatal(err)
		}
	}
	bots.use("without the files", mine.AccessToken)
	for _, file := range []string{pyFile, tokens} {
		if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bots.use("with a part of the files", mine.AccessToken)
}

// lastHour sees that the last hour of a login, in which Schwabdev 3 and 4 want to log in,
// leaves alone who follows, and what it does to who doesn't.
func (b *schwabBots) lastHour(sim *brokersim.Server) {
	b.t.Helper()
	now, _ := sim.Current(schwabAccount)
	served, asks, locked := "200 "+now.AccessToken, "Alone('Schwabdev asks for a login')", "database is locked"
	said := b.do("last hour")
	for name, want := range map[string][]string{
		"Schwabdev 3": {served}, "Schwabdev 4": {served}, "the database": nil,
		"Schwabdev 3 that does not follow": {asks, locked}, "the database after a rollback": nil,
		"Schwabdev 4 that does not follow": {served}, "Schwabdev 3 that is started": {asks},
	} {
		if got, ok := said[name]; !ok || !slices.Equal(got, want) {
			b.t.Errorf("in the last hour of the login %s says %q, want %q", name, got, want)
		}
	}
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

// TestSchwabdevTokensAreKept: what somebody else has put into the file is not written over,
// unless it is of no use to anybody.
func TestSchwabdevTokensAreKept(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	mustHave(t, python3)
	const layout = `{"access_token_issued":"2026-01-02T%s","refresh_token_issued":"2026-01-02T%s","token_dictionary":{"access_token":"old","refresh_token":%q}}`
	for name, tt := range map[string]struct {
		holds   string
		code    int // 0: it is written over
		because string
	}{
		"an older token":                  {holds: fmt.Sprintf(layout, "08:00:00", "07:00:00", "")},
		"a login of a bot":                {fmt.Sprintf(layout, "08:00:00", "08:00:00", "the bot's"), 3, "a newer login, which a bot has made"},
		"our login, thought to be later":  {holds: fmt.Sprintf(layout, "08:00:00", "08:00:00", "")},
		"our login, with a refresh token": {holds: fmt.Sprintf(layout, "08:00:00", "08:00:00", "ours")},
		"a bot's token, imported since":   {holds: strings.ReplaceAll(fmt.Sprintf(layout, "09:00:00.5", "07:00:00", "the bot's"), `"old"`, `"new"`)},
		"nothing":                         {},
		"a part":                          {holds: layout[:40]},
		"tokens that lie side by side":    {`{"access_token":"old","refresh_token":"the bot's","issued":"2026-01-02T08:00:00"}`, 1, "not the layout of Schwabdev 2"},
		"no JSON":                         {"SQLite format 3\x00\xff", 1, "not the layout of Schwabdev 2"},
		"a list":                          {"[]", 1, "not the layout of Schwabdev 2"},
		"an encrypted token":              {fmt.Sprintf(layout, "08:00:00", "07:00:00", "enc:abc"), 4, "is encrypted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tokens := filepath.Join(t.TempDir(), "tokens.json")
			if err := os.WriteFile(tokens, []byte(tt.holds), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), python3, example("bots-schwab/schwabdev_tokens.py"), tokens)
			cmd.Stdin = strings.NewReader(`{"account":"main","access_token":"new","refresh_token":"ours","issued_at":"2026-01-02T09:00:00Z","expires":"2026-01-02T09:30:00Z","login_at":"2026-01-02T07:00:00Z"}`)
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != tt.code || !strings.Contains(string(out), tt.because) {
				t.Errorf("exit code %d, want %d because of %q:\n%s", code, tt.code, tt.because, out)
			}
			now, err := os.ReadFile(tokens)
			written := strings.Contains(string(now), `"access_token": "new"`) && strings.Contains(string(now), `"refresh_token": "ours"`)
			if err != nil || written != (tt.code == 0) || !written && string(now) != tt.holds {
				t.Errorf("the file holds %v %s", err, now)
			}
		})
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
