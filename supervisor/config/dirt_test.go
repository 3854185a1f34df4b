package config_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// dirty are values that came in dirty: how each is used, and what is said of it.
var dirty = map[string]struct{ value, used, told string }{
	"a byte order mark":           {"\ufeff" + canary, canary, ""},
	"a line end of Windows":       {canary + "\r\n", canary, ""},
	"line ends and a mark":        {"\r\n\ufeff\n" + canary + "\n\r\n\r", canary, ""},
	"a blank before":              {" " + canary, " " + canary, "begins with a blank"},
	"a tab behind, and a line":    {canary + "\t\n", canary + "\t", "ends with a blank"},
	"a blank behind a line end":   {canary + "\n ", canary + "\n ", "ends with a blank"},
	"blanks at both ends":         {"\u00a0" + canary + "  ", "\u00a0" + canary + "  ", "begins with a blank, ends with a blank"},
	"quotes":                      {`"` + canary + `"`, `"` + canary + `"`, "stands in quotes, which count as part of it"},
	"quotes of an editor":         {"“" + canary + "”", "“" + canary + "”", "stands in quotes, which count as part of it"},
	"a carriage return":           {"ab\r" + canary, "ab\r" + canary, "holds a carriage return as its character 3"},
	"two lines":                   {"ab\n" + canary, "ab\n" + canary, "holds a line end as its character 3"},
	"a control character":         {"é\x07" + canary + "\x07\x1b", "é\x07" + canary + "\x07\x1b", "holds a control character (U+0007) as its character 2, and 2 more like it"},
	"a zero width space":          {" a\u200b" + canary, " a\u200b" + canary, "begins with a blank, holds an invisible character (U+200B) as its character 3"},
	"a no-break space":            {"a\u00a0" + canary, "a\u00a0" + canary, "holds an invisible character (U+00A0) as its character 2"},
	"a mark in the middle":        {"a\ufeff" + canary, "a\ufeff" + canary, "holds an invisible character (U+FEFF) as its character 2"},
	"a passphrase":                {"correct horse " + canary + " é", "correct horse " + canary + " é", ""},
	"a key in PEM, of Windows":    {"-----BEGIN PRIVATE KEY-----\r\n" + canary + "\r\n-----END PRIVATE KEY-----\r\n", "-----BEGIN PRIVATE KEY-----\r\n" + canary + "\r\n-----END PRIVATE KEY-----", ""},
	"JSON":                        {"{\n\t\"k\": \"" + canary + "\"\n}\n", "{\n\t\"k\": \"" + canary + "\"\n}", ""},
	"a quote in the middle of it": {"a'b\"" + canary, "a'b\"" + canary, ""},
}

// usedAs fails the test unless each secret of the account is used so, and the
// warnings are those, of the key and the place.
func usedAs(t *testing.T, src config.Source, used, want string) {
	t.Helper()
	cfg, warnings := load(t, src)
	a := cfg.Accounts["a"]
	if got := a.ClientSecret.Reveal(); got != used {
		t.Errorf("it is used as %q, want %q", got, used)
	}
	var lines []string
	for _, w := range warnings {
		if strings.HasSuffix(w.Key, "client_secret") || strings.HasSuffix(w.Key, "CLIENT_SECRET") {
			lines = append(lines, w.String())
		}
	}
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if all := fmt.Sprint(warnings); strings.Contains(all, canary) {
		t.Errorf("a secret in: %s", all)
	}
}

const (
	usedAsItStands = ", and is used as it stands; take out what is no part of the value"
	ofSecret       = "accounts:\n  a:\n    provider: saxo\n    client_id: id\n    client_secret: "
)

// TestDirtyValues: marks and line ends are cut, and the rest is warned of, wherever a
// value comes from.
func TestDirtyValues(t *testing.T) {
	said := func(place, what, told string) string {
		if told == "" {
			return ""
		}
		return place + ": " + what + told + usedAsItStands
	}
	for name, tt := range dirty {
		t.Run(name, func(t *testing.T) {
			const at = "tokenkeeper.yaml:5:20: accounts.a.client_secret"
			usedAs(t, source(t, ofSecret+"${env:S}\n", "S="+tt.value), tt.used, said(at, "the environment variable S ", tt.told))
			usedAs(t, source(t, "accounts:\n  a: {provider: saxo, client_id: id}\n", "TOKENKEEPER_ACCOUNTS__A__CLIENT_SECRET="+tt.value),
				tt.used, said("environment: TOKENKEEPER_ACCOUNTS__A__CLIENT_SECRET", "", tt.told))
			src := source(t, ofSecret+"${file:s}\n")
			write(t, filepath.Join(src.Dir, "s"), tt.value, 0o600)
			usedAs(t, src, tt.used, said(at, "the secret in s ", tt.told))
			src = source(t, ofSecret+"${file:s.yaml#k}\n")
			write(t, filepath.Join(src.Dir, "s.yaml"), "\ufeffk: "+inYAML(tt.value)+"\n", 0o600)
			usedAs(t, src, tt.used, said(at, "the secret in s.yaml under k ", tt.told))
			usedAs(t, source(t, ofSecret+inYAML(tt.value)+"\n"), tt.used, said(at, "", tt.told))
		})
	}
	t.Run("a block of lines", func(t *testing.T) {
		usedAs(t, source(t, ofSecret+"|\n      "+canary+"\n"), canary, "")
		usedAs(t, source(t, ofSecret+"|\n      "+canary+" \n\n"), canary+" ", said("tokenkeeper.yaml:5:20: accounts.a.client_secret", "", "ends with a blank"))
	})
	t.Run("a value in a text", func(t *testing.T) {
		usedAs(t, source(t, ofSecret+"a-${env:S}-z\n", "S="+canary+"\r"), "a-"+canary+"-z", "")
	})
	t.Run("a value of two accounts", func(t *testing.T) {
		usedAs(t, source(t, ofSecret+"${env:S}\n  b: {provider: saxo, client_id: id, client_secret: '${env:S}'}\n", "S="+canary+" "), canary+" ",
			said("tokenkeeper.yaml:5:20: accounts.a.client_secret", "the environment variable S ", "ends with a blank"))
	})
	t.Run("nothing but a mark", func(t *testing.T) {
		src := source(t, ofSecret+"${file:s}\n")
		write(t, filepath.Join(src.Dir, "s"), "\ufeff\r\n", 0o600)
		_, _, err := config.Load(src)
		if want := "tokenkeeper.yaml:5:20: accounts.a.client_secret: the secret in s is empty; write the secret into it"; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	})
}

