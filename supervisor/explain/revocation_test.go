package explain

import (
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
)

// TestRevocationOfUnknownOutcome: when it was sent is said of every moment since then, and what
// to do next, until something tells what came of it.
func TestRevocationOfUnknownOutcome(t *testing.T) {
	told := line("01:46", event.Event{Type: event.RevokeUnknown, Expiry: clock("02:00"),
		Message: "nobody knows whether its login is revoked: a revocation was sent 2026-11-30 01:45 UTC, and its outcome is unknown: no answer came. Its token counts neither as dead nor as living"})
	stands := func(at, asked string) []history.Line {
		l := line(at, event.Event{Type: history.Stands, Version: 41, Expiry: clock("02:00")})
		l.Standing = "valid"
		if asked != "" {
			l.RevokeAsked = clock(asked)
		}
		return join(begins(at, "main", "spare"), l)
	}
	left := history.Line{Event: event.Event{Time: clock("01:40"), Type: history.Configured}, Accounts: []string{"spare"}}
	revoked := line("01:50", event.Event{Type: event.Revoked, Message: "its login was revoked by a person (user 1000) at 2026-11-30 01:50 UTC"})
	const again, page, sent = "Ask again: tokenkeeper revoke main", "the broker's account page", "At 01:45:00: a revocation of its login was sent, and its outcome is unknown: the supervisor ended before the broker had answered."
	for _, f := range []fault{
		{name: "no answer came", lines: join(usual(), told), at: "01:50", verdict: Valid, words: []string{"At 01:46:00: nobody knows", "a revocation was sent 2026-11-30 01:45 UTC, and its outcome is unknown", again, page, "tokenkeeper refresh main --force"}, never: []string{"Nothing has to be done"}},
		{name: "and the token has ended", lines: join(usual(), told, failures("02:10", 2, "transient", "broker.example answered HTTP 503")), verdict: None, words: []string{"its outcome is unknown", "2 attempts", again, page}},
		{name: "asked of a moment before", lines: join(usual(), told), at: "01:40", verdict: Valid, words: []string{again}, never: []string{"revocation was sent"}},
		{name: "the supervisor died meanwhile", lines: join(usual(), stands("01:55", "01:45")), at: "01:56", verdict: Valid, words: []string{sent, again, page}, never: []string{"Nothing has to be done"}},
		{name: "of a moment before the next start", lines: join(usual(), stands("01:55", "01:45")), at: "01:50", verdict: Valid, words: []string{sent, again}},
		{name: "of a moment before it was sent", lines: join(usual(), stands("01:55", "01:45")), at: "01:44", verdict: Valid, never: []string{"At 01:45:00"}},
		{name: "it is told, and the next start finds it", lines: join(usual(), told, stands("01:55", "01:45")), at: "01:56", verdict: Valid, words: []string{"At 01:46:00: nobody knows"}, never: []string{"2 times", "At 01:45:00"}},
		{name: "the next start knows of none", lines: join(usual(), stands("01:55", "")), at: "01:56", verdict: Valid, words: []string{"Nothing has to be done"}, never: []string{"revocation"}},
		{name: "a token came since", lines: join(usual(), told, comes("01:50", 42, "02:40", "bot", "hook")), verdict: Valid, words: []string{"Nothing has to be done"}, never: []string{"revocation", again}},
		{name: "it was asked again, and revoked", lines: join(usual(), told, revoked), verdict: None, words: []string{"its login was revoked by a person (user 1000)", "That was over at 01:50:00.", "tokenkeeper login main"}, never: []string{again}},
		{name: "none was sent, because the file was locked", lines: join(usual(), line("01:45", event.Event{Type: event.SharedFileHeld, Message: "the shared file could not be locked, so nothing was revoked: it is held by python3 (PID 4711) since 01:44"})), verdict: None, words: []string{"the history does not tell"}, never: []string{"PID 4711", "End the program"}},
		{name: "the account is in no configuration", lines: join(usual(), left, told), at: "01:50", now: "01:50", answers: true, verdict: Valid, words: []string{"its outcome is unknown", "Ask again: tokenkeeper accounts forget main --revoke", page}, never: []string{"Write the account", again}},
	} {
		t.Run(f.name, func(t *testing.T) {
			q := Question{Account: "main", At: clock("02:30"), Now: clock("02:30"), Answers: f.answers}
			if f.at != "" {
				q.At, q.Now = clock(f.at), clock("01:59")
			}
			if f.now != "" {
				q.Now = clock(f.now)
			}
			got := Explain(f.lines, q)
			said := strings.Join(got.Sentences, "\n")
			for _, word := range f.words {
				if !strings.Contains(said, word) {
					t.Errorf("%q is not said", word)
				}
			}
			for _, word := range f.never {
				if strings.Contains(said, word) {
					t.Errorf("%q is said", word)
				}
			}
			if got.Verdict != f.verdict || t.Failed() {
				t.Errorf("%s, and said:\n%s", got.Verdict, said)
			}
		})
	}
}
