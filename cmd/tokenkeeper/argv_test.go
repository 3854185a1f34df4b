package main

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// secretInArguments are the forms in which a command line shows a secret to
// everybody on the machine (proc(5), /proc/PID/cmdline).
var secretInArguments = []*regexp.Regexp{
	// What prints a token, put into another command's arguments.
	regexp.MustCompile(`\$\([^)]*tokenkeeper[^)]*\btoken\b`),
	regexp.MustCompile("`tokenkeeper token [^`]*`[\"']"),
	// A header, unless it comes from a file or a pipe.
	regexp.MustCompile(`(?i)(?:^|\s)(?:-H|--header)[ =]*\\?["']?(?:proxy-)?(?:authorization|cookie|x-[\w-]*(?:key|token|secret))\s*:`),
	// An option that takes the secret itself; -file, -stdin and their like do not.
	regexp.MustCompile(`(?i)(?:^|\s)--(?:\w+-)*(?:token|secret|password|passphrase|api-?key|oauth2-bearer|code)[= ]["']?[$<\w]`),
	regexp.MustCompile(`\bcurl\b.*\s(?:-u|--user)[ =]`),
	regexp.MustCompile(`\bredis-cli\b.*\s(?:-a|--pass|-u)\s`),
	// A field of a posted form, and the address that a login ends on.
	regexp.MustCompile(`(?i)(?:^|\s)(?:-d|-F|--data(?:-\w+)*|--form)[ =]*["']?[^@"'\s][^"']*(?:code|token|secret|password)=`),
	// A secret that is made or read on the command line of another command.
	regexp.MustCompile(`whsec_\$\(|\$\((?:cat|<)[^)]*(?:secret|token)`),
	// A program that the configuration starts.
	regexp.MustCompile(`(?i)\bcommand:.*\$\{(?:file|env):[^}]*(?:secret|token|key|password)`),
}

func shown(line string) bool {
	return slices.ContainsFunc(secretInArguments, func(r *regexp.Regexp) bool { return r.MatchString(line) })
}

// TestNoExampleShowsASecret looks for secrets in arguments in all that people
// copy from: READMEs, examples, configurations, help, and the texts of errors.
func TestNoExampleShowsASecret(t *testing.T) {
	skipUnlessRaced(t)
	files := 0
	walk(t, func(path string) {
		if strings.HasSuffix(path, "_test.go") || !slices.Contains([]string{
			".md", ".yaml", ".sh", ".py", ".cpp", ".go", ".service", ".golden", "",
		}, filepath.Ext(path)) {
			return
		}
		files++
		for n, line := range strings.Split(readText(t, path), "\n") {
			if shown(line) {
				t.Errorf("%s:%d puts a secret into arguments: %s", path, n+1, line)
			}
		}
	})
	if files < 50 {
		t.Fatalf("only %d files were looked at", files)
	}
	var help func(c *cobra.Command)
	helps := 0
	help = func(c *cobra.Command) {
		helps++
		for line := range strings.Lines(strings.Join([]string{c.Use, c.Short, c.Long, c.Example, c.Flags().FlagUsages()}, "\n")) {
			if shown(line) {
				t.Errorf("the help of %q puts a secret into arguments: %s", c.CommandPath(), line)
			}
		}
		for _, sub := range c.Commands() {
			help(sub)
		}
	}
	help(newRootCommand(newEnv(strings.NewReader(""), &strings.Builder{}, &strings.Builder{})))
	if helps < 10 {
		t.Fatalf("only %d helps were looked at", helps)
	}
}

// TestSecretsInArgumentsAreSeen: the search itself finds what it is for.
func TestSecretsInArgumentsAreSeen(t *testing.T) {
	for line, want := range map[string]bool{
		`curl -H "Authorization: Bearer $(tokenkeeper token main)" https://x`: true,
		`curl -H "X-Api-Key: abc" https://x`:                                  true,
		`curl --header 'Cookie: a=b' https://x`:                               true,
		`curl --oauth2-bearer "$TOKEN" https://x`:                             true,
		`curl -u app:secret https://x`:                                        true,
		`redis-cli -a hunter2 GET x`:                                          true,
		`bot --refresh-token "$REFRESH"`:                                      true,
		`bot --token=abc1`:                                                    true,
		`bot --token=$(tokenkeeper token main)`:                               true,
		`api -X POST --data-binary 'https://127.0.0.1:8182/?code=…&state=…' http://localhost/complete`: true,
		`curl -d grant_type=refresh_token -d refresh_token=abc https://x`:                              true,
		`echo whsec_$(openssl rand -base64 32)`:                                                        true,
		`login "$(cat secrets/token)"`:                                                                 true,
		`command: [/usr/bin/x, "${env:HOOK_SECRET}"]`:                                                  true,
		`tokenkeeper token main --header | curl -H @- https://x`:                                       false,
		`curl --data-binary @redirected.txt http://localhost/complete`:                                 false,
		`bot --token-file /run/token`:                                                                  false,
		`      Authorization: Bearer ${env:HOOK_TOKEN}`:                                                false,
		`client_secret: ${file:secrets/schwab.yaml#app_secret}`:                                        false,
	} {
		if got := shown(line); got != want {
			t.Errorf("%s: seen %v, want %v", line, got, want)
		}
	}
}

func TestTokenForATerminal(t *testing.T) {
	for token, want := range map[string]string{"abc~+/=": "abc~+/=", "a\x1b[2Jb": "", "a\u009b2Jb": "", "a\nb": ""} {
		got, err := printable(control.TokenAnswer{Account: "main", AccessToken: token})
		if got != want || (err == nil) != (want != "") || err != nil && strings.Contains(err.Error(), token) {
			t.Errorf("%q: %q, %v; want %q", token, got, err, want)
		}
	}
}

func TestTokenAsAHeader(t *testing.T) {
	for _, tt := range []struct{ typ, token, want string }{
		{"Bearer", "abc", "Authorization: Bearer abc"},
		{"bearer", "abc", "Authorization: Bearer abc"},
		{"", "abc", "Authorization: Bearer abc"},
		{"DPoP", "abc", "Authorization: DPoP abc"},
		{"Bearer", "a\r\nX-Evil: 1", ""},
		{"Bearer\nX-Evil: 1", "abc", ""},
		{"Bearer", "a b", ""},
		{"Bearer", "", ""},
	} {
		got, err := authorization(control.TokenAnswer{Account: "main", TokenType: tt.typ, AccessToken: tt.token})
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q %q: %q, %v; want %q", tt.typ, tt.token, got, err, tt.want)
		}
		if err != nil && tt.token != "" && strings.Contains(err.Error(), tt.token) {
			t.Errorf("the error shows the token: %v", err)
		}
	}
}
