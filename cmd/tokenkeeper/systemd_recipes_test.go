package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// This file does in the machine what the unit, and the README beside it, tell people to
// do.

// served: bots that are users of their own read what a group of theirs may read, and
// nobody else does.
func (s *service) served() {
	s.t.Helper()
	now, _ := s.saxo.Current(saxoAccount)
	const file = "/var/lib/bots/" + saxoAccount + ".json"
	for _, bot := range []string{"alice", "bob"} {
		if out, err := s.as(bot, "cat", file); err != nil || !strings.Contains(out, now.AccessToken) || strings.Contains(out, now.RefreshToken) {
			s.t.Errorf("%s reads %d bytes: %v", bot, len(out), err)
		}
	}
	if out, err := s.as("keeper", "cat", file); err == nil {
		s.t.Errorf("somebody else reads %d bytes", len(out))
	}
}

// told: systemd shows how the worst account is, and the journal has priorities.
func (s *service) told() {
	s.t.Helper()
	s.await(func() bool {
		return s.property("StatusText") == "no token yet: "+sharedAccount+"; valid: 2 of 3"
	}, "systemd shows how the accounts are")
	if log := s.journal("debug", "tokenkeeper is ready"); strings.Contains(log, "time=") {
		s.t.Errorf("the journal has the time twice:\n%s", log)
	}
	if warnings := s.journal("warning", "no token yet of: "); strings.Contains(warnings, "tokenkeeper is ready") {
		s.t.Errorf("journalctl -p warning shows:\n%s", warnings)
	}
}

// journal waits until the service's lines of a priority, since its last start, hold a
// text, and returns them.
func (s *service) journal(priority, holds string) (lines string) {
	s.t.Helper()
	s.await(func() bool {
		lines = s.inside(s.t, "journalctl", "--no-pager", "-o", "cat", "-p", priority, "_SYSTEMD_INVOCATION_ID="+s.property("InvocationID"))
		return strings.Contains(lines, holds)
	}, "journalctl -p "+priority+" shows "+holds)
	return lines
}

// changes: nothing is stopped for a configuration that could not start; and one that
// is started all the same is tried until it is put right.
func (s *service) changes() {
	const name = "etc/tokenkeeper/tokenkeeper.yaml"
	good := readText(s.t, filepath.Join(s.root, name))
	if out, err := s.try("tokenkeeper", "check"); err == nil || !strings.Contains(out, "CREDENTIALS_DIRECTORY") {
		s.t.Errorf("a shell sees what the service sees: %v\n%s", err, out)
	}
	s.systemctl(s.t, "start", "tokenkeeper")
	main := s.mainPID()
	s.readme(s.t, "check --unit tokenkeeper.service && systemctl restart", "/")
	again := s.mainPID()
	if again == main {
		s.t.Error("it was not restarted")
	}
	again = s.upgraded(again)

	s.place(s.t, name, good+"alerts: {repeat: 5h}\n")
	s.readme(s.t, "systemctl reload", "/")
	s.journal("info", "alerts.repeat changed")
	s.place(s.t, name, good+"no_such_key: 1\n")
	if out, err := s.tryReadme(s.t, "systemctl reload", "/"); err == nil {
		s.t.Errorf("it is reloaded: %s", out)
	}
	s.journal("info", "no_such_key")
	if out, err := s.tryReadme(s.t, "check --unit tokenkeeper.service && systemctl restart", "/"); err == nil || !strings.Contains(out, "no_such_key") {
		s.t.Errorf("the check passes: %v\n%s", err, out)
	}
	if s.mainPID() != again {
		s.t.Error("the service was stopped for a configuration that can't start")
	}
	if out, err := s.try("systemctl", "restart", "tokenkeeper"); err == nil {
		s.t.Errorf("it starts: %s", out)
	}
	s.await(func() bool { return s.property("ExecMainStatus") == strconv.Itoa(exitConfig) }, "it ends for its configuration")
	s.journal("err", "no_such_key")
	s.place(s.t, name, good)
	s.await(func() bool { return s.property("ActiveState") == "active" }, "it is up again by itself")
}

