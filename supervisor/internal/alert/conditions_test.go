package alert

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
)

var noon = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

// healthy is an account about which nobody need be told anything.
func healthy() Account {
	return Account{
		Name: "main", Provider: "schwab", StoredAt: noon.Add(-time.Hour), Expiry: noon.Add(time.Minute),
		By: advice.Token{Account: "main"}, Spent: "refresh token",
		MaxFailures: 3, RefreshExpiry: noon.Add(5 * 24 * time.Hour), PolicyKnown: true,
	}
}

func TestConditions(t *testing.T) {
	policy := Policy{LoginDue: 24 * time.Hour}
	account := func(change func(*Account)) Snapshot {
		a := healthy()
		change(&a)
		return Snapshot{Now: noon, Accounts: []Account{a}}
	}
	proc := func(p Process) Snapshot { p.Name = "schwab"; return Snapshot{Now: noon, Processes: []Process{p}} }
	load := func(l Load) Snapshot { l.Provider = "schwab"; return Snapshot{Now: noon, Loads: []Load{l}} }
	hook := func(k Sink) Snapshot { k.Name = "hook"; return Snapshot{Now: noon, Sinks: []Sink{k}} }
	met := func(t event.Type, account, what string, age time.Duration) Snapshot {
		return Snapshot{Now: noon, Facts: []event.Fact{{Type: t, Account: account, At: noon.Add(-age), What: what}}}
	}

	tests := []struct {
		name string
		s    Snapshot
		key  string
		want State
		says string
	}{
		{"no failure", account(func(a *Account) {}), "refresh_failing:main", Off, "is refreshed again"},
		{"a failure", account(func(a *Account) { a.Failures = 1 }), "refresh_failing:main", Unknown, ""},
		{"one too few", account(func(a *Account) { a.Failures = 2 }), "refresh_failing:main", Unknown, ""},
		{"max failures", account(func(a *Account) { a.Failures, a.LastError = 3, "HTTP 503" }), "refresh_failing:main", On, "HTTP 503; it is tried again"},
		{"a provider's error", account(func(a *Account) {
			a.Failures, a.LastError = 3, "account main: broker.example answered HTTP 503, which is no OAuth error; it will be tried again"
		}), "refresh_failing:main", On, "the last error: broker.example answered HTTP 503, which is no OAuth error; it is tried again all the time"},
		{"bad client", account(func(a *Account) { a.Failures, a.Misconfigured = 1, true }), "refresh_failing:main", On, "correct accounts.main in the configuration, then run: tokenkeeper reload"},
		{"failures, then a login is needed", account(func(a *Account) { a.Failures, a.NeedsLogin = 9, true }), "refresh_failing:main", Off, "because it needs a login"},
		{"failures, then a login is needed of a bad client", account(func(a *Account) { a.Failures, a.Misconfigured, a.NeedsLogin = 1, true, true }), "refresh_failing:main", Off, "because it needs a login"},
		{"failures, then an answer that nobody could read", account(func(a *Account) { a.Failures, a.AmbiguousSince, a.Unread = 9, noon, "/spool/unread-A" }), "refresh_failing:main", Off, "nobody could read"},
		{"no failure, and an open attempt", account(func(a *Account) { a.AmbiguousSince = noon }), "refresh_failing:main", Unknown, ""},
		{"no token yet", account(func(a *Account) { a.StoredAt = time.Time{} }), "refresh_failing:main", Unknown, ""},

		{"no token yet, and minting one fails", account(func(a *Account) { a.StoredAt, a.Mints, a.Failures = time.Time{}, true, 5 }), "refresh_failing:main", On, "it has no token yet"},
		{"minting one has failed twice", account(func(a *Account) { a.StoredAt, a.Mints, a.Failures = time.Time{}, true, 2 }), "refresh_failing:main", Unknown, ""},
		{"no token yet, and none was tried", account(func(a *Account) { a.StoredAt, a.Mints = time.Time{}, true }), "refresh_failing:main", Unknown, ""},
		{"no token yet, and a person is not needed", account(func(a *Account) { a.StoredAt, a.Mints, a.Failures = time.Time{}, true, 5 }), "needs_login:main", Unknown, ""},
		{"its first key is refused", account(func(a *Account) { a.StoredAt, a.Mints, a.NeedsLogin, a.By.Means = time.Time{}, true, true, advice.Key }), "needs_login:main", On, "refuses the key from which its tokens are minted"},
		{"its key is refused", account(func(a *Account) { a.Mints, a.NeedsLogin, a.By.Means = true, true, advice.Key }), "needs_login:main", On, "mend client_id, client_secret or settings of the account, then run: tokenkeeper reload;"},
		{"its key is refused after failures", account(func(a *Account) { a.Mints, a.NeedsLogin, a.By.Means, a.Failures = true, true, advice.Key, 9 }), "refresh_failing:main", Off, "refuses its key"},

		{"refused, where a file brings tokens", account(func(a *Account) { a.NeedsLogin, a.By.Means = true, advice.Import }), "needs_login:main", On,
			"account main needs another token from a file: ; its access token ends 2027-03-01 12:01 UTC; import a token with: tokenkeeper import main FILE"},
		{"over, where a file brings tokens", account(func(a *Account) {
			a.NeedsLogin, a.Ended, a.By.Means = true, "its login ended at noon", advice.Import
		}), "needs_login:main", On,
			"needs another token from a file: its login ended at noon; its access token ends 2027-03-01 12:01 UTC; import a token with: tokenkeeper import main FILE"},
		{"a login that ends, where a file brings tokens", account(func(a *Account) { a.RefreshExpiry, a.By.Means = noon.Add(time.Hour), advice.Import }), "login_due_soon:main", On,
			"import a token before that with: tokenkeeper import main FILE --force"},
		{"an open attempt, where a file brings tokens", account(func(a *Account) { a.AmbiguousSince, a.By.Means = noon, advice.Import }), "ambiguous:main", On,
			"to be on the safe side, import a token with: tokenkeeper import main FILE --force"},
		{"an open renewal", account(func(a *Account) { a.AmbiguousSince, a.Spent = noon, "access token" }), "ambiguous:main", On,
			"whether the broker has used up its access token in the attempt of"},
		{"renewals fail", account(func(a *Account) { a.Failures, a.Act = 3, "renewal" }), "refresh_failing:main", On, "account main: 3 renewals in a row have failed"},
		{"a session is over, where a file brings tokens", account(func(a *Account) {
			a.Session, a.By.Means = Session{State: SessionGone, Since: noon.Add(-time.Hour)}, advice.Import
		}), "session_gone:main", On, "a new session may need another token from a file: tokenkeeper import main FILE --force"},

		{"a token from a file", account(func(a *Account) { a.By.Means = advice.Import }), "needs_login:main", Off, "has a token that works again"},
		{"a token from a key", account(func(a *Account) { a.Mints = true }), "needs_login:main", Off, "has a token that works again"},
		{"logged in", account(func(a *Account) {}), "needs_login:main", Off, "logged in again"},
		{"refused", account(func(a *Account) { a.NeedsLogin = true }), "needs_login:main", On, "tokenkeeper login main"},
		{"refused, and another is looked for", account(func(a *Account) { a.NeedsLogin, a.Undecided = true, true }), "needs_login:main", Unknown, ""},
		{"failures, and another is looked for", account(func(a *Account) { a.Failures, a.NeedsLogin, a.Undecided = 9, true, true }), "refresh_failing:main", Unknown, ""},
		{"answered by that, and another is looked for", account(func(a *Account) { a.NeedsLogin, a.Undecided = true, true }), "ambiguous:main", Unknown, ""},
		{"refused in the provider's words", account(func(a *Account) {
			a.NeedsLogin, a.LastError = true, "account main: broker.example refused the grant (HTTP 400, invalid_grant): unless a newer token turns up, someone must log in again"
		}), "needs_login:main", On, "account main needs a login: broker.example refused the grant (HTTP 400, invalid_grant); its access token ends"},
		{"refused, and its access token has ended", account(func(a *Account) { a.NeedsLogin, a.Expiry = true, noon.Add(-time.Hour) }), "needs_login:main", On, "its access token ended 2027-03-01 11:00 UTC"},
		{"never logged in", account(func(a *Account) { a.StoredAt = time.Time{} }), "needs_login:main", Unknown, ""},

		{"nothing open", account(func(a *Account) {}), "ambiguous:main", Off, "not in doubt any more"},
		{"an open attempt", account(func(a *Account) { a.AmbiguousSince = noon }), "ambiguous:main", On, "2027-03-01 12:00 UTC"},
		{"an answer that lies unread", account(func(a *Account) { a.AmbiguousSince, a.Unread = noon, "/s/spool/saxo/unread-X" }), "ambiguous:main", On,
			"nobody could read it, and it is kept in /s/spool/saxo/unread-X; its access token ends"},
		{"answered by a refusal", account(func(a *Account) { a.NeedsLogin = true }), "ambiguous:main", Off, "has refused the token of that attempt, and so it needs a login"},

		{"login in five days", account(func(a *Account) {}), "login_due_soon:main", Off, "2027-03-06 12:00 UTC"},
		{"login in a day", account(func(a *Account) { a.RefreshExpiry = noon.Add(24 * time.Hour) }), "login_due_soon:main", On, "ends 2027-03-02 12:00 UTC; log in before"},
		{"login over", account(func(a *Account) { a.RefreshExpiry = noon.Add(-time.Hour) }), "login_due_soon:main", On, "the login of account main ended 2027-03-01 11:00 UTC; log in with"},
		{"a guess", account(func(a *Account) { a.RefreshExpiry, a.Uncertain = noon.Add(time.Hour), true }), "login_due_soon:main", On, "or earlier"},
		{"each refresh starts anew", account(func(a *Account) { a.RefreshExpiry, a.Sliding = noon.Add(time.Hour), true }), "login_due_soon:main", Off, ""},
		{"no end known", account(func(a *Account) { a.RefreshExpiry = time.Time{} }), "login_due_soon:main", Off, ""},
		{"the provider still starts", account(func(a *Account) { a.RefreshExpiry, a.PolicyKnown = noon.Add(time.Hour), false }), "login_due_soon:main", Unknown, ""},
		{"over already", account(func(a *Account) { a.RefreshExpiry, a.NeedsLogin = noon, true }), "login_due_soon:main", Off, "needs a login now"},
		{"over, and nobody has met its provider yet", account(func(a *Account) { a.RefreshExpiry, a.NeedsLogin, a.PolicyKnown = noon, true, false }), "login_due_soon:main", Off, "needs a login now"},
		{"refused, and another is looked for, near its end", account(func(a *Account) { a.RefreshExpiry, a.NeedsLogin, a.Undecided = noon.Add(time.Hour), true, true }), "login_due_soon:main", Unknown, ""},
		{"a login of a day, in its third quarter", account(func(a *Account) { a.RefreshExpiry, a.LoginLife = noon.Add(7*time.Hour), 24*time.Hour }), "login_due_soon:main", Off, "is logged in until"},
		{"a login of a day, in its last quarter", account(func(a *Account) { a.RefreshExpiry, a.LoginLife = noon.Add(6*time.Hour), 24*time.Hour }), "login_due_soon:main", On, "ends 2027-03-01 18:00"},
		{"a login of a week", account(func(a *Account) { a.RefreshExpiry, a.LoginLife = noon.Add(24*time.Hour), 7*24*time.Hour }), "login_due_soon:main", On, "ends"},

		{"its time is over", account(func(a *Account) { a.NeedsLogin, a.Ended = true, "its login ended at noon" }), "needs_login:main", On,
			"account main needs a login: its login ended at noon; its access token ends"},
		{"its time is over after failures", account(func(a *Account) {
			a.NeedsLogin, a.Ended, a.Failures, a.LastError = true, "its login ended at noon", 7, "account main: HTTP 503; it will be tried again"
		}), "needs_login:main", On, "ended at noon, and every try to refresh it in time has failed, the last one so: HTTP 503; its access"},
		{"failures, and then its time is over", account(func(a *Account) { a.Failures, a.NeedsLogin, a.Ended = 9, true, "its login has ended" }), "refresh_failing:main", Off, "because it needs a login"},
		{"an attempt that was lost, and then its time is over", account(func(a *Account) { a.NeedsLogin, a.Ended = true, "its login has ended" }), "ambiguous:main", Off, "its login has ended, and so it needs a login"},

		{"not paused", account(func(a *Account) {}), "pause_forgotten:main", Off, "is not paused any more"},
		{"paused, and the token lives", account(func(a *Account) { a.Pause = "paused since noon by user 7" }), "pause_forgotten:main", Off, "has a token that lives"},
		{"paused, and the token is over", account(func(a *Account) { a.Pause, a.Expiry = "paused since noon by user 7", noon }), "pause_forgotten:main", On,
			"account main is paused since noon by user 7, and its access token ended 2027-03-01 12:00 UTC; to let it go on, run: tokenkeeper resume main"},
		{"paused for a day, and nobody knows the token's end", account(func(a *Account) {
			a.Pause, a.PausedSince, a.Expiry = "paused since yesterday by user 7", noon.Add(-24*time.Hour), time.Time{}
		}), "pause_forgotten:main", On, "account main is paused since yesterday by user 7, and nobody knows whether its access token has ended meanwhile; to let it go on, run: tokenkeeper resume main"},
		{"paused just now, and nobody knows the token's end", account(func(a *Account) {
			a.Pause, a.PausedSince, a.Expiry = "paused since an hour ago by user 7", noon.Add(-24*time.Hour+time.Second), time.Time{}
		}), "pause_forgotten:main", Off, ""},
		{"paused for a day, and it has no token", account(func(a *Account) {
			a.Pause, a.PausedSince, a.Expiry, a.StoredAt = "paused since yesterday by user 7", noon.Add(-48*time.Hour), time.Time{}, time.Time{}
		}), "pause_forgotten:main", Off, ""},
		{"paused for a day, and the token lives", account(func(a *Account) {
			a.Pause, a.PausedSince = "paused since yesterday by user 7", noon.Add(-48*time.Hour)
		}), "pause_forgotten:main", Off, ""},
		{"paused, and the login is not put off", account(func(a *Account) {
			a.Pause, a.Sliding, a.RefreshExpiry = "paused since noon by user 7", true, noon.Add(20*time.Minute)
		}), "pause_forgotten:main", On, "and its login, which each refresh would put off, ends 2027-03-01 12:20 UTC; to let it go on"},
		{"paused, and the login will not be put off for long", account(func(a *Account) {
			a.Pause, a.Sliding, a.RefreshExpiry = "paused since noon by user 7", true, noon.Add(21*time.Minute)
		}), "pause_forgotten:main", Off, ""},
		{"paused, and a login is needed", account(func(a *Account) { a.Pause, a.NeedsLogin, a.Expiry = "paused", true, noon }), "pause_forgotten:main", Off, "needs a login"},
		{"paused, and the login has ended", account(func(a *Account) {
			a.Pause, a.NeedsLogin, a.Ended = "paused since noon by user 7", true, "its login ended at noon"
		}), "needs_login:main", On, "its login ended at noon, while it was paused since noon by user 7; its access token"},
		{"paused after failures", account(func(a *Account) { a.Failures, a.Pause = 9, "paused since noon by user 7" }), "refresh_failing:main", Off, "it is not tried again meanwhile"},

		{"nobody knows when the login was", account(func(a *Account) { a.LoginUnknown, a.RefreshExpiry = true, time.Time{} }), "login_unknown:main", On,
			"say when it was with: tokenkeeper import main --login-time TIME"},
		{"nobody knew, and it is refused", account(func(a *Account) { a.LoginUnknown, a.NeedsLogin = true, true }), "login_unknown:main", Off, ""},
		{"somebody has said when the login was", account(func(a *Account) {}), "login_unknown:main", Off, "it is known"},
		{"a broker that nobody has met yet", account(func(a *Account) { a.PolicyKnown = false }), "login_unknown:main", Unknown, ""},

		{"starting", proc(Process{}), "provider_crashing:schwab", Unknown, ""},
		{"just started", proc(Process{State: ProcessRunning, RunningSince: noon.Add(-30 * time.Second)}), "provider_crashing:schwab", Unknown, ""},
		{"running", proc(Process{State: ProcessRunning, RunningSince: noon.Add(-time.Minute)}), "provider_crashing:schwab", Off, "runs again"},
		{"crashing", proc(Process{State: ProcessCrashing, LastError: "exit status 1"}), "provider_crashing:schwab", On, "exit status 1; the log says why; after mending it run: tokenkeeper restart schwab"},
		{"crashing, so not parked", proc(Process{State: ProcessCrashing}), "provider_parked:schwab", Unknown, ""},
		{"parked", proc(Process{State: ProcessParked, LastError: "wrong checksum"}), "provider_parked:schwab", On, "wrong checksum"},
		{"parked, so not crashing", proc(Process{State: ProcessParked}), "provider_crashing:schwab", Unknown, ""},
		{"a sink's process parked", proc(Process{State: ProcessParked, OfSink: true}), "sink_parked:schwab", On, "then run: tokenkeeper sinks restart schwab"},
		{"a sink's process running", proc(Process{State: ProcessRunning, OfSink: true, RunningSince: noon.Add(-time.Hour)}), "sink_crashing:schwab", Off, "sink schwab runs"},

		{"overloaded", load(Load{Overloaded: true, Since: noon.Add(-time.Minute), Overdue: 12, Waiting: []string{"a", "b"}, Rates: "22 needed, 8 possible", Remedy: "set it to 14"}),
			"overload:schwab", On, "22 needed, 8 possible. Since 2027-03-01 11:59:00 UTC these wait: a, b and 10 more; set it to 14"},
		{"a burst", load(Load{Overdue: 12, Since: noon}), "overload:schwab", Unknown, ""},
		{"nobody waits", load(Load{Well: true}), "overload:schwab", Off, "in time again"},

		{"nothing tried", hook(Sink{}), "sink_failing:hook", Unknown, ""},
		{"takes everything", hook(Sink{LastDelivery: noon}), "sink_failing:hook", Off, "takes deliveries again"},
		{"a first failure", hook(Sink{LastDelivery: noon, Failing: 1, Lag: 59 * time.Second}), "sink_failing:hook", Unknown, ""},
		{"fails three times in a row", hook(Sink{Failing: 1, InRow: 3, MaxFailures: 3, Lag: 10 * time.Second, LastError: "HTTP 500"}), "sink_failing:hook", On, "HTTP 500"},
		{"fails twice in a row", hook(Sink{LastDelivery: noon, Failing: 1, InRow: 2, MaxFailures: 3, Lag: 10 * time.Second}), "sink_failing:hook", Unknown, ""},
		{"lets nobody come", hook(Sink{LastDelivery: noon, Failing: 1, MaxFailures: 3, Shut: "its folder is gone", ShutSince: noon}), "sink_failing:hook", On,
			"sink hook has taken no new consumers since 2027-03-01 12:00 UTC: its folder is gone; it is tried again"},
		{"fails, and lets nobody come", hook(Sink{Failing: 2, InRow: 3, MaxFailures: 3, Shut: "its folder is gone"}), "sink_failing:hook", On, "misses the newest of 1 account or alert"},
		{"fails for a minute", hook(Sink{Failing: 2, Lag: time.Minute, LastError: "HTTP 500"}), "sink_failing:hook", On, "HTTP 500"},
		{"what fails is tried again", hook(Sink{Failing: 2, Lag: time.Minute}), "sink_failing:hook", On, "tried again all the time; after mending it run: tokenkeeper sinks test hook"},
		{"nobody knows why it fails", hook(Sink{Failing: 1, Lag: time.Minute}), "sink_failing:hook", On, "misses the newest of 1 account or alert; it is tried again"},
		{"refuses a version", hook(Sink{Failing: 1, Refused: 1, Lag: time.Minute}), "sink_failing:hook", On, "not tried again: the next one is; after mending it run: tokenkeeper sinks redeliver hook"},
		{"refuses all", hook(Sink{Failing: 2, Refused: 2, Lag: time.Minute}), "sink_failing:hook", On, "not tried again: the next ones are"},
		{"refuses some", hook(Sink{Failing: 3, Refused: 2, Lag: time.Minute}), "sink_failing:hook", On, "it has refused 2 of them"},
		{"does not answer", hook(Sink{LastDelivery: noon, Failing: 1, Hung: 1, Lag: time.Minute}), "sink_failing:hook", On, "what does not answer is tried again once it does; look at the disk or the program that sinks.hook leads to"},
		{"fails, and a person disables it", hook(Sink{Off: true, Failing: 2, Lag: time.Hour}), "sink_failing:hook", Off, "disabled by a person"},
		{"lags without a failure", hook(Sink{Lag: time.Hour}), "sink_failing:hook", Unknown, ""},
		{"takes some, and one waits for a consumer that went", hook(Sink{LastDelivery: noon, Lag: time.Hour}), "sink_failing:hook", Unknown, ""},
		{"disabled by its receiver", hook(Sink{Gone: true, Failing: 1, Lag: time.Hour}), "sink_failing:hook", Unknown, ""},
		{"gone", hook(Sink{Gone: true, LastError: "HTTP 410"}), "sink_disabled:hook", On, "HTTP 410"},
		{"disabled by a person", hook(Sink{Off: true}), "sink_disabled:hook", Off, "a person"},
		{"not tried since", hook(Sink{}), "sink_disabled:hook", Unknown, ""},

		{"an unknown token in its file", account(func(a *Account) { a.Asked, a.Ways = "a stranger", "take it" }), "unknown_token:main", On, "take it"},
		{"a lock that is held", account(func(a *Account) { a.Shut = "python3 (process 7) holds it" }), "shared_file_held:main", On, "tokenkeeper refresh main"},
		{"a lock that is free again", account(func(a *Account) { a.Zone, a.Renewed = "9h off", true }), "shared_file_held:main", Off, "by nobody else"},
		{"failures of which no reason is known", account(func(a *Account) { a.Failures, a.MaxFailures = 5, 5 }), "refresh_failing:main", On, "ends 2027-03-01 12:01 UTC; it is tried again"},
		{"no session to keep", account(func(a *Account) {}), "session_competing:main", Off, "not watched any more"},
		{"no session to keep that was gone", account(func(a *Account) {}), "session_gone:main", Off, "not watched any more"},
		{"nobody knows what its consumers have", account(func(a *Account) {}), "outage_budget:main", Unknown, ""},
		{"its consumers have enough", account(func(a *Account) { a.Outage.Well = true }), "outage_budget:main", Off, "for as long as planned"},
		{"they have little, of late", account(func(a *Account) {
			a.Outage = Outage{Left: time.Minute, Planned: 5 * time.Minute, Short: 89 * time.Second}
		}), "outage_budget:main", Unknown, ""},
		{"they have little", account(func(a *Account) {
			a.Outage = Outage{Left: 90 * time.Second, Until: noon.Add(90 * time.Second), Planned: 5 * time.Minute, Short: 90 * time.Second}
		}), "outage_budget:main", On, "its consumers have a valid token for 90s, until 2027-03-01 12:01 UTC, if no more comes, and at least 5m is planned; see why no newer one comes: tokenkeeper status main"},
		{"a sink lags", account(func(a *Account) {
			a.Outage = Outage{Planned: 5 * time.Minute, Short: time.Hour, Sink: "bot", Behind: true}
		}), "outage_budget:main", On, "its consumers have no token that is valid, and at least 5m is planned; sink bot lacks the newest one; see why with: tokenkeeper sinks"},
		{"they have little, and a token has just come", account(func(a *Account) {
			a.StoredAt, a.Outage = noon.Add(-29*time.Second), Outage{Planned: 5 * time.Minute, Short: time.Hour, Sink: "bot", Behind: true}
		}), "outage_budget:main", Unknown, ""},
		{"they have little, and a token should have arrived", account(func(a *Account) {
			a.StoredAt, a.Outage = noon.Add(-30*time.Second), Outage{Planned: 5 * time.Minute, Short: time.Hour, Sink: "bot", Behind: true}
		}), "outage_budget:main", On, "sink bot lacks the newest one"},
		{"they have little, and the refreshes fail", account(func(a *Account) { a.Outage, a.Failures = Outage{Short: time.Hour}, 3 }), "outage_budget:main", Unknown, ""},
		{"they have little, and it needs a login", account(func(a *Account) { a.Outage, a.NeedsLogin = Outage{Short: time.Hour}, true }), "outage_budget:main", Unknown, ""},
		{"no session to keep of which nothing was heard", account(func(a *Account) {}), "session_unheard:main", Off, "not watched any more"},
		{"a session that is kept again", account(func(a *Account) { a.Session.State = SessionAlive }), "session_unheard:main", Off, "kept alive again"},
		{"a session of which nothing was heard yet", account(func(a *Account) { a.Session.State = SessionUnknown }), "session_competing:main", Unknown, ""},
		{"a session that another login has", account(func(a *Account) { a.Session.State = SessionCompeting }), "session_competing:main", On, "nothing is taken back by itself"},
		{"a session that has it back", account(func(a *Account) { a.Session.State = SessionAlive }), "session_competing:main", Off, ""},
		{"a session that is gone just now", account(func(a *Account) { a.Session = Session{State: SessionGone, Since: noon.Add(-time.Second)} }), "session_gone:main", Unknown, ""},
		{"a session that stays gone", account(func(a *Account) { a.Session = Session{State: SessionGone, Since: noon.Add(-time.Hour)} }), "session_gone:main", On, "tokenkeeper login main"},
		{"a session that is gone, and only a login helps", account(func(a *Account) {
			a.Session, a.NeedsLogin = Session{State: SessionGone, Since: noon.Add(-time.Hour)}, true
		}), "session_gone:main", Off, "because it needs a login"},
		{"a session that somebody else had, and is gone", account(func(a *Account) { a.Session.State = SessionGone }), "session_competing:main", Off, "another login has its session, but that it is over"},
		{"a session that somebody else had, is gone, and only a login helps", account(func(a *Account) { a.Session.State, a.NeedsLogin = SessionGone, true }), "session_competing:main", Off, "but that it is over, and so it needs a login"},
		{"a session of which nothing was heard after a start, and an alert of it", account(func(a *Account) { a.Session.State = SessionUnknown }), "session_gone:main", Unknown, ""},
		{"beats without an answer", account(func(a *Account) { a.Session = Session{State: SessionAlive, Unheard: "HTTP 503"} }), "session_unheard:main", On, "HTTP 503; it is tried again"},
		{"beats that come late", account(func(a *Account) {
			a.Session = Session{State: SessionAlive, Unheard: "its calls come 9m0s late", Late: true}
		}), "session_unheard:main", On, "may die of idleness: its calls come 9m0s late; spread"},
		{"beats without an answer in a maintenance", account(func(a *Account) {
			a.Session, a.Maintenance = Session{State: SessionAlive, Unheard: "HTTP 503"}, noon.Add(time.Hour)
		}), "session_unheard:main", Unknown, ""},
		{"a session that is gone, by a clock that was set back", account(func(a *Account) { a.Session = Session{State: SessionGone, Since: noon.Add(time.Hour)} }), "session_gone:main", On, "tokenkeeper login main"},
		{"a session that somebody else has after a login was needed", account(func(a *Account) { a.Session.State = SessionCompeting }), "needs_login:main", Off, "logged in again"},
		{"a session that is alive after a login was needed", account(func(a *Account) { a.Session.State = SessionAlive }), "needs_login:main", Off, "logged in again"},
		{"a wrong zone in a sink's file", account(func(a *Account) { a.Zone, a.ZoneSink = "9h off", "cache" }), "wrong_zone:main", On, "sinks.cache.timezone"},
		{"a wrong zone", account(func(a *Account) { a.Zone = "9h off" }), "wrong_zone:main", On, "accounts.main.shared_file.timezone"},

		{"a login that waits", account(func(a *Account) { a.Waits, a.WaitsFor = "eve has logged in", "confirm it" }), "login_waits:main", On, "account main: eve has logged in; confirm it"},
		{"no login waits", account(func(*Account) {}), "login_waits:main", Off, "no login of another person"},
		{"granted to another client", account(func(a *Account) { a.GrantedElsewhere = "to another client_id" }), "granted_elsewhere:main", On, "is not refreshed, and its access token ends"},
		{"granted to this one", account(func(*Account) {}), "granted_elsewhere:main", Off, ""},

		{"a consumer that never came", hook(Sink{Waited: 10 * time.Minute, AbsentBecause: "nobody listens"}), "sink_unmet:hook", On, "has never come"},
		{"one that may come yet", hook(Sink{Waited: 9 * time.Minute}), "sink_unmet:hook", Unknown, ""},
		{"one that went", hook(Sink{Waited: time.Hour, LastDelivery: noon}), "sink_unmet:hook", Off, "has come"},
		{"one that went for a weekend", hook(Sink{Waited: 60 * time.Hour, LastDelivery: noon.Add(-60 * time.Hour)}), "sink_away:hook", Off, "is there again"},
		{"one that went for good", hook(Sink{Waited: time.Hour, LastDelivery: noon.Add(-72 * time.Hour), AbsentBecause: "nobody listens"}), "sink_away:hook", On, "has taken nothing since"},
		{"one for which a token has just come", hook(Sink{Waited: time.Minute, LastDelivery: noon.Add(-72 * time.Hour)}), "sink_away:hook", Off, ""},
		{"one that went, of a sink that nobody wants", hook(Sink{Off: true, Waited: time.Hour, LastDelivery: noon.Add(-72 * time.Hour)}), "sink_away:hook", Off, "by a person"},
		{"one that never came, for days", hook(Sink{Waited: 80 * time.Hour}), "sink_away:hook", Unknown, ""},
		{"one that nobody waits for", hook(Sink{Off: true, Waited: time.Hour}), "sink_unmet:hook", Off, "by a person"},

		{"rival", met(event.RivalRefresher, "main", "stop that program", time.Minute), "rival_refresher:main", On, "account main: stop that program"},
		{"displaced", met(event.StoreDisplaced, "", "removed", 9*time.Minute), "store_displaced:*", On, "removed"},
		{"restored", met(event.StoreRestored, "", "damaged", 23*time.Hour), "store_restored:*", On, "damaged"},
		{"disk", met(event.DiskTrouble, "", "check the disk", 0), "disk_trouble:*", On, "check the disk"},
		{"a reload that failed", Snapshot{Now: noon, ReloadFailed: "tk.yaml:3:1: acounts: unknown key"}, "reload_failed:*", On, "acounts: unknown key; mend that"},
		{"nothing stored", Snapshot{Now: noon, StoreFault: "no space left"}, "disk_trouble:*", On, "no space left"},
		{"a fault beats what was met before", func() Snapshot {
			s := met(event.DiskTrouble, "", "check the disk", time.Minute)
			s.StoreFault = "EIO"
			return s
		}(), "disk_trouble:*", On, "EIO"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, ok := conditions(tt.s, policy)[tt.key]
			if !ok || c.State != tt.want || !strings.Contains(c.text(), tt.says) {
				t.Errorf("%s: known %v, state %d, %q; want state %d and %q", tt.key, ok, c.State, c.text(), tt.want, tt.says)
			}
		})
	}
}

