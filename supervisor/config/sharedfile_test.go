package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// shared is an account with a shared file, given as a flow mapping.
func shared(name, file string) string {
	return "  " + name + ": {provider: saxo, client_id: id, client_secret: s, shared_file: " + file + "}\n"
}

func TestSharedFile(t *testing.T) {
	src := source(t, "accounts:\n"+
		shared("a", "{path: bots/a.json, format: saxo-cache}")+
		shared("b", "{path: /b.json, lock: bots/lock, format: schwab-py, timezone: Europe/Copenhagen, unsafe_filesystem: true}")+
		shared("c", "")+
		"  d: {provider: saxo, client_id: id, client_secret: s}\n"+
		"sinks:\n  s: {type: webhook, url: \"https://x\", secret: whsec_MTIz}\n",
		"TOKENKEEPER_ACCOUNTS__D__SHARED_FILE__PATH=/d.json", "TOKENKEEPER_ACCOUNTS__D__SHARED_FILE__FORMAT=json")
	bots := filepath.Join(src.Dir, "bots")
	if err := os.Mkdir(bots, 0o700); err != nil {
		t.Fatal(err)
	}
	cfg, warnings, err := config.Load(src)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v\n%v", warnings, err)
	}
	for name, want := range map[string]*config.SharedFile{
		"a": {Path: bots + "/a.json", Lock: bots + "/a.json.lock", Format: "saxo-cache"},
		"b": {Path: "/b.json", Lock: bots + "/lock", Format: "schwab-py", Timezone: "Europe/Copenhagen", UnsafeFilesystem: true},
		"c": nil,
		"d": {Path: "/d.json", Lock: "/d.json.lock", Format: "json"},
	} {
		got := cfg.Accounts[name].SharedFile
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestSharedFileProblems(t *testing.T) {
	for name, tt := range map[string]struct{ accounts, rest, want string }{
		"nothing needed is there": {
			shared("a", "{timezone: Mars/Base}"), "",
			`tokenkeeper.yaml:2:56: accounts.a.shared_file.format: the shared file has no format; write format: saxo-cache, or whichever its programs use
tokenkeeper.yaml:2:56: accounts.a.shared_file.path: the shared file has no path; write path: /var/lib/bots/token.json
tokenkeeper.yaml:2:80: accounts.a.shared_file.timezone: unknown time zone "Mars/Base"; write one like Europe/Copenhagen, and install the package tzdata if it is missing`,
		},
		"unknown format and key": {
			shared("a", "{path: DIR/a, format: saxo-cash, unsafe: true}"), "",
			`format: unknown format "saxo-cash"; did you mean "saxo-cache"?
unsafe: unknown key; known here: format, lock, path, timezone, trust_folder, unsafe_filesystem`,
		},
		"its own lock": {
			shared("a", "{path: DIR/a, lock: DIR/x/../a, format: json}"), "",
			`lock: the file can't be its own lock, because it is replaced at each write; name the file that the other programs lock, or remove the line`,
		},
		"its own lock through a link": {
			shared("a", "{path: DIR/a, lock: DIR/linked/a, format: json}"), "",
			`lock: the file can't be its own lock, because it is replaced at each write; name the file that the other programs lock, or remove the line`,
		},
		"a link": {
			shared("a", "{path: DIR/link.json, format: json}"), "",
			`path: is a symbolic link, which a write would replace; write the path of the file that it names, and lock: the file that the other programs lock`,
		},
		"a folder": {
			shared("a", "{path: DIR/linked/folder, format: json}"), "",
			`path: is a folder; move it away, or choose another path`,
		},
		"two accounts on one file": {
			shared("a", "{path: DIR/a, format: json}") + shared("b", "{path: DIR/linked/a, format: json}"), "",
			`path: the file is the shared file of account "a" (line 2) too; choose another path; a grant has one account`,
		},
		"another account's file as the lock": {
			shared("a", "{path: DIR/a, format: json, lock: DIR/b}") + shared("b", "{path: DIR/b, format: json}"), "",
			`lock: the lock is the shared file of account "b" (line 3) too; choose another file, the one that the other programs lock`,
		},
		"a sink on the one lock of two accounts": {
			shared("a", "{path: DIR/a, format: json, lock: DIR/lock}") + shared("b", "{path: DIR/b, format: json, lock: DIR/lock}"),
			"sinks:\n  s: {type: file, path: DIR/lock, accounts: [a]}\n",
			`path: the file for account "a" is that of the lock of the shared file of account "a" (line 2) too; choose another path`,
		},
		"a sink on it": {
			shared("a", "{path: DIR/a.json, format: json}"), "sinks:\n  s: {type: file, path: \"DIR/linked/{account}.json\"}\n",
			`path: the file for account "a" is the shared file of account "a" (line 2); choose another path, or remove the sink: a shared file gets every new token`,
		},
		"the log": {
			shared("a", "{path: DIR/log, format: json}"), "log: {file: DIR/linked/log}\n",
			`path: the file is log.file too; choose another path; a grant has one account`,
		},
		"no mapping": {
			shared("a", "yes"), "",
			`shared_file: wrong type: this must be a mapping (key: value), not text`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, err := range []error{
				os.Symlink(dir, filepath.Join(dir, "linked")), os.Symlink("nowhere", filepath.Join(dir, "link.json")),
				os.Mkdir(filepath.Join(dir, "folder"), 0o700),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			_, _, err := config.Load(source(t, strings.ReplaceAll("accounts:\n"+tt.accounts+tt.rest, "DIR", dir)))
			if err == nil {
				t.Fatal("it was loaded")
			}
			got, want := strings.Split(err.Error(), "\n"), strings.Split(tt.want, "\n")
			if len(got) != len(want) {
				t.Fatalf("got:\n%s\nwant:\n%s", err, tt.want)
			}
			for i := range want {
				if !strings.HasSuffix(got[i], want[i]) {
					t.Errorf("got:\n%s\nwant:\n%s", got[i], want[i])
				}
			}
		})
	}
}

func TestSharedFileWarnings(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open.json")
	if err := os.WriteFile(open, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	_, warnings, err := config.Load(source(t, "accounts:\n"+
		shared("a", "{path: "+open+", format: json}")+
		shared("b", "{path: "+dir+"/no/b.json, format: json}")+
		"sinks:\n  s: {type: webhook, url: \"https://x\", secret: whsec_MTIz}\n"))
	if err != nil || len(warnings) != 2 {
		t.Fatalf("%v, %v", warnings, err)
	}
	if w := warnings[0].String(); !strings.Contains(w, "everyone on this machine can read the refresh token (mode 0644), and this mode is kept; chmod 600") {
		t.Error(w)
	}
	if w := warnings[1].String(); !strings.Contains(w, "there is no directory "+dir+"/no here; create it") {
		t.Error(w)
	}
	if info, err := os.Stat(open); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the mode is now %v, %v", info.Mode(), err)
	}
}
