package explain

import (
	"slices"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
)

// fault is what has happened, and what must be said of it.
type fault struct {
	name    string
	lines   []history.Line
	at, now string // "": 02:30
	// answers, silent: a supervisor does, none does. cut: the newest part can't be read.
	answers, silent, cut bool
	observed             string // since when one only observes
	verdict              Verdict
	words                []string
	// never must not be said.
	never []string
}

// faults are written down before what explains them.
func faults() []fault {
	return []fault{
		{name: "all is fine", lines: join(usual(), comes("01:50", 42, "02:40", "bot", "hook")), verdict: Valid,
			words: []string{"main had a valid token", "version 42", "refreshed at 01:50:00", "lives until 02:40:00", "bot", "hook", "Nothing has to be done"}},
		{name: "it was fine then", lines: join(usual(), comes("01:50", 42, "02:40", "bot", "hook")), at: "01:45", verdict: Valid,
			words: []string{"version 41", "refreshed at 01:30:00", "lived until 02:00:00"}, never: []string{"version 42 had"}},
		{name: "the broker is down", lines: join(usual(), failures("02:10", 9, "transient", "broker.example answered HTTP 503, which is no OAuth error; it will be tried again")), verdict: None,
			words: []string{"no valid token", "version 41", "ended at 02:00:00", "30m before", "9 attempts from 02:10:00 to 02:18:00", "all", "HTTP 503", "broker's status page"}},
		{name: "the broker allows no more requests", lines: join(usual(),
			line("01:56", event.Event{Type: event.RefreshPutOff, Kind: "rate_limited", Expiry: clock("02:00"), Next: clock("02:35"),
				Message: "the broker's limit is reached: 4 of the 5 requests that it allows an hour were made since 2026-11-30 01:35:00; so that the others last, the next is sent 2026-11-30 02:35:00. To send one now: tokenkeeper refresh main --force"})), verdict: None,
			words: []string{"At 01:56:00: the broker's limit is reached: 4 of the 5 requests", "the next is sent 2026-11-30 02:35:00", "tokenkeeper refresh main --force", "asked again by itself when the broker's limit allows it"}, never: []string{"does not tell"}},
		{name: "the limit was reached because the broker was down", lines: join(usual(), failures("01:50", 4, "transient", "broker.example answered HTTP 503, which is no OAuth error"),
			line("01:56", event.Event{Type: event.RefreshPutOff, Kind: "rate_limited", Message: "the broker's limit is reached: 4 of the 5 requests that it allows an hour were made since 2026-11-30 01:50:00"})), verdict: None,
			words: []string{"4 attempts", "HTTP 503", "At 01:56:00: the broker's limit is reached", "broker's status page"}},
		{name: "the broker was down and is back", lines: join(usual(), failures("02:10", 14, "transient", "broker.example answered HTTP 503, which is no OAuth error"), comes("02:31", 42, "03:00", "bot", "hook")), now: "02:40", verdict: None,
			words: []string{"no valid token", "14 attempts", "HTTP 503", "02:31:00", "version 42", "Nothing has to be done"}},
		{name: "first one answer, then another", lines: join(usual(), failures("02:00", 5, "transient", "broker.example answered HTTP 503"), failures("02:10", 4, "transient", "broker.example answered HTTP 502")), verdict: None,
			words: []string{"9 attempts from 02:00:00 to 02:13:00", "5 were answered HTTP 503", "4 were answered HTTP 502"}},
		{name: "failures that were joined to one line", lines: join(usual(), failures("02:00", 10, "transient", "broker.example answered HTTP 503"),
			history.Line{Event: failures("02:20", 1, "transient", "broker.example answered HTTP 503")[0].Event, Times: 11, First: clock("02:10")}), verdict: None,
			words: []string{"At least 21 attempts from 02:00:00 on failed, the last that is noted at 02:20:00: all of those were answered HTTP 503."}},
		{name: "no answer comes", lines: join(usual(),
			failures("01:55", 2, "ambiguous", "the request was sent to broker.example and no answer came: it took too long"),
			line("01:56", event.Event{Type: event.Ambiguous, Kind: "ambiguous", Message: "nobody knows whether the server has replaced the refresh token: it took too long. It is tried again 02:05"})), verdict: None,
			words: []string{"2 attempts", "got no answer", "nobody knows whether", "tokenkeeper status main"}},
		{name: "what is told of an attempt is not told twice", lines: join(usual(),
			line("01:56", event.Event{Type: event.Ambiguous, Kind: "ambiguous", Message: "nobody knows whether the server has used up the refresh token: account main: no answer came: it took too long. It is sent again 01:57"}),
			failures("01:56", 1, "ambiguous", "no answer came: it took too long")), verdict: None,
			words: []string{"the refresh token: no answer came: it took too long. It is", "failed: it got no answer that counts."}, never: []string{"account main: no"}},
		{name: "the login is refused", lines: join(usual(),
			line("01:50", event.Event{Type: event.NeedsLogin, Kind: "invalid_grant", Message: "the server refused the refresh token (invalid_grant) 20h0m0s before it should have died. Another program may have refreshed this grant, or a new login has ended it. Log in again: tokenkeeper login main"})), verdict: None,
			words: []string{"refused the refresh token", "invalid_grant", "01:50:00", "Another program may have", "tokenkeeper login main"}},
		{name: "the login was revoked", lines: join(usual(),
			line("01:45", event.Event{Type: event.Revoked, Message: "its login was revoked by a person (user 1000) at 2026-11-30 01:45 UTC: nothing is refreshed any more, and sinks keep the access token that they have, which may be dead. Log in again with: tokenkeeper login main"}),
			line("01:46", event.Event{Type: event.NeedsLogin, Alert: true, State: event.AlertRaised, Message: "account main needs a login: its login was revoked by a person (user 1000) at 2026-11-30 01:45 UTC; its access token ends 2026-11-30 02:00 UTC"})), verdict: None,
			words: []string{"At 01:45:00: its login was revoked by a person (user 1000)", "tokenkeeper login main"}, never: []string{"01:46", "2 times"}},
		{name: "nobody knows whether the login was revoked", lines: join(usual(),
			line("01:45", event.Event{Type: event.RevokeUnknown, Message: "nobody knows whether its login is revoked: the request was sent to broker.example and no answer came"})), at: "01:50", now: "01:50", verdict: Valid, words: []string{"version 41", "tokenkeeper refresh main --force"}, never: []string{"Nothing has to be done"}},
		{name: "the client is refused", lines: join(usual(), failures("01:45", 4, "invalid_client", "broker.example does not know the client (invalid_client)")), verdict: None,
			words: []string{"4 attempts", "invalid_client", "client_secret", "tokenkeeper reload"}},
		{name: "the client is refused, and the token lives", lines: join(usual(), failures("01:45", 1, "invalid_client", "broker.example does not know the client (invalid_client)")), at: "01:50", now: "01:50", verdict: Valid,
			words: []string{"version 41", "client_secret", "tokenkeeper reload"}, never: []string{"Nothing has to be done"}},
		{name: "the clock was ahead at the first start", lines: join(begins("05:00", "main", "spare"), usual()), at: "01:50", now: "01:55", verdict: Valid,
			words: []string{"main had a valid token", "version 41"}, never: []string{"not known"}},
		{name: "the proxy refuses", lines: join(usual(), failures("01:45", 3, "not_sent", "nothing was sent to broker.example: the proxy proxy.example:3128 (setting proxy) wants a user and a password (HTTP 407)")), verdict: None,
			words: []string{"3 attempts", "proxy", "HTTP 407", "nothing was sent", "tokenkeeper doctor"}},
		{name: "the name can't be looked up", lines: join(usual(), failures("01:45", 6, "not_sent", "nothing was sent to broker.example: the host name broker.example can't be looked up")), verdict: None,
			words: []string{"6 attempts", "host name", "can't be looked up", "network", "tokenkeeper doctor"}},
		{name: "the certificate is not valid yet", lines: join(usual(), failures("01:45", 3, "not_sent", "nothing was sent to broker.example: its TLS certificate is not trusted: x509: certificate has expired or is not yet valid: current time 2019-01-01")), verdict: None,
			words: []string{"3 attempts", "TLS certificate", "clock"}},
		{name: "the clock is wrong", lines: join(usual(),
			other("01:55", event.Event{Type: event.ClockJumped, Provider: "schwab", Message: "the wall clock moved by -3h0m0s against the monotonic one; 2 accounts are due earlier now"})), verdict: None,
			words: []string{"clock", "set back", "3h0m0s", "01:55:00"}},
		{name: "the token is dead on arrival", lines: join(usual(),
			line("01:50", event.Event{Type: event.RefreshFailed, Kind: "transient", Version: 42, Failures: 1, Max: 5,
				Message: "account main: the broker has answered with an access token that is dead already (it says that the token lives 0s); it is stored as version 42, and given to nobody"})), verdict: None,
			words: []string{"dead already", "version 42", "clock"}},
		{name: "too many requests", lines: join(usual(), failures("01:50", 2, "rate_limited", "broker.example asks for fewer requests (HTTP 429)")), verdict: None,
			words: []string{"2 attempts", "fewer requests", "HTTP 429"}},
		{name: "a person has paused it", lines: join(usual(),
			line("01:40", event.Event{Type: event.Paused, Message: "paused since 2026-11-30 01:40 UTC by user 1000 (the broker moves): nothing is asked of its broker; to go on: tokenkeeper resume main"})), verdict: None,
			words: []string{"paused", "user 1000", "the broker moves", "tokenkeeper resume main"}},
		{name: "a pause that is over is no reason", lines: join(usual(),
			line("01:35", event.Event{Type: event.Paused, Message: "paused since 2026-11-30 01:35 UTC by user 1000: nothing is asked of its broker"}),
			line("01:40", event.Event{Type: event.Resumed, Message: "resumed by user 1000"}), failures("01:50", 3, "transient", "broker.example answered HTTP 500")), verdict: None,
			words: []string{"HTTP 500"}, never: []string{"tokenkeeper resume"}},
		{name: "nobody has logged in", lines: join(begins("01:00", "main"),
			history.Line{Event: event.Event{Time: clock("01:00"), Type: history.Stands, Account: "main", Provider: "schwab"}, Standing: "new"}), verdict: None,
			words: []string{"no token yet", "nobody has logged in", "It had none either when the supervisor started", "tokenkeeper login main"}, never: []string{"earlier token"}},
		{name: "a login that failed", lines: join(begins("01:00", "main"),
			history.Line{Event: event.Event{Time: clock("01:00"), Type: history.Stands, Account: "main", Provider: "schwab"}, Standing: "new"},
			line("01:10", event.Event{Type: event.LoginFailed, Kind: "transient", Message: "the login brought no token (broker.example answered HTTP 500)"})), verdict: None,
			words: []string{"no token yet", "login", "01:10:00", "HTTP 500", "tokenkeeper login main"}},
		{name: "the login has ended", lines: join(usual(),
			line("01:45", event.Event{Type: event.NeedsLogin, Alert: true, State: event.AlertRaised,
				Message: "account main needs a login: its login has ended 2026-11-30 01:45 UTC; its access token ends 2026-11-30 02:00 UTC; log in: tokenkeeper login main"})), verdict: None,
			words: []string{"its login has ended", "01:45", "tokenkeeper login main"}, never: []string{"refused"}},
		{name: "another program has spent the grant", lines: join(usual(),
			line("01:50", event.Event{Type: event.RivalRefresher, Message: "the server refused our refresh token, and the shared file held a newer one: another program refreshes this grant without taking the lock. Its token is used; let that program take the lock, or stop it"}),
			line("01:51", event.Event{Type: event.NeedsLogin, Kind: "invalid_grant", Message: "the server refused the refresh token (invalid_grant)"})), verdict: None,
			words: []string{"another program refreshes this grant", "refused", "stop it", "tokenkeeper login main"}},
		{name: "a bot holds the shared file", lines: join(usual(),
			line("01:50", event.Event{Type: event.SharedFileHeld, Message: "the shared file could not be locked, so nothing was refreshed: it is held by python3 (PID 4711) since 01:48"})), verdict: None,
			words: []string{"shared file", "could not be locked", "PID 4711", "End the program"}},
		{name: "an unknown token stands in its file", lines: join(usual(),
			line("01:40", event.Event{Type: event.UnknownToken, Message: "the shared file holds a refresh token that nobody here knows. Nothing is refreshed until somebody decides: tokenkeeper import main --force"})), verdict: None,
			words: []string{"nobody here knows", "somebody decides", "tokenkeeper import main --force"}},
		{name: "the store is another machine's", lines: join(usual(),
			other("01:31", event.Event{Type: event.OtherMachine, Message: "the store belongs to machine alpha, and this is beta: give it to this one with tokenkeeper adopt"})), verdict: None,
			words: []string{"belongs to machine alpha", "tokenkeeper adopt"}},
		{name: "it was another machine's, and is not any more", lines: join(usual(),
			other("01:31", event.Event{Type: event.OtherMachine, Message: "the store belongs to machine alpha, and this is beta"}), comes("01:40", 42, "02:10", "bot", "hook")), verdict: None,
			words: []string{"version 42", "does not tell"}, never: []string{"tokenkeeper adopt"}},
		{name: "the disk is full", lines: join(usual(),
			line("01:50", event.Event{Type: event.DiskTrouble, Message: "note the attempt: write tokenkeeper.db: no space left on device. Check the disk of the state directory; it is tried again"}),
			other("02:20", event.Event{Type: history.Lost, Message: "events that could not be written to the history: 12"})), verdict: None,
			words: []string{"no space left on device", "disk", "tokenkeeper doctor", "12"}},
		{name: "the provider crashes", lines: join(usual(),
			other("01:45", event.Event{Type: event.ProviderStopped, Provider: "schwab", Next: clock("01:46"), Message: "provider schwab is started again in 1s: the process is gone: exit status 2"}),
			other("01:47", event.Event{Type: event.ProviderStopped, Provider: "schwab", Next: clock("01:49"), Message: "provider schwab is started again in 2m0s: the process is gone: exit status 2"})), verdict: None,
			words: []string{"provider schwab", "ended 2 times", "exit status 2", "tokenkeeper restart schwab"}},
		{name: "the provider's program is missing", lines: join(begins("01:00", "main"), comes("01:30", 41, "02:00", "bot"),
			other("01:40", event.Event{Type: event.ProviderParked, Provider: "schwab", Message: "provider schwab is parked: /opt/schwab is missing: install the provider there, or correct its command in the configuration; then run: tokenkeeper restart schwab"})), verdict: None,
			words: []string{"parked", "/opt/schwab is missing", "tokenkeeper restart schwab"}},
		{name: "a sink does not take it", lines: join(usual(), comes("01:50", 42, "02:40", "bot"),
			line("01:51", event.Event{Type: event.DeliveryFailed, Sink: "hook", Version: 42, Failures: 3, Max: 5, Message: `sink "hook" did not take account main: HTTP 500; trying again in 30s`})), verdict: Valid,
			words: []string{"valid token", "hook", "still has version 41", "HTTP 500", "tokenkeeper sinks test hook"}, never: []string{"Nothing has to be done"}},
		{name: "a consumer is not there", lines: join(usual(), comes("01:50", 42, "02:40", "hook"),
			line("01:50", event.Event{Type: event.SinkAbsent, Sink: "bot", Version: 42, Message: `sink "bot" waits: nobody listens on /run/bot.sock; its tokens are delivered when it comes`})), verdict: Valid,
			words: []string{"valid token", "bot", "still has version 41", "nobody listens on /run/bot.sock", "start"}},
		{name: "the consumer held an older version", lines: join(usual(), comes("01:50", 42, "02:40", "hook")), verdict: Valid,
			words: []string{"valid token", "version 42", "bot still has version 41", "ended at 02:00:00"}},
		{name: "a reload failed", lines: join(begins("01:00", "spare"),
			other("01:20", event.Event{Type: event.ReloadFailed, Alert: true, State: event.AlertRaised, Message: "the configuration could not be read again, and what runs does not follow it: line 7: accounts: main is there twice"})), verdict: None,
			words: []string{"not configured", "could not be read again", "line 7", "tokenkeeper reload"}},
		{name: "there is no such account, and no supervisor", lines: join(begins("01:00", "spare"), ends("01:40")), verdict: None,
			words: []string{"not configured", "No supervisor has been running", "Write the account into the configuration"}, never: []string{"Start it"}},
		{name: "a reload that failed has nothing to do with it", lines: join(usual(),
			other("01:40", event.Event{Type: event.ReloadFailed, Alert: true, State: event.AlertRaised, Message: "the configuration could not be read again: line 7"})), verdict: None,
			words: []string{"Why no other token came, the history does not tell", "tokenkeeper status main"}, never: []string{"line 7", "Correct the configuration"}},
		{name: "a reload failed, and the next one did not", lines: join(begins("01:00", "spare"),
			other("01:20", event.Event{Type: event.ReloadFailed, Alert: true, State: event.AlertRaised, Message: "the configuration could not be read again: line 7"}),
			history.Line{Event: event.Event{Time: clock("01:40"), Type: history.Configured}, Accounts: []string{"spare"}}), verdict: None,
			words: []string{"Write the account into the configuration"}, never: []string{"line 7", "Correct the configuration"}},
		{name: "the supervisor was stopped", lines: join(usual(), ends("01:40"), begins("02:45", "main"), comes("02:45", 42, "03:15", "bot", "hook")), now: "02:50", verdict: None,
			words: []string{"No supervisor was running from 01:40:00 to 02:45:00", "it was stopped", "version 42", "02:45:00", "Nothing has to be done"}},
		{name: "the supervisor is stopped", lines: join(usual(), ends("01:40")), verdict: None,
			words: []string{"No supervisor has been running since 01:40:00", "it was stopped", "tokenkeeper run"}},
		{name: "the supervisor was killed", lines: join(usual(), begins("02:45", "main")), now: "02:50", verdict: None,
			words: []string{"without a word", "after 01:30:00", "started again at 02:45:00", "killed"}},
		{name: "one was restarted after the token had ended", lines: join(usual(),
			line("01:50", event.Event{Type: event.NeedsLogin, Kind: "invalid_grant", Message: "the server refused the refresh token (invalid_grant)"}), ends("02:10"), begins("02:11", "main")), verdict: None,
			words: []string{"refused", "tokenkeeper login main"}, never: []string{"No supervisor"}},
		{name: "the begin of the run that answers is not in the history", lines: join(usual(), ends("01:40")), answers: true, verdict: None,
			words: []string{"no valid token", "version 41"}, never: []string{"No supervisor", "tokenkeeper run"}},
		{name: "the begin of a run is not in the history", lines: join(usual(), ends("01:40"),
			other("02:20", event.Event{Type: history.Lost, Message: "events that could not be written to the history: 12"}), comes("02:25", 42, "02:55", "bot", "hook")), verdict: Valid,
			words: []string{"version 42", "12", "Nothing has to be done"}, never: []string{"No supervisor has been", "tokenkeeper run"}},
		{name: "what happened then could not be written", lines: join(usual(),
			other("02:40", event.Event{Type: history.Lost, Message: "events that could not be written to the history: 12"}), comes("02:45", 43, "03:15", "bot", "hook")), now: "02:50", verdict: Unknown,
			words: []string{"is not known: version 41, refreshed at 01:30:00, had ended at 02:00:00, and what came then could not be written", "At 02:40:00: events that could not be written to the history: 12."}},
		{name: "what was lost may be the next token", lines: join(usual(),
			other("02:10", event.Event{Type: history.Lost, Message: "events that could not be written to the history: 12"})), answers: true, verdict: Unknown,
			words: []string{"is not known: version 41", "At 02:10:00: events that could not be written to the history: 12.", "tokenkeeper status main"}},
		{name: "some was lost, and the next token did not come all the same", lines: join(usual(),
			other("02:10", event.Event{Type: history.Lost, Message: "events that could not be written to the history: 12"}),
			failures("02:12", 3, "transient", "broker.example answered HTTP 503")), verdict: None,
			words: []string{"no valid token: version 41", "HTTP 503"}},
		{name: "a delivery alone tells of a token", lines: join(usual(), delivered("01:50", 42, "bot")), at: "02:10", now: "02:10", verdict: Unknown,
			words: []string{"version 42, delivered at 01:50:00, has an end that nobody knows", "hook still has version 41"}},
		{name: "a delivery tells of a token, and a failure of its end", lines: join(usual(), delivered("01:50", 42, "bot"),
			line("01:55", event.Event{Type: event.DiskTrouble, Expiry: clock("02:00"), Message: "the disk is full"}),
			line("02:20", event.Event{Type: event.DiskTrouble, Expiry: clock("02:40"), Message: "the disk is full"})), verdict: Valid,
			words: []string{"version 42", "until 02:40:00"}},
		{name: "the store was restored, and the sinks have newer ones", lines: join(begins("01:00", "main"), comes("01:30", 40, "02:00", "bot", "hook"), ends("02:03"), begins("02:04", "main"),
			line("02:04", event.Event{Type: event.StoreRestored, Version: 37, Message: "version 37 of 2026-11-30T00:50:00Z, from a backup: a newer version may be lost"}),
			history.Line{Event: event.Event{Time: clock("02:04"), Type: history.Stands, Account: "main", Provider: "schwab", Version: 37, Expiry: clock("02:20")}, Standing: "valid"},
			line("02:05", event.Event{Type: event.DeliveryFailed, Sink: "hook", Version: 37, Message: `sink "hook" did not take account main: HTTP 500; trying again in 30s`})), at: "02:10", now: "02:10", verdict: Valid,
			words: []string{"version 37", "Sink bot has version 40, of 01:30:00, which is newer", "hook still has version 40", "tokenkeeper sinks test hook"}, never: []string{"Version 37 was delivered"}},
		{name: "that a person said when the login was is no token", lines: join(usual(),
			line("02:40", event.Event{Type: event.LoginTold, Version: 42, Expiry: clock("02:00"), Message: "a person has said when the login was made"}), comes("02:45", 43, "03:15", "bot", "hook")), now: "02:50", verdict: None,
			words: []string{"The next token came at 02:45:00: version 43, refreshed"}},
		{name: "what failed after a token that the history lacks", lines: join(usual(), failures("01:55", 3, "transient", "broker.example answered HTTP 503"), begins("01:58", "main"),
			history.Line{Event: event.Event{Time: clock("01:58"), Type: history.Stands, Account: "main", Provider: "schwab", Version: 42, Expiry: clock("02:10")}, Standing: "failing", StoredAt: clock("01:50")}), verdict: None,
			words: []string{"version 42", "3 attempts", "HTTP 503"}},
		{name: "the clock was ahead when the token came", lines: join(usual(), comes("05:00", 42, "05:30", "bot", "hook"),
			other("02:05", event.Event{Type: event.ClockJumped, Provider: "schwab", Message: "the wall clock moved by -3h0m0s against the monotonic one; no account is due earlier now"})), at: "02:10", now: "02:10", verdict: Valid,
			words: []string{"version 42"}},
		{name: "the machine slept", lines: join(usual(),
			other("07:30", event.Event{Type: event.ClockJumped, Provider: "schwab", Message: "the wall clock moved by 5h45m0s against the monotonic one; 2 accounts are due earlier now"}),
			comes("07:31", 42, "08:00", "bot", "hook")), now: "07:40", verdict: None,
			words: []string{"slept", "5h45m0s", "07:30:00", "version 42"}},
		{name: "it was not configured then", lines: join(begins("01:00", "spare"), ends("02:59"), begins("03:00", "main", "spare"), comes("03:01", 1, "03:31", "bot")), now: "03:10", verdict: None,
			words: []string{"not configured", "03:01:00", "version 1"}},
		{name: "it was taken out of the configuration", lines: join(usual(),
			history.Line{Event: event.Event{Time: clock("01:40"), Type: history.Configured}, Accounts: []string{"spare"}}), at: "01:50", now: "01:50", verdict: Valid,
			words: []string{"valid token", "version 41", "not configured", "Write the account into the configuration"}, never: []string{"Nothing has to be done"}},
		{name: "there are too many accounts to note how each stands", lines: begins("01:00", append(make([]string, 100), "main")...), verdict: Unknown,
			words: []string{"from 01:00:00 on the history tells nothing of account main; how each account stands when a supervisor starts is noted of 100 at most", "next event", "tokenkeeper status main"}},
		{name: "it came by a reload", lines: join(begins("01:00", "old"),
			history.Line{Event: event.Event{Time: clock("01:40"), Type: history.Configured}, Accounts: []string{"main"}}), verdict: Unknown,
			words: []string{"since it came into the configuration at 01:40:00 the history tells nothing of account main", "If it was renamed"}, never: []string{"100 at most"}},
		{name: "there are too many accounts to name", lines: join(begins("01:00", "spare"),
			history.Line{Event: event.Event{Time: clock("01:10"), Type: history.Configured, Message: "accounts that are configured: 600"}}, comes("01:30", 41, "02:00", "bot")), verdict: None,
			words: []string{"version 41"}, never: []string{"not configured"}},
		{name: "a sink that failed is there no more", lines: join(usual(), comes("01:50", 42, "02:40", "bot"),
			line("01:51", event.Event{Type: event.DeliveryFailed, Sink: "hook", Version: 42, Message: `sink "hook" did not take account main: HTTP 500; trying again in 30s`}),
			history.Line{Event: event.Event{Time: clock("02:00"), Type: history.Configured}, Accounts: []string{"main"}, Sinks: []string{"bot"}}), verdict: Valid,
			words: []string{"valid token", "Version 42 was delivered to bot", "Nothing has to be done"}, never: []string{"hook"}},
		{name: "it was due too late", lines: join(usual(),
			other("01:55", event.Event{Type: event.PlanMended, Provider: "schwab", Message: "the plan of provider schwab was wrong (main was not in it) and was made anew from its accounts. This is a defect of Tokenkeeper"})), verdict: None,
			words: []string{"the plan of provider schwab was wrong", "01:55:00", "tokenkeeper restart schwab"}},
		{name: "a forced refresh failed", lines: join(usual(),
			line("01:55", event.Event{Type: event.Audit, Act: &event.Act{Name: "refresh", Force: true, Caller: event.Caller{UID: 1000, Program: "/usr/bin/tokenkeeper"}}}),
			failures("01:55", 1, "transient", "broker.example answered HTTP 500")), verdict: None,
			words: []string{"user 1000", "refresh by force", "01:55:00", "One attempt", "HTTP 500"}},
		{name: "it is restored from a backup", lines: join(begins("01:00", "main"),
			line("01:00", event.Event{Type: event.StoreRestored, Version: 37, Message: "version 37 of 2026-11-29T23:00:00Z, from a backup: a newer version may be lost, so its refresh token may be spent"}),
			line("01:02", event.Event{Type: event.NeedsLogin, Kind: "invalid_grant", Expiry: clock("-23:30"), Message: "the server refused the refresh token (invalid_grant)"})), verdict: None,
			words: []string{"from a backup", "a newer version may be lost", "refused", "tokenkeeper login main"}},
		{name: "a sink gives the token back", lines: join(begins("01:00", "main"),
			line("01:01", event.Event{Type: event.RestoreFailed, Sink: "hook", Message: "the token is missing, and sink \"hook\" could not be asked for the one that it holds"}),
			line("01:02", event.Event{Type: event.Imported, Version: 1, Expiry: clock("02:40"), Message: "token imported"}),
			line("01:02", event.Event{Type: event.Restored, Sink: "bot", Message: "the token is missing here; the newest one that sink \"bot\" holds is its version 1 now"}),
			delivered("01:03", 1, "bot")), verdict: Valid,
			words: []string{"version 1", "taken back from a sink at 01:02:00", "lives until 02:40:00", "Version 1 was delivered to bot", "Nothing has to be done"}, never: []string{"hook"}},
		{name: "restored from a backup, and still good", lines: join(begins("01:00", "main"),
			line("01:00", event.Event{Type: event.StoreRestored, Version: 37, Message: "version 37 of 2026-11-30T00:50:00Z, from a backup: its newest version was restored"}),
			history.Line{Event: event.Event{Time: clock("01:00"), Type: history.Stands, Account: "main", Provider: "schwab", Version: 37, Expiry: clock("01:20")}, Standing: "valid"},
			line("01:01", event.Event{Type: event.LoginTold, Version: 38, Expiry: clock("01:20"), Message: "a person has said when the login was made"})), at: "01:10", now: "01:10", verdict: Valid,
			words: []string{"version 38", "taken from a backup at 01:00:00", "lives until 01:20:00"}},
		{name: "others can change what steers it", lines: join(usual(),
			line("01:50", event.Event{Type: event.Untrusted, Kind: "not_sent", Message: "/etc/ca.pem can be changed by group staff. The refresh token is not used before that is put right; it is tried again"})), verdict: None,
			words: []string{"/etc/ca.pem can be changed by group staff", "tokenkeeper check"}},
		{name: "the broker ended the session", lines: join(usual(),
			line("01:45", event.Event{Type: event.SessionGone, Alert: true, State: event.AlertRaised, Message: "account main: by the broker's word the session of its token has been over since 01:44, and the next token does not come or does not help"})), at: "01:50", now: "01:50", verdict: None,
			words: []string{"no valid token: the broker had ended the session of version 41, refreshed at 01:30:00, which would have lived until 02:00:00", "over since 01:44", "tokenkeeper login main"}, never: []string{"Nothing has to be done"}},
		{name: "the broker ended the session, and only a login helps", lines: join(usual(),
			line("01:44", event.Event{Type: event.NeedsLogin, Version: 41, Expiry: clock("02:00"), Message: "the broker says that the session of its token is over; log in again: tokenkeeper login main"}),
			line("01:46", event.Event{Type: event.Recovered, Over: event.SessionGone, State: event.AlertRecovered, Message: "account main: its session is not waited for any more, because it needs a login"})), at: "01:50", now: "01:50", verdict: None,
			words: []string{"the broker had ended the session of version 41", "tokenkeeper login main"}},
		{name: "the session is there again", lines: join(usual(),
			line("01:45", event.Event{Type: event.SessionGone, Alert: true, State: event.AlertRaised, Message: "account main: the session of its token is over"}),
			line("01:48", event.Event{Type: event.Recovered, Over: event.SessionGone, State: event.AlertRecovered, Message: "account main has a session again"})), at: "01:50", now: "01:50", verdict: Valid,
			words: []string{"valid token", "Nothing has to be done"}, never: []string{"ended the session"}},
		{name: "a person has decided about an unknown token", lines: join(usual(),
			line("01:40", event.Event{Type: event.UnknownToken, Message: "account main: its file holds a token that nobody here knows"}),
			line("01:50", event.Event{Type: event.Recovered, Over: event.UnknownToken, State: event.AlertRecovered, Message: "account main goes on"}),
			failures("01:55", 3, "transient", "broker.example answered HTTP 503")), verdict: None,
			words: []string{"At 01:40:00: its file holds a token that nobody here knows. That was over at 01:50:00.", "HTTP 503", "broker's status page"}, never: []string{"Decide"}},
		{name: "what was in the way is over, and the token lives", lines: join(usual(),
			line("01:40", event.Event{Type: event.LoginWaits, Message: "a login of another person waits"}),
			line("01:42", event.Event{Type: event.Untrusted, Message: "/etc/ca.pem can be changed by group staff"}),
			line("01:43", event.Event{Type: event.Recovered, Over: event.LoginWaits, State: event.AlertRecovered}),
			other("01:44", event.Event{Type: event.Recovered, Over: event.Untrusted, Provider: "schwab", State: event.AlertRecovered})), at: "01:50", now: "01:50", verdict: Valid,
			words: []string{"Nothing has to be done"}, never: []string{"another person", "/etc/ca.pem", "Decide"}},
		{name: "it is over for one of two", lines: join(usual(),
			line("01:40", event.Event{Type: event.LoginWaits, Message: "a login of another person waits"}),
			other("01:41", event.Event{Type: event.LoginWaits, Provider: "schwab", Alert: true, State: event.AlertRaised, Message: "2 accounts at schwab wait for a decision: main, spare"}),
			other("01:45", event.Event{Type: event.LoginWaits, Provider: "schwab", Account: "spare", Alert: true, State: event.AlertRepeated, Message: "still: account spare waits; it is over for main"})), at: "01:50", now: "01:50", verdict: Valid,
			words: []string{"Nothing has to be done"}, never: []string{"another person", "Decide"}},
		{name: "it came again", lines: join(usual(),
			line("01:40", event.Event{Type: event.LoginWaits, Message: "a login of another person waits"}),
			line("01:43", event.Event{Type: event.Recovered, Over: event.LoginWaits, State: event.AlertRecovered}),
			line("01:45", event.Event{Type: event.LoginWaits, Message: "a login of another person waits"})), at: "01:50", now: "01:50", verdict: Valid,
			words: []string{"At 01:45:00: a login of another person waits.", "Decide"}, never: []string{"over at"}},
		{name: "it goes on after a pause", lines: join(usual(),
			line("01:40", event.Event{Type: event.Paused, Message: "paused: nothing is asked of its broker"}),
			line("02:25", event.Event{Type: event.Resumed, Message: "resumed by a person"})), verdict: None,
			words: []string{"At 01:40:00: paused", "That was over at 02:25:00.", "tokenkeeper status main"}, never: []string{"tokenkeeper resume"}},
		{name: "its pause ended while no supervisor was running", lines: join(usual(),
			line("01:40", event.Event{Type: event.Paused, Message: "paused until 02:00"}), begins("02:10", "main"),
			history.Line{Event: event.Event{Time: clock("02:10"), Type: history.Stands, Account: "main", Provider: "schwab", Version: 41, Expiry: clock("02:40")}, Standing: "valid"}), verdict: None,
			never: []string{"tokenkeeper resume"}},
		{name: "the history begins later", lines: usual(), at: "-12:00", verdict: Unknown,
			words: []string{"not known", "history begins at", "01:00:00"}},
		{name: "there is no history", verdict: Unknown, words: []string{"not known", "no history"}},
		{name: "nobody knows the account", lines: join(begins("01:00"), line("01:10", event.Event{Type: event.Delivered}))[:2], verdict: Unknown,
			words: []string{"not known", "nothing of account main"}},
	}
}

