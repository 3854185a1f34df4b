// Package control is the control API: HTTP and JSON on a Unix socket, and its
// client.
//
//	GET  /healthz                            whether the supervisor lives; see [Probe]
//	GET  /readyz                             whether consumers have what they need
//	GET  /v1/version
//	GET  /v1/status
//	GET  /v1/config/difference               what the configuration's file says by now, otherwise than what runs
//	POST /v1/config/reload                   the supervisor goes on with that, all of it or nothing
//	GET  /v1/events                          one JSON event per line, until closed
//	GET  /v1/metrics                         the status in numbers, for Prometheus
//	POST /v1/adopt                           the store is this machine's from now on
//	POST /v1/providers/{provider}/restart    waits for the new process
//	GET  /v1/accounts                        those that are configured, and those that are only stored
//	POST /v1/accounts/{account}/rename       ?to=NEW: that account goes on with what is stored of this one
//	POST /v1/accounts/{account}/forget       what is stored of it is removed; ?revoke=true: its broker ends its login first
//	POST /v1/accounts/{account}/refresh      ?force=true: also if it is not due
//	POST /v1/accounts/{account}/test         its access token is shown to its broker
//	GET  /v1/accounts/{account}/revoke       what revoking its login would end
//	POST /v1/accounts/{account}/revoke       its broker ends its login; ?ends=client: and all of its client
//	POST /v1/accounts/{account}/pause        nothing is asked of its broker by itself; ?for=2h&reason=…
//	POST /v1/accounts/{account}/resume       that is over
//	POST /v1/pause                           the same of all accounts that are configured
//	POST /v1/resume
//	GET  /v1/accounts/{account}/token        the access token
//	POST /v1/accounts/{account}/token        one that lives for ?min_valid=5m and is newer than ?if_version=VERSION
//	POST /v1/accounts/{account}/import       body: a token file; ?format=…&force=true&since=VERSION
//	POST /v1/accounts/{account}/login        the address at which a person logs in; of the login that is open, if one is. ?shape=
//	POST /v1/accounts/{account}/login/cancel     the open login is over
//	POST /v1/accounts/{account}/login/complete   body: the address that the broker sent the browser to, or what it showed
//	POST /v1/accounts/{account}/login/wait       how the login ?id= has ended; after a minute that it is still open
//	POST /v1/accounts/{account}/login/confirm    the login of another person takes the place of the account's
//	POST /v1/accounts/{account}/login/discard    it is forgotten
//	GET  /v1/sinks
//	GET  /v1/alerts                          those that last, and those that are over since lately
//	POST /v1/alerts/{alert}/acknowledge      it is not repeated; more accounts and its end are told
//	POST /v1/alerts/{alert}/silence          ?for=2h: only its end is told before that has passed
//	POST /v1/alerts/{alert}/resume           takes both back
//	POST /v1/sinks/{sink}/test               shows whether it works
//	POST /v1/sinks/{sink}/redeliver          ?account=…: of one account only; &force=true: also over an unknown token
//	POST /v1/sinks/{sink}/disable            until it is enabled, or the next start
//	POST /v1/sinks/{sink}/enable
//	POST /v1/sinks/{sink}/restart            of a sink that is a plugin; waits for the new process
//
// A failed call answers with an [Error].
package control