// conditions is each trouble by what it is of; all accounts are asked for.
func conditions(s Snapshot, p Policy) map[string]Condition {
	asked := map[string]bool{}
	for _, a := range s.Accounts {
		asked[a.Name] = true
	}
	cs := map[string]Condition{}
	s.conditions(p, asked, func(c Condition) { cs[string(c.Type)+":"+subject(c.Account, c.Provider, c.Sink)] = c })
	return cs
}

// Only a token that came in this run ends an alert whatever its time says.
func TestProof(t *testing.T) {
	a := healthy()
	knownAnyway := map[event.Type]bool{event.LoginDueSoon: true, event.LoginUnknown: true, event.LoginWaits: true, event.GrantedElsewhere: true,
		event.SessionCompeting: true, event.SessionGone: true, event.SessionUnheard: true, event.OutageBudget: true, event.PauseForgotten: true}
	for key, c := range conditions(Snapshot{Now: noon, Accounts: []Account{a}}, Policy{}) {
		if strings.HasSuffix(key, ":main") && !knownAnyway[c.Type] && !c.Proof.Equal(a.StoredAt) {
			t.Errorf("%s: proof %s, want the token's own time", key, c.Proof)
		}
	}
	a.Renewed = true
	for key, c := range conditions(Snapshot{Now: noon, Accounts: []Account{a}}, Policy{}) {
		if !c.Proof.IsZero() {
			t.Errorf("%s asks for a proof of what this run has seen", key)
		}
	}
}

