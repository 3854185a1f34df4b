package explain

import (
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
)

// moreFaults are those in which the history lacks something, nobody keeps the tokens, or the
// account has another name.
func moreFaults() []fault {
	return []fault{
		{name: "what came then can't be read", lines: usual(), cut: true, silent: true, verdict: Unknown,
			words: []string{"is not known: version 41", "At 01:30:00: what the history tells after that can't be read.", "Start it: tokenkeeper run"}, never: []string{"has ended without a word", "No supervisor"}},
		{name: "it was paused while no supervisor was running", lines: join(usual(), ends("01:40"),
			history.Line{Event: line("02:10", event.Event{Type: event.Paused, Message: "paused since 2026-11-30 02:10 UTC by user 1000: nothing is asked of its broker"}).Event, Aside: true}), silent: true, verdict: None,
			words: []string{"No supervisor has been running since 01:40:00: it was stopped", "At 02:10:00: paused since", "Start it: tokenkeeper run", "does not run; it is paused then, too: tokenkeeper resume main"}},
		{name: "one only observes", lines: join(usual(), ends("01:40")), silent: true, observed: "02:05", verdict: None,
			words: []string{"No supervisor has been running since 01:40:00: it was stopped. Since 02:05:00 one has been running that only observes", "start it without --observe", "tokenkeeper status main"}, never: []string{"does not tell", "tokenkeeper run"}},
		{name: "one only observes, and there is no history", silent: true, observed: "02:05", verdict: Unknown,
			words: []string{"there is no history", "start it without --observe"}},
		{name: "a row of failures whose rest is joined later", lines: join(usual(), failures("02:00", 10, "not_sent", "nothing was sent to broker.example: connection refused")), verdict: None,
			words: []string{"At least 10 attempts from 02:00:00 on failed, the last that is noted at 02:09:00: all of those could not be sent."}},
		{name: "asked of the midst of a row", lines: join(usual(), failures("02:00", 10, "not_sent", "nothing was sent to broker.example: connection refused"),
			history.Line{Event: failures("02:20", 1, "not_sent", "nothing was sent to broker.example: connection refused")[0].Event, Times: 11, First: clock("02:10")}, comes("02:25", 42, "02:55", "bot")), at: "02:15", verdict: None,
			words: []string{"At least 10 attempts"}},
		{name: "a row that has ended is whole", lines: join(usual(), failures("02:00", 10, "not_sent", "nothing was sent to broker.example: connection refused"),
			line("02:15", event.Event{Type: event.RefreshFailing, Alert: true, State: event.AlertRaised, Message: "account main is not refreshed"})), verdict: None,
			words: []string{"10 attempts from 02:00:00 to 02:09:00 failed: all could not be sent."}, never: []string{"At least"}},
		{name: "attempts fail while the token lives", lines: join(usual(), failures("01:50", 2, "transient", "broker.example answered HTTP 503")), at: "01:55", now: "01:55", answers: true, verdict: Valid,
			words: []string{"It is tried again by itself: version 41 lives until 02:00:00."}},
		{name: "the provider is parked while the token lives", lines: join(usual(),
			other("01:40", event.Event{Type: event.ProviderParked, Provider: "schwab", Message: "provider schwab is parked: /opt/schwab is missing"})), at: "01:55", now: "01:55", answers: true, verdict: Valid,
			words: []string{"tokenkeeper restart schwab"}, never: []string{"Nothing has to be done"}},
		{name: "it came by a reload, in the place of another one", lines: join(begins("01:00", "old", "spare"),
			history.Line{Event: event.Event{Time: clock("01:40"), Type: history.Configured}, Accounts: []string{"main", "spare"}},
			history.Line{Event: line("01:40", event.Event{Type: history.Stands}).Event, Standing: "new"}), answers: true, verdict: None,
			words: []string{"had no token yet", "It had none either when it came into the configuration at 01:40:00.", "If it is account old by another name: tokenkeeper accounts rename old main. Otherwise log in: tokenkeeper login main"}},
		{name: "it was renamed", lines: join(usual(),
			history.Line{Event: event.Event{Time: clock("01:40"), Type: history.Configured}, Accounts: []string{"new", "spare"}},
			other("01:45", event.Event{Type: event.Imported, Account: "new", From: "main", Version: 41, Expiry: clock("02:00"), Message: "the login of account main goes on under this name"})), at: "01:50", now: "01:50", answers: true, verdict: None,
			words: []string{"account main was there no more: its login goes on as account new since 01:45:00.", "Until then it had version 41, refreshed at 01:30:00.", "Ask about that one: tokenkeeper explain new"}, never: []string{"Write the account"}},
		{name: "it was renamed later", lines: join(usual(),
			other("01:45", event.Event{Type: event.Imported, Account: "new", From: "main", Version: 41, Expiry: clock("02:00"), Message: "the login of account main goes on under this name"})), at: "01:40", now: "01:50", answers: true, verdict: Valid,
			words: []string{"main had a valid token: version 41", "Ask about that one: tokenkeeper explain new"}},
		{name: "it had another name then", lines: join(begins("01:00", "old"),
			history.Line{Event: event.Event{Time: clock("01:40"), Type: history.Configured}, Accounts: []string{"main"}},
			line("01:45", event.Event{Type: event.Imported, From: "old", Version: 41, Expiry: clock("02:00"), Message: "the login of account old goes on under this name"})), at: "01:20", now: "01:50", answers: true, verdict: None,
			words: []string{"was not configured", "Until 01:45:00 its login was that of account old", "The next token came at 01:45:00: version 41, imported."}},
		{name: "it was forgotten", lines: join(usual(), ends("01:40"),
			history.Line{Event: line("01:45", event.Event{Type: event.Forgotten, Version: 41, Message: "what was stored of this account was removed"}).Event, Aside: true}), at: "01:50", now: "01:50", silent: true, verdict: None,
			words: []string{"account main was there no more: what was stored of it was removed at 01:45:00.", "Until then it had version 41", "tokenkeeper login main"}, never: []string{"valid token", "Start it"}},
		{name: "it was forgotten, and is there again", lines: join(usual(),
			line("01:35", event.Event{Type: event.Forgotten, Version: 41, Message: "what was stored of this account was removed"}),
			comes("01:50", 1, "02:40", "bot")), verdict: Valid,
			words: []string{"version 1, refreshed at 01:50:00", "Nothing has to be done"}, never: []string{"no more"}},
	}
}
