package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// write makes a file with exactly that mode, whatever the umask.
func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

const canary = "canary-9c1f"

// secretFiles are what the references of the tests refer to.
func secretFiles(t *testing.T, dir string) {
	t.Helper()
	for name, content := range map[string]string{
		"plain":     canary + "\n",
		"lines":     "\n" + canary + "\n\n\r\n",
		"app.yaml":  "app: {secret: " + canary + ", none: }\na.b: " + canary + "-dots\nn: 017\n",
		"app.json":  `{"app": {"secret": "` + canary + `"}, "list": ["` + canary + `"]}`,
		"empty":     "\n",
		"bad.yaml":  "a: *" + canary + "\n",
		"binary":    "\xff\xfe" + canary,
		"braces":    "${env:CANARY}",
		"creds/app": canary,
	} {
		write(t, filepath.Join(dir, name), content, 0o600)
	}
}

func TestReferences(t *testing.T) {
	for ref, want := range map[string]string{
		"${env:CANARY}":                 canary,
		"a-${env:CANARY}-${env:TWO}-z":  "a-" + canary + "-2-z",
		"${file:plain}":                 canary,
		"${file:lines}":                 canary,
		"${file:app.yaml#app.secret}":   canary,
		"${file:app.yaml#a.b}":          canary + "-dots",
		"${file:app.yaml#n}":            "017",
		"${file:app.json#app.secret}":   canary,
		"${file:${env:DIR}/creds/app}":  canary,
		"${file:braces}":                "${env:CANARY}", // once only
		"$${env:CANARY}":                "${env:CANARY}",
		"$$ ${env:TWO}$":                "$$ 2$",
		"{account} $CANARY ${env:TWO}}": "{account} $CANARY 2}",
	} {
		t.Run(ref, func(t *testing.T) {
			src := source(t, "", "CANARY="+canary, "TWO=2")
			src.Environ = environ(append(src.Environ(), "DIR="+src.Dir)...)
			src.Bytes = fmt.Appendf(nil, "accounts:\n  a:\n    provider: saxo\n    client_id: '%s'\n    client_secret: '%[1]s'\n    settings: {s: '%[1]s'}\n", ref)
			secretFiles(t, src.Dir)
			cfg, _ := load(t, src)
			a := cfg.Accounts["a"]
			for key, got := range map[string]string{"client_id": a.ClientID, "client_secret": a.ClientSecret.Reveal(), "settings.s": a.Settings["s"]} {
				if got != want {
					t.Errorf("%s = %q, want %q", key, got, want)
				}
			}
		})
	}
}

// What a process is given once is named, as it is written, whatever it is used for.
func TestFixedReferences(t *testing.T) {
	src := source(t, `accounts:
  a: {provider: saxo, client_id: "${env:TWO}", client_secret: "x${env:CANARY}", settings: {s: "${file:plain}", u: "${env:TWO}"}}
  b: {provider: saxo, client_id: "${file:${env:CREDENTIALS_DIRECTORY}/app.yaml#app.secret}", settings: {s: "${file:creds/app}", u: "${file:${env:BESIDE}/app}"}}
`, "CANARY="+canary, "TWO=2", "UNUSED=3")
	dir := filepath.Join(src.Dir, "given")
	src.Environ = environ(append(src.Environ(), "CREDENTIALS_DIRECTORY="+dir+"/", "BESIDE="+src.Dir+"/creds")...)
	secretFiles(t, src.Dir)
	secretFiles(t, dir)
	cfg, _ := load(t, src)
	want := []string{"${env:BESIDE}", "${env:CANARY}", "${env:TWO}", "${file:${env:CREDENTIALS_DIRECTORY}/app.yaml#app.secret}"}
	if !slices.Equal(cfg.FixedReferences, want) {
		t.Errorf("%q", cfg.FixedReferences)
	}
	if cfg, _ := load(t, source(t, account)); len(cfg.FixedReferences) != 0 {
		t.Errorf("%q, and there is no reference", cfg.FixedReferences)
	}
}