// An account that is left out of a look has no trouble.
func TestTroubled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.Bool()
		moment := func(label string) (at time.Time) {
			if some.Draw(t, label) {
				at = noon.Add(time.Duration(rapid.IntRange(-48, 48).Draw(t, label+" in hours")) * time.Hour)
			}
			return at
		}
		a := Account{
			Name: "main", StoredAt: moment("stored"), Expiry: moment("expiry"), NeedsLogin: some.Draw(t, "needs login"),
			Failures: rapid.IntRange(0, 3).Draw(t, "failures"), MaxFailures: rapid.IntRange(0, 3).Draw(t, "max"),
			LoginUnknown: some.Draw(t, "login unknown"), Misconfigured: some.Draw(t, "misconfigured"), AmbiguousSince: moment("ambiguous"), RefreshExpiry: moment("refresh expiry"),
			Outage: Outage{Short: time.Duration(rapid.IntRange(0, 2).Draw(t, "short")) * time.Minute},
			Pause:  rapid.SampledFrom([]string{"", "paused"}).Draw(t, "pause"), PolicyKnown: some.Draw(t, "policy known"), Sliding: some.Draw(t, "sliding"), Renewed: some.Draw(t, "renewed"),
		}
		p := Policy{LoginDue: rapid.SampledFrom([]time.Duration{0, time.Hour, 24 * time.Hour}).Draw(t, "login due")}
		for key, c := range conditions(Snapshot{Now: noon, Accounts: []Account{a}}, p) {
			if c.State == On && !a.troubled(noon, p) {
				t.Fatalf("%s is on, and the account counts as well: %+v", key, a)
			}
		}
	})
}