// upgraded: a new version that is moved over the program runs after the README's restart,
// and until then the one of before is named. It returns the new main process.
func (s *service) upgraded(main int) int {
	s.t.Helper()
	const version = "v1.99.0"
	s.inside(s.t, "install", "-d", "/root/new")
	installVersion(s.t, filepath.Join(s.root, "usr/local/bin/tokenkeeper"), filepath.Join(s.root, "root/new/tokenkeeper"), version)
	s.readme(s.t, "tokenkeeper.new", "/root/new")
	if out := inOneLine(s.inside(s.t, "tokenkeeper", "status")); !strings.Contains(out, fmt.Sprintf("/usr/local/bin/tokenkeeper is another program than the one that the supervisor (PID %d) was started with", main)) {
		s.t.Errorf("the old version is not named:\n%s", out)
	}
	s.readme(s.t, "check --unit tokenkeeper.service && systemctl restart", "/")
	if out := s.inside(s.t, "tokenkeeper", "status"); !strings.HasPrefix(out, "tokenkeeper "+version+" ") || strings.Contains(out, "another program") {
		s.t.Errorf("after the restart:\n%s", out)
	}
	return s.mainPID()
}

// installed: who types what the README says has a service with its secret, and a first
// token in it, by root's own shell.
func (s *service) installed() {
	s.t.Helper()
	saxo := startBroker(s.t, brokersim.Config{Dialect: brokersim.Saxo, ClientSecret: "of-the-credential"})
	s.systemctl(s.t, "stop", "tokenkeeper")
	s.settle(s.t)
	s.inside(s.t, "gpasswd", "--delete", "bob", "bots")
	s.inside(s.t, "rm", "-rf", "/etc/tokenkeeper", "/etc/systemd/system/tokenkeeper.service", "/root/new")
	s.inside(s.t, "sh", "-ec", "install -d /root/new; mv /usr/local/bin/tokenkeeper /root/new/tokenkeeper")
	const account = "saxo-live"
	secret := "client_secret: " + saxo.Config().ClientSecret
	yaml := "accounts:\n" + strings.Replace(accountYAML(account, saxo, saxo.TokenURL(), "before_expiry: 5m"), secret, s.says("client_secret: ${file:"), 1)
	g := saxo.Grant(account)
	for name, content := range map[string]string{
		"tokenkeeper.yaml":    yaml + s.block("yaml fragment", "trust_folder"),
		"app_secret":          saxo.Config().ClientSecret + "\n",
		"secrets.conf":        s.block("ini", "LoadCredential=") + s.block("ini", "SupplementaryGroups="),
		"tokenkeeper.service": readText(s.t, filepath.Join(repository, "configs", "systemd", "tokenkeeper.service")),
		"saxo_tokens.json":    string(tokenFileOf(s.t, g, format.SaxoCache, g.IssuedAt)),
	} {
		s.place(s.t, filepath.Join("root/new", name), content)
	}
	s.readme(s.t, "systemctl enable --now", "/root/new")
	s.await(func() bool { return s.property("ActiveState") == "active" }, "it runs")
	bot := s.patient(account)
	if out, err := s.tryReadme(s.t, "tokenkeeper login saxo-live", "/root/new"); err == nil || !strings.Contains(out, "Open this address and log in:") || !strings.Contains(out, "no address was pasted") {
		s.t.Errorf("login: %v\n%s", err, out)
	}
	s.inside(s.t, "tokenkeeper", "login", account, "--cancel")
	if out := s.readme(s.t, "tokenkeeper import saxo-live", "/root/new"); !strings.Contains(out, account+": imported as v1") || !strings.Contains(out, "bots") {
		s.t.Errorf("root's shell shows:\n%s", out)
	}
	s.started(bot)
	s.ordered()
	run := s.follow(s.t, ownState)
	run.refreshed(account)
	run.delivered(account, 2)
	now, _ := saxo.Current(account)
	s.servesOneBot(account, now.AccessToken)
	s.examined()
	if out, err := s.as("alice", "tokenkeeper", "status", "--socket", "/var/lib/tokenkeeper/control.sock"); err == nil {
		s.t.Errorf("somebody else sees:\n%s", out)
	}
	s.readsItself(account, now.AccessToken, saxo)
}

