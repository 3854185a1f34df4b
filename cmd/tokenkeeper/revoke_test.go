package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// What else a broker ends with a login is said before, with the names of the accounts, and
// afterwards.
func TestRevokeSaysWhatElseEnds(t *testing.T) {
	for ends, tt := range map[string]struct {
		others        []string
		before, after string
	}{
		control.EndsToken:  {nil, "somebody must log in again. To end it, add --yes", "which lives until its end 14:50:00"},
		control.EndsGrant:  {nil, "somebody must log in again. To end it, add --yes", "which may be dead before its end 14:50:00"},
		control.EndsClient: {[]string{"saxo-one", "saxo-two"}, "EVERY login of the same client, also those that this machine does not know, and so those of 2 other accounts here: saxo-one, saxo-two. To end it, add --yes", "every other login of the same client, too, which the next refreshes of these accounts find out: saxo-one, saxo-two. To use it again"},
	} {
		socket, _, _ := serve(t, &fake{ends: ends, others: tt.others})
		command(t, "", "revoke", "main", "--socket", socket).says(t, exitUsage, "", tt.before)
		if got := command(t, "", "revoke", "main", "--yes", "--socket", socket); got.code != exitOK || !strings.Contains(got.stdout, tt.after) || got.stderr != "" {
			t.Errorf("%s: %+v", ends, got)
		}
	}
}

// What becomes of the shared file of a login is said before, and afterwards.
func TestRevokeSaysWhatBecomesOfTheSharedFile(t *testing.T) {
	const before = "Its refresh token is taken out of the shared file /bots/t.json, and the programs that use that can't refresh any more, either. To end it, add --yes"
	for _, tt := range []struct{ file, fault, before, after string }{
		{"", "", "somebody must log in again. To end it, add --yes", "before its end 14:50:00 in 30m. To use it again"},
		{"/bots/t.json", "", before, "in 30m. So does the shared file /bots/t.json, in which no refresh token stands any more. To use it again"},
		{"/bots/t.json", "write shared file /bots/t.json: no space left on device", before, "in 30m. The dead refresh token could not be taken out of the shared file, and that is tried again: write shared file /bots/t.json: no space left on device. To use it again"},
	} {
		socket, _, _ := serve(t, &fake{ends: control.EndsGrant, shared: tt.file, unshared: tt.fault})
		command(t, "", "revoke", "main", "--socket", socket).says(t, exitUsage, "", tt.before)
		if got := command(t, "", "revoke", "main", "--yes", "--socket", socket); got.code != exitOK || !strings.Contains(inOneLine(got.stdout), tt.after) {
			t.Errorf("%+v", got)
		}
		got := decode[control.RevokeAnswer](t, command(t, "", "revoke", "main", "--yes", "--json", "--socket", socket).stdout)
		if got.SharedFile != tt.file || got.SharedFileError != tt.fault {
			t.Errorf("as JSON: %+v", got)
		}
	}
}

// On a terminal it is asked first, and nothing but a yes is one.
func TestRevokeAsksOnATerminal(t *testing.T) {
	socket, _, _ := serve(t, &fake{ends: control.EndsGrant})
	for answer, want := range map[string]struct {
		code int
		says string
	}{
		"y\n": {exitOK, "the broker has ended its login"}, "YES\n": {exitOK, "has ended its login"},
		"\n": {exitFailure, "nothing was revoked"}, "no\n": {exitFailure, "nothing was revoked"}, "main\n": {exitFailure, "nothing was revoked"},
	} {
		p := newTerminal(t)
		var stdout bytes.Buffer
		e := newEnv(p.File, &stdout, p.File)
		e.now, e.getenv = func() time.Time { return now }, func(string) string { return "" }
		if _, err := p.other.WriteString(answer); err != nil {
			t.Fatal(err)
		}
		code := e.execute(t.Context(), []string{"revoke", "main", "--socket", socket})
		text := inOneLine(stdout.String() + p.text())
		if code != want.code || !strings.Contains(text, want.says) || !strings.Contains(text, "ends for good: nothing is refreshed any more, and somebody must log in again. End it? [y/N]") {
			t.Errorf("%q: exit code %d, %s", answer, code, text)
		}
	}
}
