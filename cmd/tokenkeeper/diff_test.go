package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config/difference"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// sampleDifference is one that has everything.
func sampleDifference() control.ConfigDifference {
	return control.ConfigDifference{
		Now: now, PID: 4242, StartedAt: now.Add(-76 * time.Hour), Config: "/etc/tokenkeeper/tokenkeeper.yaml", Changed: true, WrittenAt: now.Add(-18 * time.Minute),
		Difference: difference.Difference{
			Accounts: difference.Section{
				Added: []string{"saxo-new"}, Removed: []string{"key", "old", "unused"},
				Changed: []difference.Change{{Name: "schwab-main", Keys: []string{"client_secret", "refresh.every"}}},
			},
			Providers: difference.Section{Changed: []difference.Change{{Name: "schwab", Keys: []string{"command"}}}},
			Sinks:     difference.Section{Added: []string{"phone"}},
			Keys:      []string{"alerts.repeat"}, Fixed: []string{"state_dir"},
		},
		Left: []control.LeftLogin{
			{Account: "key", Provider: "schwab", Way: control.WayMint, Expiry: now.Add(20 * time.Minute)},
			{Account: "old", Provider: "schwab", Way: control.WayRefresh, Expiry: now.Add(20 * time.Minute), RefreshExpiry: now.Add(80 * time.Hour), RefreshExpiryUncertain: true},
			{Account: "unused", Provider: "schwab"},
		},
	}
}

func TestDiff(t *testing.T) {
	f := &fake{differs: sampleDifference()}
	socket, _, _ := serve(t, f)
	const all = `/etc/tokenkeeper/tokenkeeper.yaml, written 14:02:00 18m ago, says otherwise than
  what the supervisor (PID 4242, started 3d ago) runs with:

CHANGE   WHAT      NAME         KEYS
new      account   saxo-new
gone     account   key
  └ from then on nobody mints its tokens: the last one lives until 14:40:00 in
    20m
gone     account   old
  └ from then on nobody refreshes it: its access token lives until 14:40:00 in
    20m, its login until ~Sep 17 22:20 in 3d
gone     account   unused
  └ it has no token
changed  account   schwab-main  client_secret, refresh.every
changed  provider  schwab       command
new      sink      phone
changed  -         -            state_dir, alerts.repeat

state_dir can't change while it runs. To use it: tokenkeeper check, then stop
  the supervisor and start it again (systemctl restart tokenkeeper)
`
	command(t, "", "diff", "--socket", socket).says(t, exitDiffers, all)
	got := command(t, "", "diff", "--socket", socket, "--json")
	if d := decode[control.ConfigDifference](t, got.stdout); got.code != exitDiffers || got.stderr != "" || d.String() != f.differs.String() || len(d.Left) != 3 {
		t.Errorf("%+v", got)
	}

	f.differs.Fixed, f.differs.Accounts.Removed, f.differs.Left = nil, nil, nil
	const moved = `CHANGE   WHAT      NAME         KEYS
new      account   saxo-new
changed  account   schwab-main  client_secret, refresh.every
changed  provider  schwab       command
new      sink      phone
changed  -         -            alerts.repeat
`
	command(t, "", "reload", "--dry-run", "--socket", socket).says(t, exitOK, all[:strings.Index(all, "CHANGE")]+moved+"\nTo use it: tokenkeeper reload (systemctl reload tokenkeeper)\n")
	command(t, "", "reload", "--socket", socket).says(t, exitOK, "the supervisor (PID 4242) goes on with /etc/tokenkeeper/tokenkeeper.yaml:\n\n"+moved)
	got = command(t, "", "reload", "--socket", socket, "--json")
	if a := decode[control.ReloadAnswer](t, got.stdout); got.code != exitOK || a.PID != 4242 || a.String() != f.differs.String() {
		t.Errorf("%+v", got)
	}

	f.differs.FixedReferences = []string{"${env:SAXO_APP_KEY}", "${env:SAXO_APP_SECRET}", "${file:${env:CREDENTIALS_DIRECTORY}/schwab}"}
	const given = `
Not read again, as a process is given them once, at its start:
  ${env:SAXO_APP_KEY}, ${env:SAXO_APP_SECRET},
  ${file:${env:CREDENTIALS_DIRECTORY}/schwab}. For a new value of those restart
  the service
`
	command(t, "", "reload", "--socket", socket).says(t, exitOK, "the supervisor (PID 4242) goes on with /etc/tokenkeeper/tokenkeeper.yaml:\n\n"+moved+given)

	f.differs = control.ConfigDifference{PID: 4242, StartedAt: now.Add(-76 * time.Hour), Config: "/tk.yaml"}
	command(t, "", "diff", "--socket", socket).says(t, exitOK, "/tk.yaml says what the supervisor (PID 4242, started 3d ago) runs with\n")

	command(t, "", "reload", "--socket", socket).says(t, exitOK, "/tk.yaml says what the supervisor (PID 4242) runs with: nothing was changed\n")

	f.differs.Changed, f.differs.Problems = true, []string{"/tk.yaml:3:1: acounts: unknown key", "/tk.yaml: accounts: there is no account"}
	command(t, "", "diff", "--socket", socket).says(t, exitUsage,
		"/tk.yaml can't be used: a start with it would fail. Until then the supervisor\n  (PID 4242, started 3d ago) goes on with what it has\n"+
			"/tk.yaml:3:1: acounts: unknown key\n/tk.yaml: accounts: there is no account\n")
	if got := command(t, "", "diff", "--socket", socket, "--json"); got.code != exitUsage || len(decode[control.ConfigDifference](t, got.stdout).Problems) != 2 {
		t.Errorf("%+v", got)
	}
}