// readsItself: with what the README says of bots that ask, alice has the token of her account and
// of no other one, and bob has none.
func (s *service) readsItself(account, token string, saxo *brokersim.Server) {
	s.t.Helper()
	const name, other = "etc/tokenkeeper/tokenkeeper.yaml", "saxo-other"
	text := strings.Replace(readText(s.t, filepath.Join(s.root, name)), "accounts:\n", "accounts:\n"+accountYAML(other, saxo, saxo.TokenURL(), "before_expiry: 5m"), 1)
	s.place(s.t, name, text+s.block("yaml fragment", "readers:"))
	s.place(s.t, "etc/systemd/system/tokenkeeper.service.d/readers.conf", s.block("ini", "RuntimeDirectoryMode="))
	s.systemctl(s.t, "daemon-reload")
	s.systemctl(s.t, "restart", "tokenkeeper")
	if out, err := s.as("alice", "tokenkeeper", "token", account); err != nil || strings.TrimSpace(out) != token {
		s.t.Errorf("alice reads %d bytes, and not the token: %v", len(out), err)
	}
	if out, err := s.as("bob", "tokenkeeper", "token", account); err == nil || !strings.Contains(inOneLine(out), "{user: bob, accounts: ["+account+"]}") {
		s.t.Errorf("bob reads %d bytes: %v", len(out), err)
	}
	g := saxo.Grant(other)
	s.place(s.t, "root/new/other.json", string(tokenFileOf(s.t, g, format.SaxoCache, g.IssuedAt)))
	s.shows(exitOK, "import "+other+" /root/new/other.json", other+": imported as v1")
	s.shows(exitOK, "token "+other, g.AccessToken)
	for _, bot := range []string{"alice", "bob"} {
		out, err := s.as(bot, "tokenkeeper", "token", other)
		if err == nil || !strings.Contains(inOneLine(out), "{user: "+bot+", accounts: ["+other+"]}") || strings.Contains(out, g.AccessToken) {
			s.t.Errorf("%s asks for another's: %v\n%s", bot, err, strings.ReplaceAll(out, g.AccessToken, "(the token)"))
		}
	}
	if out, err := s.as("alice", "tokenkeeper", "status"); err != nil || !strings.Contains(out, account) || strings.Contains(out, other) {
		s.t.Errorf("alice sees: %v\n%s", err, out)
	}
	s.inside(s.t, "rm", "/etc/systemd/system/tokenkeeper.service.d/readers.conf")
}

// says is what the README has in one pair of backquotes, and begins with text.
func (s *service) says(text string) string {
	s.t.Helper()
	_, after, found := strings.Cut(readText(s.t, filepath.Join(repository, "configs", "systemd", "README.md")), "`"+text)
	line, _, closed := strings.Cut(after, "`")
	if !found || !closed {
		s.t.Fatalf("the README does not say `%s", text)
	}
	return text + line
}

// block is the README's block in a language that holds a text.
func (s *service) block(language, holds string) string {
	s.t.Helper()
	for _, block := range fenced(s.t, filepath.Join(repository, "configs", "systemd", "README.md"), language) {
		if strings.Contains(block, holds) {
			return block
		}
	}
	s.t.Fatalf("the README has no block in %s with %q", language, holds)
	return ""
}

// servesOneBot: with what the README says of the bots' folder, alice alone in the group
// reads what is delivered there; and check refuses it without the key that it names.
func (s *service) servesOneBot(account, token string) {
	s.t.Helper()
	if out, err := s.as("alice", "cat", "/var/lib/bots/"+account+".json"); err != nil || !strings.Contains(out, token) {
		s.t.Errorf("alice reads %d bytes, and not the token: %v", len(out), err)
	}
	const untrusting = "etc/tokenkeeper/untrusting.yaml"
	text := readText(s.t, filepath.Join(s.root, "etc/tokenkeeper/tokenkeeper.yaml"))
	s.place(s.t, untrusting, strings.Replace(text, "trust_folder: true", "trust_folder: false", 1))
	out, err := s.try("tokenkeeper", "check", "--unit", "tokenkeeper.service", "-c", "/"+untrusting)
	if err == nil || !strings.Contains(inOneLine(out), "can be changed by the group bots") {
		s.t.Errorf("without the key, check: %v\n%s", err, out)
	}
}

// moves readies the machine for another service's place: the unit as it stands, no
// state, and what the README's commands take.
func (s *service) moves(broker string, files map[string]string) {
	s.t.Helper()
	s.systemctl(s.t, "stop", "tokenkeeper")
	s.settle(s.t)
	s.place(s.t, "etc/systemd/system/tokenkeeper.service.d/test.conf", "[Service]\n"+soonEnough+"Environment="+broker+"\n")
	s.place(s.t, "etc/systemd/system/old-token-service.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n")
	for name, content := range files {
		s.place(s.t, filepath.Join("root/new", name), content)
	}
	s.systemctl(s.t, "daemon-reload")
	s.systemctl(s.t, "start", "old-token-service")
}