func TestFaults(t *testing.T) {
	if n := len(faults()); n < 30 {
		t.Fatalf("only %d faults are written down", n)
	}
	for _, f := range slices.Concat(faults(), moreFaults()) {
		t.Run(f.name, func(t *testing.T) {
			at, now := f.at, f.now
			if at == "" {
				at = "02:30"
			}
			if now == "" {
				now = "02:30"
			}
			q := Question{Account: "main", At: clock(at), Now: clock(now), Answers: f.answers, Silent: f.silent, Cut: f.cut}
			if f.observed != "" {
				q.Observed = clock(f.observed)
			}
			got := Explain(f.lines, q)
			said := strings.Join(got.Sentences, "\n")
			if got.Verdict != f.verdict {
				t.Errorf("the verdict is %s, not %s", got.Verdict, f.verdict)
			}
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
			if n := len(got.Sentences); n < 3 || n > 8 {
				t.Errorf("%d sentences", n)
			}
			for n, s := range got.Sentences {
				toCopy := n == len(got.Sentences)-1 && strings.Contains(s, "tokenkeeper ") // may end with a command
				if !strings.HasSuffix(s, ".") && !toCopy || strings.HasSuffix(s, "..") || strings.Contains(s, "  ") {
					t.Errorf("no sentence: %q", s)
				}
			}
			t.Logf("said:\n%s", said)
		})
	}
}
