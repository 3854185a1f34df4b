package alert

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
)

// Every alert has words of its own: that it is over, and, if it is about accounts, what
// several of them have.
func TestDescribe(t *testing.T) {
	source, err := os.ReadFile("../../event/event.go")
	if err != nil {
		t.Fatal(err)
	}
	alerts := regexp.MustCompile(`Type = "([a-z_]+)"\s+// .*\balert[:,]`).FindAllSubmatch(source, -1)
	if len(alerts) < 25 {
		t.Fatalf("only %d alerts are found: %q", len(alerts), alerts)
	}
	for _, m := range alerts {
		of := event.Type(m[1])
		p := phrasesOf(of)
		if p.over == "" {
			t.Errorf("%s: nothing says that it is over", of)
		}
		if p.many == "" { // of a provider, a sink or the store
			continue
		}
		text := describe(event.Alert{Type: of, Provider: "schwab", State: event.AlertRaised, Affected: []event.Affected{{Account: "a"}, {Account: "b", Error: "HTTP 503"}}}, nil)
		if !strings.HasPrefix(text, "2 accounts at schwab ") || !strings.Contains(text, ": a, b; the first error: HTTP 503; ") ||
			strings.Contains(text, of.Words()) || !strings.HasSuffix(text, "run: tokenkeeper alerts") {
			t.Errorf("%s: %q", of, text)
		}
	}
}

// Of several accounts, each is advised what it needs.
func TestDescribeAdvises(t *testing.T) {
	for _, c := range []struct {
		of    event.Type
		needs [2]advice.Means
		want  string
	}{
		{event.NeedsLogin, [2]advice.Means{}, "2 accounts at schwab need a login: a, b; log in to each with: tokenkeeper login ACCOUNT; to see"},
		{event.NeedsLogin, [2]advice.Means{"", advice.Login}, "2 accounts at schwab need a login: a, b; log in to each with: tokenkeeper login ACCOUNT; to see"},
		{event.NeedsLogin, [2]advice.Means{advice.Import, advice.Import}, "2 accounts at schwab need another token from a file: a, b; import a token for each with: tokenkeeper import ACCOUNT FILE; to see"},
		{event.NeedsLogin, [2]advice.Means{advice.Key, advice.Key}, "2 accounts at schwab need a key that the broker takes: a, b; mend client_id, client_secret or settings of each, then run: tokenkeeper reload;"},
		{event.NeedsLogin, [2]advice.Means{advice.Login, advice.Key}, "2 accounts at schwab need a person: a, b; what each of them needs says: tokenkeeper status; to see"},
		{event.LoginDueSoon, [2]advice.Means{advice.Import, advice.Import}, "2 accounts at schwab need another token from a file soon: a, b; import a token for each"},
		{event.SessionGone, [2]advice.Means{advice.Import, advice.Import}, "are over: a, b; a new session may need another token from a file; to see"},
		{event.GrantedElsewhere, [2]advice.Means{advice.Login, advice.Login}, "change the configuration back, or: log in to each with: tokenkeeper login ACCOUNT; to see"},
	} {
		got := describe(event.Alert{Type: c.of, Provider: "schwab", State: event.AlertRaised, Affected: []event.Affected{
			{Account: "a", Needs: string(c.needs[0])}, {Account: "b", Needs: string(c.needs[1])},
		}}, nil)
		if !strings.Contains(got, c.want) {
			t.Errorf("%s, %q: %q", c.of, c.needs, got)
		}
	}
}