// moved follows the service in its new place, whose user is none of systemd's.
func (s *service) moved() *running {
	s.t.Helper()
	if active := strings.TrimSpace(s.systemctl(s.t, "show", "-p", "ActiveState", "--value", "old-token-service")); active != "inactive" {
		s.t.Errorf("the old service is %s", active)
	}
	return s.follow(s.t, "var/lib/tokenkeeper")
}

// mustBe fails the test unless a file has that owner and mode.
func (s *service) mustBe(path, user string, mode os.FileMode) {
	s.t.Helper()
	info, err := os.Stat(filepath.Join(s.root, path))
	if err != nil {
		s.t.Fatal(err)
	}
	uid := strings.TrimSpace(s.inside(s.t, "id", "-u", user))
	if st := info.Sys().(*syscall.Stat_t); strconv.Itoa(int(st.Uid)) != uid || info.Mode().Perm() != mode {
		s.t.Errorf("%s is of user %d with mode %o, want %s (%s) and %o", path, st.Uid, info.Mode().Perm(), user, uid, mode)
	}
}

// on switches on what an example shows in a comment.
func on(text string, lines ...string) string {
	for _, line := range lines {
		text = strings.NewReplacer("#"+line+"\n", line+"\n", "# "+line+"\n", line+"\n").Replace(text)
	}
	return text
}

// schwabBot listens in /tmp, answers OK and keeps what it hears.
const schwabBot = `use IO::Socket::UNIX;
unlink "/tmp/token.sock";
my $door = IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => "/tmp/token.sock", Listen => 5) or die "$!";
while (my $peer = $door->accept) {
	$peer->sysread(my $message, 65536);
	open(my $heard, ">>", "/home/bot/heard") or die "$!";
	syswrite $heard, $message;
	close $heard;
	$peer->syswrite("OK");
}
`

// sendsSchwab: the token file lies in a home directory, and the bot's socket in /tmp,
// and both are the same user's.
func (s *service) sendsSchwab() {
	schwab := startBroker(s.t, brokersim.Config{Dialect: brokersim.Schwab, ClientID: "the-key", ClientSecret: "the-secret"})
	const folder = "/home/bot/schwab"
	configs := filepath.Join(repository, "configs")
	s.moves("TOKENKEEPER_PROVIDERS__SCHWAB__SETTINGS__TOKEN_URL="+schwab.TokenURL(), map[string]string{
		"schwab-sender.yaml": strings.NewReplacer("/var/lib/bots/", folder+"/", "/run/bot/", "/tmp/").Replace(readText(s.t, filepath.Join(configs, "schwab-sender.yaml"))),
		"schwab.yaml":        "app_key: the-key\napp_secret: the-secret\n",
		"schwab-sender.conf": on(readText(s.t, filepath.Join(configs, "systemd", "schwab-sender.conf")), "ProtectHome=tmpfs", "BindPaths="+folder, "PrivateTmp=no"),
	})
	g := schwab.Grant("schwab-main")
	s.place(s.t, folder+"/schwab_tokens.json", fmt.Sprintf(`{"creation_timestamp": %d, "token": {"expires_in": 1800, "token_type": "Bearer", "scope": "api", "refresh_token": %q, "access_token": %q, "expires_at": %d}}`,
		time.Now().Add(-48*time.Hour).Unix(), g.RefreshToken, g.AccessToken, time.Now().Add(-time.Hour).Unix()))
	s.place(s.t, "usr/local/bin/schwab-bot", schwabBot)
	s.place(s.t, "etc/systemd/system/bot.service", "[Service]\nUser=bot\nExecStart=/usr/bin/perl /usr/local/bin/schwab-bot\n")
	s.inside(s.t, "sh", "-ec", "chown -R bot:bot "+folder+"; chmod 700 "+folder+"; chmod 600 "+folder+"/*; rm -f /home/bot/heard; systemctl daemon-reload; systemctl restart bot")
	defer func() { s.systemctl(s.t, "stop", "bot") }()

	said := s.readme(s.t, "schwab-sender.conf", "/root/new", "/var/lib/bots", folder)
	if !strings.Contains(said, "schwab-main: imported as v1") {
		s.t.Errorf("nothing was imported:\n%s", said)
	}
	run := s.moved()
	run.delivered("schwab-main", 2)
	now, _ := schwab.Current("schwab-main")
	if body := string(readFile(s.t, filepath.Join(s.root, folder, "schwab_tokens.json"))); !strings.Contains(body, now.AccessToken) || !strings.Contains(body, now.RefreshToken) {
		s.t.Error("the file does not hold the newest token")
	}
	s.mustBe(folder+"/schwab_tokens.json", "bot", 0o600)
	if heard, err := os.ReadFile(filepath.Join(s.root, "home/bot/heard")); err != nil || !strings.Contains(string(heard), now.AccessToken) {
		s.t.Errorf("the bot has heard %d bytes, and not the token: %v", len(heard), err)
	}
	mustHavePosted(s.t, schwab, "schwab-main", 1)
}