import (
	"runtime"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/heartbeat"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/keepalive"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// Status is the answer of GET /v1/status.
type Status struct {
	Version   string    `json:"version"`
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"started_at"`
	Now       time.Time `json:"now"`
	StateDir  string    `json:"state_dir"`
	// Observing: the supervisor only reads and shows, by --observe. What is stored is as it
	// was at its start, and each account's Would says what would be done next.
	Observing bool `json:"observing,omitempty"`
	// Config is the configuration's file. ConfigChanged: it does not say any more
	// what the supervisor read from it at its start and goes on with, or what it
	// refers to was written since.
	Config        string `json:"config,omitempty"`
	ConfigChanged bool   `json:"config_changed,omitempty"`
	// ConfigWrittenAt is when that was written; not set: that can't be told.
	ConfigWrittenAt time.Time `json:"config_written_at,omitzero"`
	// ConfigDifference says in a few words what it says otherwise, ConfigProblem why it
	// can't be used: a start would fail. Both are "" as long as that is not known.
	ConfigDifference string `json:"config_difference,omitempty"`
	ConfigProblem    string `json:"config_problem,omitempty"`
	// ConfigReloadFailedAt is when the last reload failed, and ConfigReloadError the first
	// line of why; not set: it has not, or what runs is what the file says again.
	ConfigReloadFailedAt time.Time `json:"config_reload_failed_at,omitzero"`
	ConfigReloadError    string    `json:"config_reload_error,omitempty"`
	// Program is what was started. ProgramReplaced: another one is there now, and
	// the supervisor goes on with the one of its start.
	Program         string     `json:"program,omitempty"`
	ProgramReplaced bool       `json:"program_replaced,omitempty"`
	Providers       []Provider `json:"providers"`
	Accounts        []Account  `json:"accounts"`
	// Left are accounts of which the store has a token and which are in no configuration.
	Left []ListedAccount `json:"left_accounts,omitempty"`
	// Alerts that last.
	Alerts []event.Alert `json:"alerts,omitempty"`
	// LookedAt is when it was looked last whether alerts begin or end, which comes each
	// half minute.
	LookedAt time.Time `json:"looked_at,omitzero"`
	// Heartbeat is how the sign of life does that a service elsewhere waits for; not
	// set: none does.
	Heartbeat *heartbeat.Status `json:"heartbeat,omitempty"`
	// Metrics is where monitoring systems ask over TCP; not set: nowhere.
	Metrics *MetricsListener `json:"metrics,omitempty"`
	// Machine is whose store it is.
	Machine Machine `json:"machine"`
}

// Machine is whose store it is. The names are for people.
type Machine struct {
	// Unguarded is why the store names no machine; "": it does.
	Unguarded string `json:"unguarded,omitempty"`
	Owner     string `json:"owner,omitempty"`
	Here      string `json:"here,omitempty"`
	// Other: the store belongs to another machine, and no refresh token is
	// used.
	Other bool `json:"other,omitempty"`
}

// AdoptAnswer is the answer of POST /v1/adopt.
type AdoptAnswer struct {
	// Adopted is false if the store was this machine's already.
	Adopted bool `json:"adopted"`
	// From is the machine that it belonged to, To this one.
	From string `json:"from"`
	To   string `json:"to"`
}

// States of a process.
const (
	ProviderStarting = process.Starting
	ProviderRunning  = process.Running
	ProviderBackoff  = process.Backoff
	ProviderCrashing = process.Crashing
	ProviderParked   = process.Parked
	ProviderStopping = process.Stopping
	ProviderStopped  = process.Stopped
)

// Provider is one provider process in a Status.
type Provider struct {
	Name string `json:"name"`
	process.Status
	// MaxInFlight is how many attempts may be in flight; Overdue accounts wait
	// for their turn. Overloaded: some have waited longer than they may.
	MaxInFlight int  `json:"max_in_flight"`
	Overdue     int  `json:"overdue"`
	Overloaded  bool `json:"overloaded,omitempty"`
	// Unanswered: since the supervisor's start it has neither answered nor failed to.
	// Stuck: its refresh loop sleeps past an account that is due.
	Unanswered bool `json:"unanswered,omitempty"`
	Stuck      bool `json:"stuck,omitempty"`
	// NeededRate and PossibleRate are refreshes a second: what the accounts
	// need, and what MaxInFlight allows if an answer takes AnswerTime.
	NeededRate        float64       `json:"needed_rate"`
	PossibleRate      float64       `json:"possible_rate"`
	AnswerTime        time.Duration `json:"answer_time_ns"`
	AnswerTimeAssumed bool          `json:"answer_time_assumed,omitempty"`
	// Measured is for the metrics.
	Measured refresh.Measured `json:"-"`
}

// Account states.
const (
	AccountNew        = refresh.New
	AccountValid      = refresh.Valid
	AccountRetrying   = refresh.Retrying
	AccountExpired    = refresh.Expired
	AccountPaused     = refresh.Paused
	AccountNeedsLogin = refresh.NeedsLogin
)

// Ways in which an account gets its next token. Those without a refresh token have in
// RefreshExpiry the moment after which only a login helps; a key has no end.
const (
	WayRefresh = "refresh" // its refresh token is spent
	WayRenew   = "renew"   // its access token renews itself while it lives
	WayLogin   = "login"   // somebody logs in
	WayMint    = "mint"    // it is minted from the account's key
)

// Account is one account in a Status.
type Account struct {
	Name     string `json:"name"`
	Provider string `json:"provider"`
	refresh.Shown
	// Login is the one that is open; not set: none is.
	Login *OpenLogin `json:"login,omitempty"`
	// Session is what is known of the session of the newest token; not set: the
	// broker's sessions don't die of idleness, or nothing was heard of it yet.
	Session *Session `json:"session,omitempty"`
	// Unread is the file of the broker's answer to the attempt of AmbiguousSince, which
	// nobody could read; "": there is none.
	Unread string `json:"unread,omitempty"`
	// SetAside are answers of the broker that did not become the account's newest
	// token, newest first, and can be taken for a day.
	SetAside []SetAside `json:"set_aside,omitempty"`
	// Advice is what only a person can do for its token now, with the command; "":
	// nothing.
	Advice string `json:"advice,omitempty"`

	Sinks []Delivery `json:"sinks"`
	// Outage is for how long its consumers go on if no token comes any more from now on;
	// not set: nobody knows.
	Outage *Outage `json:"outage_budget,omitempty"`
}

// Outage is the outage budget of an account.
type Outage struct {
	// Left of it, up to Until: when the first access token is over that a sink has which
	// is there, or the account's own if none is. Sink has that one; "": it is its own.
	Left  time.Duration `json:"left_ns"`
	Until time.Time     `json:"until"`
	Sink  string        `json:"sink,omitempty"`
	// Planned is the least of it as long as each token comes as it is planned; 0: none
	// is planned. Short: it is less than half of that.
	Planned time.Duration `json:"planned_ns,omitempty"`
	Short   bool          `json:"short,omitempty"`
	// Worst is the least of the last day, since the supervisor's start.
	Worst time.Duration `json:"worst_ns"`
}

// Session is one that calls at short intervals keep alive.
type Session = keepalive.Session

// SetAside is an answer of the broker that is kept and not used.
type SetAside struct {
	// Attempt that was answered, its kind (refresh or exchange), and the version
	// that it was begun from.
	Attempt string `json:"attempt"`
	Kind    string `json:"kind"`
	Version uint64 `json:"version"`
	// Grant that it belongs to, of those that the account counts; 0: not known. An
	// exchange begins the one after the one it was begun from. Person is whose login
	// it is, by the broker's word; "": the answer does not say.
	Grant  uint64 `json:"grant,omitempty"`
	Person string `json:"person,omitempty"`
	// At is when it was set aside, Until when it is forgotten, and Why it is not
	// used.
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
	Why   string    `json:"why"`
}

// Delivery is one sink's state for one account.
type Delivery struct {
	Sink string `json:"sink"`
	Type string `json:"type"`
	sink.Status
	// Behind is how many versions the sink is behind.
	Behind uint64 `json:"behind"`
}

// TokenRequest is for a token that a program can use, which may have to come first.
type TokenRequest struct {
	Account string
	// MinValid is for how much longer it has to live; 0: any time.
	MinValid time.Duration
	// IfVersion is the version that the broker's API has refused: a newer one is wanted;
	// 0: any.
	IfVersion uint64
	// May says whether the account may be refreshed for who asks, and for nobody else, and
	// counts it; last: the broker allows no further one. nil: it may.
	May func(last bool) error `json:"-"`
}

// IsMetBy says whether a token is one that is asked for. One of which nobody knows when it
// ends counts as valid.
func (r TokenRequest) IsMetBy(t TokenAnswer, now time.Time) bool {
	return t.Version > r.IfVersion && (t.Expiry.IsZero() || t.Expiry.Sub(now) > r.MinValid)
}

// TokenAnswer is the answer of GET and POST /v1/accounts/{account}/token.
type TokenAnswer struct {
	Account     string `json:"account"`
	Version     uint64 `json:"version"`
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	// Expiry is as in [Account].
	Expiry          time.Time `json:"expires_at,omitzero"`
	ExpiryUncertain bool      `json:"expiry_uncertain,omitempty"`
}

// RestartAnswer is the answer of POST /v1/providers/{provider}/restart.
type RestartAnswer struct {
	Provider   string `json:"provider"`
	OldPID     int    `json:"old_pid"`
	PID        int    `json:"pid"`
	Generation int    `json:"generation"`
}

// What a RefreshAnswer's token came by.
const (
	ByRefresh = "refresh"
	ByRenewal = "renewal"
	ByMint    = "mint"
)

// RefreshAnswer is the answer of POST /v1/accounts/{account}/refresh.
type RefreshAnswer struct {
	Account string `json:"account"`
	// Refreshed is false if the account was not due and force was not given.
	Refreshed bool `json:"refreshed"`
	// ReplacedBy is set if the token is not the refresh's, because a person has put
	// another in its place meanwhile: "login" or "import".
	ReplacedBy string `json:"replaced_by,omitempty"`
	// By is what brought the token: refresh, renewal or mint; "": none of them was made,
	// or its token is not this one.
	By      string `json:"by,omitempty"`
	Version uint64 `json:"version"`
	// Expiry is as in [Account].
	Expiry          time.Time `json:"expires_at,omitzero"`
	ExpiryUncertain bool      `json:"expiry_uncertain,omitempty"`
	// Due is not set if the account is not due by itself.
	Due time.Time `json:"due,omitzero"`
}

// ImportRequest is a token file for an account.
type ImportRequest struct {
	Account string
	// Format of Body; "": it is detected.
	Format string
	// Force replaces a token that is newer or still good.
	Force bool
	Body  []byte
	// Attempt, if it is set, is that of an answer which was set aside: its token is
	// taken in the place of one in Body.
	Attempt string
	// Since, if it is set, is the version that the token came after, of the same
	// login: an account that has got another one since is left alone.
	Since *uint64
	// WrittenAt is when the file was written; zero: not known. A lifetime that
	// the file tells, and no moment, counts from then.
	WrittenAt time.Time
	// LoginAt is when a person logged in, by the person's word; zero: it is what
	// Body says, if anything. If the account has Body's refresh token already, or
	// Body is empty, only this is noted.
	LoginAt time.Time
}

// ImportAnswer is the answer of POST /v1/accounts/{account}/import.
type ImportAnswer struct {
	Account string `json:"account"`
	Version uint64 `json:"version"`
	Format  string `json:"format"`
	// Way is as in [Account].
	Way                    string    `json:"way,omitempty"`
	Expiry                 time.Time `json:"expires_at,omitzero"`
	ExpiryUncertain        bool      `json:"expiry_uncertain,omitempty"`
	RefreshExpiry          time.Time `json:"refresh_expires_at,omitzero"`
	RefreshExpiryUncertain bool      `json:"refresh_expiry_uncertain,omitempty"`
	// RefreshExpiryUnknown is as in [Account].
	RefreshExpiryUnknown bool      `json:"refresh_expiry_unknown,omitempty"`
	LoginAt              time.Time `json:"login_at,omitzero"`
	// LoginTimeOnly: the account has kept its token, and LoginAt was noted.
	LoginTimeOnly bool `json:"login_time_only,omitempty"`
	// Warnings are what is not believed of the file; Advice is what is left to a
	// person.
	Warnings []string `json:"warnings,omitempty"`
	Advice   string   `json:"advice,omitempty"`
}

// VersionAnswer is the answer of GET /v1/version.
type VersionAnswer struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Protocol int    `json:"protocol"`
	// Providers and Sinks are the versions of the plugins' protocols that it speaks;
	// Protocol is the oldest, which both have.
	Providers []int `json:"provider_protocols"`
	Sinks     []int `json:"sink_protocols"`
}

// VersionOf is the answer of a program of that version.
func VersionOf(program string) VersionAnswer {
	return VersionAnswer{
		Version: program, Go: runtime.Version(), Protocol: sdk.ProtocolVersion,
		Providers: sdk.Versions(sdk.PluginName), Sinks: sdk.Versions(sdk.SinkPluginName),
	}
}

// Alerts is the answer of GET /v1/alerts.
type Alerts struct {
	Now time.Time `json:"now"`
	// Alerts that last, the oldest first, and then those that are over since
	// lately and are still being told to sinks; their state is "recovered".
	Alerts []event.Alert `json:"alerts"`
}