// inYAML quotes a text for YAML, with an escape for all that is no plain letter.
func inYAML(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			fmt.Fprintf(&b, `\U%08X`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return `"` + b.String() + `"`
}

// TestDirtyOtherValues: what is no secret comes in dirty as well.
func TestDirtyOtherValues(t *testing.T) {
	cfg, warnings := load(t, source(t, "accounts:\n  a:\n    provider: saxo\n    client_id: |\n      id\n    redirect_url: ${env:URL}\n"+
		"    settings: {s: 'x '}\nsinks:\n  h: {type: webhook, url: \"${env:URL}\", secret: \"${env:HOOK}\", headers: {A: \" b\"}}\n",
		"URL=https://h.example/x\r\n", "HOOK=whsec_MTIz\n", "TOKENKEEPER_LOG__LEVEL=debug\r"))
	if a := cfg.Accounts["a"]; a.ClientID != "id" || a.RedirectURL != "https://h.example/x" || cfg.Log.Level != "debug" {
		t.Errorf("%+v, log %+v", a, cfg.Log)
	}
	var lines []string
	for _, w := range warnings {
		if strings.Contains(w.Message, "blank") {
			lines = append(lines, w.String())
		}
	}
	want := `tokenkeeper.yaml:7:19: accounts.a.settings.s: ends with a blank, and is used as it stands; take out what is no part of the value
tokenkeeper.yaml:9:77: sinks.h.headers.A: begins with a blank, and is used as it stands; take out what is no part of the value`
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestVariableOfAShell: who writes a variable as a shell does is told how it is
// written here, and no value is quoted that may be a secret.
func TestVariableOfAShell(t *testing.T) {
	const says = "tokenkeeper.yaml:5:20: accounts.a.client_secret: reads like the name of a variable, and is used as it stands; "
	for written, want := range map[string]string{
		"$SECRET":     says + "did you mean ${env:SECRET}?",
		"$env:SECRET": says + "did you mean ${env:SECRET}?",
		"env:SECRET":  says + "did you mean ${env:SECRET}?",
		"$lower":      says + "did you mean ${env:lower}?",
		"$UNSET":      says + "write ${env:NAME} for the value of a variable",
		"$Ab3xyz":     "",
		"$1abc":       "",
		"a$SECRET":    "",
		"$$SECRET":    "",
		"$SECRET b":   "",
	} {
		usedAs(t, source(t, ofSecret+"'"+written+"'\n", "SECRET="+canary, "lower=x"), written, want)
	}
	_, warnings := load(t, source(t, account+"sinks:\n  f: {type: file, path: \"$HOME/t.json\"}\n", "HOME=/h"))
	if got := fmt.Sprint(warnings); !strings.Contains(got, "sinks.f.path: reads like the name of a variable, and is used as it stands; did you mean ${env:HOME}?") {
		t.Errorf("of a path: %s", got)
	}
	_, _, err := config.Load(source(t, ofSecret+"${SECRET}\n", "SECRET="+canary))
	if want := "tokenkeeper.yaml:5:20: accounts.a.client_secret: a reference of an unknown kind; did you mean ${env:SECRET}?"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestPipeInThePlaceOfAFile: what is no file is named, and never waited for.
func TestPipeInThePlaceOfAFile(t *testing.T) {
	src := source(t, ofSecret+"${file:p}\n    shared_file: {path: p, format: json}\nsinks:\n  h: {type: webhook, url: \"https://h\", secret: MTIz, ca_file: p}\n")
	src.StrictFiles = true
	pipe := filepath.Join(src.Dir, "p")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := config.Load(src)
	for _, want := range []string{
		"accounts.a.client_secret: the secret file p can't be read: it is a pipe (FIFO) and no file; name a regular file",
		"accounts.a.shared_file.path: is a pipe (FIFO) and no file; move it away, or choose another path",
		"sinks.h.ca_file: the file can't be read: it is a pipe (FIFO) and no file; name a regular file",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got:\n%v\nwithout:\n%s", err, want)
		}
	}
	_, _, err = config.Load(config.Source{Path: pipe})
	if want := pipe + ": can't be read: it is a pipe (FIFO) and no file; name a regular file"; err == nil || err.Error() != want {
		t.Errorf("of the configuration itself: %v, want %s", err, want)
	}
}