// keepsSaxo: bots that are users of their own read the token file under its lock, and
// write to it.
func (s *service) keepsSaxo() {
	saxo := startBroker(s.t, brokersim.Config{
		Dialect: brokersim.Saxo, ClientID: "the-key", ClientSecret: "the-secret", RedirectURL: "http://localhost:8765/callback",
		RefreshLifetime: brokersim.SaxoLiveRefreshLifetime,
	})
	const account, file = "saxo-live", "/var/lib/bots/saxo_tokens.json"
	configs := filepath.Join(repository, "configs")
	s.moves("TOKENKEEPER_ACCOUNTS__SAXO_LIVE__SETTINGS__TOKEN_URL="+saxo.TokenURL(), map[string]string{
		"saxo-keeper.yaml": on(readText(s.t, filepath.Join(configs, "saxo-keeper.yaml")), "trust_folder: true"),
		"saxo-keeper.conf": readText(s.t, filepath.Join(configs, "systemd", "saxo-keeper.conf")),
	})
	g := saxo.Grant(account)
	s.place(s.t, file, fmt.Sprintf("{\n  \"access_token\": %q,\n  \"refresh_token\": %q,\n  \"token_expiry\": %q,\n  \"app_key\": \"the-key\",\n  \"app_secret\": \"the-secret\"\n}\n",
		g.AccessToken, g.RefreshToken, time.Now().UTC().Add(-10*time.Minute).Format("2006-01-02T15:04:05.000000")))
	issued := time.Now().Add(-29 * time.Minute)
	if err := os.Chtimes(filepath.Join(s.root, file), issued, issued); err != nil {
		s.t.Fatal(err)
	}
	s.inside(s.t, "sh", "-ec", "chown keeper:bots "+file+"; chmod 660 "+file)

	s.readme(s.t, "saxo-keeper.conf", "/root/new")
	run := s.moved()
	run.delivered(account, 2)
	now, _ := saxo.Current(account)
	locked := func(bot, do string) {
		s.t.Helper()
		if out, err := s.as(bot, "flock", file+".lock", "sh", "-ec", do); err != nil {
			s.t.Errorf("%s can't use the file: %v\n%s", bot, err, out)
		}
	}
	for _, bot := range []string{"alice", "bob"} {
		locked(bot, "grep -q "+now.AccessToken+" "+file)
	}
	if out, err := s.as("bob", "cat", "/var/lib/bots/saxo_access.json"); err != nil || !strings.Contains(out, now.AccessToken) || strings.Contains(out, now.RefreshToken) {
		s.t.Errorf("who only reads gets %d bytes: %v", len(out), err)
	}
	locked("alice", `text=$(sed 's/^}/,"bot": "alice"}/' `+file+`); printf '%s\n' "$text" >`+file)
	version := versionOf(run, account)
	run.refreshed(account)
	run.delivered(account, version+1)
	now, _ = saxo.Current(account)
	if body := string(readFile(s.t, filepath.Join(s.root, file))); !strings.Contains(body, now.RefreshToken) || !strings.Contains(body, "alice") || !strings.Contains(body, "the-secret") {
		s.t.Error("the file lacks the newest token, or what was there beside it")
	}
	s.mustBe(file, "keeper", 0o660)
	if reused := saxo.Reused(); len(reused) > 0 {
		s.t.Errorf("used twice: %v", reused)
	}
}

// versionOf is the account's version now.
func versionOf(r *running, name string) uint64 {
	r.t.Helper()
	return account(r.until(func(st control.Status) bool { return !account(st, name).InFlight }), name).Version
}