// So is a secret that a variable of its own puts in the place of what the file says; what refers
// to a file is read again.
func TestFixedOverrides(t *testing.T) {
	src := source(t, `accounts:
  a-b: {provider: saxo, client_id: "1", client_secret: "${env:CANARY}"}
  c: {provider: saxo, client_id: "2", client_secret: "${env:CANARY}"}
`)
	secretFiles(t, src.Dir)
	src.Environ = environ(append(src.Environ(), "CANARY="+canary, "TOKENKEEPER_ACCOUNTS__A_B__CLIENT_SECRET=other", "TOKENKEEPER_ACCOUNTS__A_B__SETTINGS__APP_PASSWORD=x",
		"TOKENKEEPER_METRICS__TOKEN=0123456789abcdef0123456789abcdef", "TOKENKEEPER_METRICS__LISTEN=127.0.0.1:9464",
		"TOKENKEEPER_ACCOUNTS__C__CLIENT_SECRET=${file:"+src.Dir+"/plain}", "TOKENKEEPER_ACCOUNTS__C__CLIENT_ID=3", "TOKENKEEPER_LOG__LEVEL=debug")...)
	cfg, _ := load(t, src)
	want := []string{"TOKENKEEPER_ACCOUNTS__A_B__CLIENT_SECRET", "TOKENKEEPER_ACCOUNTS__A_B__SETTINGS__APP_PASSWORD", "TOKENKEEPER_METRICS__TOKEN"}
	if !slices.Equal(cfg.FixedReferences, want) {
		t.Errorf("%q", cfg.FixedReferences)
	}
}

func TestBadReferences(t *testing.T) {
	for ref, want := range map[string]string{
		"${env:GONE}":                "the environment variable GONE is not set; set it for the service, or refer to a file with ${file:PATH}",
		"${env:EMPTY}":               "the environment variable EMPTY is empty; give it a value",
		"${env:a b}":                 "the reference ${env:…} does not hold the name of a variable; write ${env:NAME}",
		"${file:gone}":               "the secret file gone can't be read: no such file or directory; create it with chmod 600; its path is relative to DIR",
		"${file:/gone/x}":            "the secret file /gone/x can't be read: no such file or directory; create it with chmod 600",
		"${file:creds}":              "the secret file creds can't be read: it is a folder; name a regular file",
		"${file:/dev/null}":          "the secret file /dev/null can't be read: it is a device and no file; name a regular file",
		"${file:}":                   "the reference ${file:…} has no path; write ${file:PATH}",
		"${file:~/x}":                "~ is not expanded; write the whole path, or ${env:HOME}/…",
		"${file:empty}":              "the secret in empty is empty; write the secret into it",
		"${file:binary}":             "the secret file binary does not hold text; refer to a text file in UTF-8",
		"${file:app.yaml#app.key}":   "the secret file app.yaml has no key app.key; add it, or name the right key after #",
		"${file:app.yaml#app}":       "app in the secret file app.yaml is not text; name the key of a single value",
		"${file:app.json#list}":      "list in the secret file app.json is not text; name the key of a single value",
		"${file:app.yaml#app.none}":  "the secret in app.yaml is empty; write the secret into it",
		"${file:app.yaml#}":          "the reference to app.yaml has no key after #; name one, or leave out the #",
		"${file:bad.yaml#a}":         "the secret file bad.yaml is neither YAML nor JSON; put it right, or leave out #a to take the whole file",
		"${file:plain#a}":            "the secret file plain has no key a; add it, or name the right key after #",
		"${file:${file:plain}}":      "a ${file:…} stands inside another one; only ${env:NAME} may stand in a path",
		"x${env:CANARY":              "a reference that begins with ${ has no end; close it with }, or write $${ for a plain ${",
		canary + "${" + canary + "}": "a reference of an unknown kind; write ${env:NAME}, ${file:PATH} or ${file:PATH#key}, or $${ for a plain ${",
	} {
		t.Run(ref, func(t *testing.T) {
			src := source(t, "accounts:\n  a:\n    provider: saxo\n    client_id: id\n    client_secret: '"+ref+"'\n", "CANARY="+canary, "EMPTY=")
			secretFiles(t, src.Dir)
			_, warnings, err := config.Load(src)
			want := "tokenkeeper.yaml:5:20: accounts.a.client_secret: " + strings.ReplaceAll(want, "DIR", src.Dir)
			if err == nil || err.Error() != want {
				t.Fatalf("got:\n%v\nwant:\n%s", err, want)
			}
			if all := fmt.Sprint(err, warnings); strings.Contains(all, canary) {
				t.Errorf("a secret in: %s", all)
			}
		})
	}
}