func TestReloadTellsProblems(t *testing.T) {
	refused := control.Errorf(control.CodeConflict, "/tk.yaml:3:1: acounts: unknown key")
	refused.Problems = []control.Problem{{File: "/tk.yaml", Line: 3, Column: 1, Key: "acounts", Message: "unknown key"}}
	socket, _, _ := serve(t, &fake{refused: refused})
	got := command(t, "", "reload", "--socket", socket, "--json")
	if f := failureIn(t, got); got.code != exitFailure || len(f.Problems) != 1 || f.Problems[0] != finding(refused.Problems[0]) {
		t.Errorf("exit code %d, %+v", got.code, f)
	}
}

func TestDiffFitsColumns(t *testing.T) {
	long := func(of string) string { return of + strings.Repeat("-and-more", 9) }
	d := sampleDifference()
	d.Config, d.Accounts.Added = "/"+long("etc"), []string{long("new")}
	d.Sinks.Changed = []difference.Change{{Name: long("sink"), Keys: slices.Repeat([]string{"include_refresh_token"}, 6)}}
	fitsColumns(t, renderDifference(d, now, painter{}, narrow), "/"+long("etc"), long("new"), long("sink"))
}

// What differs is said by the verbs that look, and so is that a start would fail.
func TestStatusSaysWhatDiffers(t *testing.T) {
	s := sampleStatus()
	s.ConfigChanged, s.ConfigWrittenAt, s.ConfigDifference = true, now.Add(-18*time.Minute), "account saxo-new is new"
	socket, _, _ := serve(t, &fake{status: func() control.Status { return s }})
	says := func(want string) {
		t.Helper()
		for _, args := range []string{"status", "restart schwab"} {
			got := command(t, "", append(strings.Fields(args), "--socket", socket)...)
			if text := inOneLine(got.stdout + got.stderr); !strings.Contains(text, want) {
				t.Errorf("%s says\n%s", args, text)
			}
		}
	}
	says(`goes on with the old one. In the new one (written 14:02:00 18m ago): account saxo-new is new; "tokenkeeper diff" shows it. To use the new one: tokenkeeper reload`)
	s.ConfigReloadError, s.ConfigReloadFailedAt = "tk.yaml:9: accounts.main.refresh.budget: remove the line", now.Add(-time.Minute)
	says(`"tokenkeeper diff" shows it. Mend that, and then: tokenkeeper reload`)
	s.ConfigReloadFailedAt = s.ConfigWrittenAt.Add(-time.Minute)
	says(`"tokenkeeper diff" shows it. To use the new one: tokenkeeper reload`)
	s.ConfigReloadError, s.ConfigReloadFailedAt = "", time.Time{}
	if got := command(t, "", "status", "--check", "--socket", socket); strings.Contains(got.stdout, "configuration") {
		t.Errorf("%s", got.stdout)
	}
	s.ConfigDifference, s.ConfigProblem = "", "tk.yaml:3:1: acounts: unknown key"
	says("A start with the new one (written 14:02:00 18m ago) would fail: tk.yaml:3:1: acounts: unknown key")
	if got := command(t, "", "status", "--check", "--socket", socket); !strings.Contains(got.stdout, "a start with the new configuration would fail") {
		t.Errorf("%s", got.stdout)
	}
}