// TestNoSecretInMessages puts a secret into every place where one may stand by
// intent or by a slip, together with everything that can be wrong around it.
func TestNoSecretInMessages(t *testing.T) {
	for name, yaml := range map[string]string{
		"an alias by mistake":     "accounts:\n  a: {provider: schwab, client_secret: *CANARY}\n",
		"a quote in an alias":     "accounts:\n  a:\n    client_secret: *x'CANARY\n",
		"a tag by mistake":        "accounts:\n  a:\n    provider: schwab\n    client_secret: !CANARY\n",
		"a tag with text":         "accounts:\n  a:\n    client_secret: !!int CANARY\n",
		"an unclosed quote":       "accounts:\n  a:\n    client_secret: \"CANARY\n    client_id: x\n",
		"text after a quote":      "accounts:\n  a:\n    client_secret: 'x'CANARY\n",
		"a directive":             "%CANARY\naccounts:\n",
		"a colon":                 "accounts:\n  a:\n    client_secret: CANARY: x\n",
		"a list":                  "accounts:\n  a:\n    client_secret: [CANARY]\n",
		"a bad URL":               "accounts:\n  a: {provider: saxo, redirect_url: \"://CANARY\", settings: {secret: CANARY}}\n",
		"a URL with a bad port":   "sinks:\n  h: {type: webhook, url: \"https://u:CANARY@h:x/%zz\", secret: CANARY}\n" + account,
		"a bad header":            "sinks:\n  h: {type: webhook, url: \"https://h\", headers: {Authorization: \"CANARY\\nx\"}}\n" + account,
		"a reference in a path":   "sinks:\n  f: {type: file, path: \"${env:SECRET}/{acount}\"}\n  u: {type: unixsocket, path: \"/${env:LONG}\"}\n" + account,
		"same file":               "sinks:\n  f: {type: file, path: \"/${env:SECRET}\"}\n  g: {type: file, path: \"/${env:SECRET}\"}\n" + account,
		"a reference in a choice": "log: {level: \"${env:SECRET}\"}\nsinks:\n  f: {type: file, path: /x, owner: \"${env:SECRET}\", format: \"${env:SECRET}\"}\n" + account,
		"a state directory":       "state_dir: \"${env:LONG}\"\n" + account,
	} {
		t.Run(name, func(t *testing.T) {
			src := source(t, strings.ReplaceAll(yaml, "CANARY", canary), "SECRET="+canary, "LONG="+strings.Repeat(canary, 20))
			_, warnings, err := config.Load(src)
			if err == nil {
				t.Fatal("loaded")
			}
			if all := fmt.Sprint(err, warnings); strings.Contains(all, canary) {
				t.Errorf("a secret in: %s", all)
			}
		})
	}
}

func TestNoSecretWhenPrinted(t *testing.T) {
	cfg, _ := load(t, source(t, "accounts:\n  a: {provider: saxo, client_id: id, client_secret: "+canary+"}\n"+
		"sinks:\n  h: {type: webhook, url: \"https://h\", secret: whsec_"+strings.Repeat("ab12", 3)+", headers: {A: "+canary+"}}\n"))
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		if all := fmt.Sprintf(verb, cfg) + fmt.Sprintf(verb, cfg.Sinks["h"].Destination); strings.Contains(all, canary) || strings.Contains(all, "ab12") {
			t.Errorf("%s prints a secret: %s", verb, all)
		}
	}
}

func TestWarnings(t *testing.T) {
	const yaml = "accounts:\n  a:\n    provider: saxo\n    client_id: id\n    client_secret: %s\nsinks:\n  f: {type: file, path: /x/f}\n"
	for name, tt := range map[string]struct {
		yaml  string
		mode  os.FileMode
		flags map[string]string
		want  string
	}{
		"a secret that everyone can read": {yaml: fmt.Sprintf(yaml, canary), mode: 0o644,
			want: "FILE:5:20: accounts.a.client_secret: a secret in clear text in a file that everyone on this machine can read; chmod 600 FILE, or move the secret out and write ${file:PATH} or ${env:NAME}"},
		"a secret that the group can read": {yaml: fmt.Sprintf(yaml, canary), mode: 0o640,
			want: "FILE:5:20: accounts.a.client_secret: a secret in clear text in a file that the file's group can read; chmod 600 FILE, or move the secret out and write ${file:PATH} or ${env:NAME}"},
		"a secret of one's own":    {yaml: fmt.Sprintf(yaml, canary), mode: 0o600},
		"a reference":              {yaml: fmt.Sprintf(yaml, "${env:SECRET}"), mode: 0o644},
		"a secret file, well kept": {yaml: fmt.Sprintf(yaml, "${file:tight}"), mode: 0o644},
		"a secret file, for everyone": {yaml: fmt.Sprintf(yaml, "${file:loose}\n    settings: {other_secret: \"${file:loose}\"}"), mode: 0o644,
			want: "FILE:5:20: accounts.a.client_secret: everyone on this machine can read the secret file loose (mode 0644); chmod 600 loose"},
		"settings and headers that sound secret": {mode: 0o644,
			yaml: account[:len(account)-len("  a: {provider: schwab, client_id: id, client_secret: s}\n")] +
				"  a: {provider: schwab, client_id: id, settings: {api_secret: s, token_url: u, proxy: \"http://u:p@proxy\"}}\nsinks:\n  h: {type: webhook, url: \"http://h\", events: [alert], headers: {Authorization: x, X-Env: prod}}\n",
			want: `FILE:2:63: accounts.a.settings.api_secret: a secret in clear text in a file that everyone on this machine can read; chmod 600 FILE, or move the secret out and write ${file:PATH} or ${env:NAME}
FILE:2:87: accounts.a.settings.proxy: a secret in clear text in a file that everyone on this machine can read; chmod 600 FILE, or move the secret out and write ${file:PATH} or ${env:NAME}
FILE:4:3: sinks.h.secret: the sink has no secret: the receiver can't tell our posts from forged ones; write secret: ${env:NAME}
FILE:4:27: sinks.h.url: alerts will travel in clear text; use https
FILE:4:81: sinks.h.headers.Authorization: a secret in clear text in a file that everyone on this machine can read; chmod 600 FILE, or move the secret out and write ${file:PATH} or ${env:NAME}`},
		"a secret in a flag": {yaml: fmt.Sprintf(yaml, "${env:SECRET}"), mode: 0o600, flags: map[string]string{"accounts.a.client_secret": canary},
			want: "flags: accounts.a.client_secret: a secret in clear text in a flag: every process on this machine can read it; use ${env:NAME} or ${file:PATH}"},
		"nothing to deliver to": {yaml: account, mode: 0o600,
			want: `FILE: sinks: there is no sink: tokens are kept fresh, but delivered nowhere; write one, or read them with "tokenkeeper token ACCOUNT"`},
		"a refresh token for everyone": {yaml: account + "sinks:\n  f: {type: file, path: /x/f, mode: \"0644\", include_refresh_token: true}\n", mode: 0o600,
			want: `FILE:4:37: sinks.f.mode: everyone on this machine will be able to read the refresh token (mode 0644); write mode: "0600", or "0640" with an owner of :group`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "tokenkeeper.yaml")
			write(t, file, tt.yaml, tt.mode)
			write(t, filepath.Join(dir, "tight"), canary, 0o600)
			write(t, filepath.Join(dir, "loose"), canary, 0o644)
			cfg, warnings := load(t, config.Source{Path: file, Sinks: config.TestSinks, Flags: tt.flags, Environ: environ("SECRET="+canary, "STATE_DIRECTORY="+dir)})
			var lines []string
			for _, w := range warnings {
				lines = append(lines, w.String())
			}
			got := strings.ReplaceAll(strings.Join(lines, "\n"), file, "FILE")
			if got != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tt.want)
			}
			if strings.Contains(got, canary) {
				t.Error("a secret in a warning")
			}
			if cfg.File != file {
				t.Errorf("File = %q", cfg.File)
			}
		})
	}
}

func TestForeignVariables(t *testing.T) {
	_, warnings := load(t, source(t, account+"sinks:\n  f: {type: file, path: /x/f}\n",
		"TOKENKEEPER_PORT=tcp://10.0.0.1:80", "TOKENKEEPER_LOG_LEVEL=debug"))
	want := `environment: TOKENKEEPER_LOG_LEVEL: has no effect: no such key; did you mean TOKENKEEPER_LOG__LEVEL?
environment: TOKENKEEPER_PORT: has no effect: no such key; unset it, or write two underscores between the levels of a key`
	var lines []string
	for _, w := range warnings {
		lines = append(lines, w.String())
	}
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