// Who asks a supervisor for an account that only the file has is told so, and is not
// told of the file twice.
func TestStatusOfAnAccountThatOnlyTheFileHas(t *testing.T) {
	s := sampleStatus()
	s.ConfigChanged = true
	socket, _, _ := serve(t, &fake{status: func() control.Status { return s }, differs: sampleDifference()})
	got := command(t, "", "status", "saxo-new", "--socket", socket)
	got.says(t, exitFailure, "", `tokenkeeper: /etc/tokenkeeper/tokenkeeper.yaml, written 14:02:00 18m ago, has account "saxo-new", `+
		"and the running supervisor (PID 4242, started 3d ago) does not know it yet. To use it: tokenkeeper reload (systemctl reload tokenkeeper)")
	if strings.Contains(got.stderr, "warning") {
		t.Errorf("%s", got.stderr)
	}
	if got := command(t, "", "status", "saxo-new", "--socket", socket, "--json"); !strings.Contains(got.stderr, `"in_file":true`) {
		t.Errorf("%s", got.stderr)
	}
	command(t, "", "status", "saxo-nwe", "--socket", socket).says(t, exitFailure, "", `no account is named "saxo-nwe"`, "has changed since the supervisor")
}

// Who names another file than the one that runs is not told about that one as if it were his.
func TestDiffOfAnotherFile(t *testing.T) {
	dir := t.TempDir()
	runs, same, other := filepath.Join(dir, "tk.yaml"), filepath.Join(dir, "link.yaml"), filepath.Join(dir, "other.yaml")
	write(t, runs, "accounts: {}\n")
	write(t, other, "accounts: {}\n")
	if err := os.Symlink(runs, same); err != nil {
		t.Fatal(err)
	}
	f := &fake{differs: sampleDifference(), status: func() control.Status {
		s := sampleStatus()
		s.Config = runs
		return s
	}}
	socket, _, _ := serve(t, f)
	for _, args := range [][]string{{"diff"}, {"reload", "--dry-run"}, {"reload"}} {
		args = append(args, "--socket", socket)
		if got := command(t, "", append(args, "-c", same)...); got.code == exitUsage || got.stderr != "" {
			t.Errorf("%v: %+v", args, got)
		}
		command(t, "", append(args, "-c", other)...).says(t, exitUsage, "", "tokenkeeper: the supervisor (PID 4242) runs with "+runs+", and reads that file alone",
			"tokenkeeper check -c "+other)
	}
	socket, _, _ = serve(t, &fake{differs: sampleDifference()}) // whose file is nowhere here
	if got := command(t, "", "reload", "--socket", socket, "-c", other); got.code != exitOK || !strings.Contains(got.stderr, "can't be seen from here: it reads that file, whatever "+other+" says") {
		t.Errorf("%+v", got)
	}
}
