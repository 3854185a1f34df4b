package sdk

import (
	"cmp"
	"regexp"
	"strings"
	"time"
)

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)

// ValidName says whether name can be that of a provider, an account, a sink or a
// type of sinks: [a-z0-9][a-z0-9_-]*.
func ValidName(name string) bool { return namePattern.MatchString(name) }

// Description is a provider's answer to the question who it is.
type Description struct {
	// Name of the broker, [a-z0-9][a-z0-9_-]*.
	Name string
	// Version of the plugin, for people.
	Version string
	Policy  Policy
	// Settings that an account of this provider may carry. A setting that is
	// not listed here is refused before anything starts.
	Settings []Setting

	// Logins are the shapes of login that a [LoginGuide] has. An [Authorizer] has
	// [LoginRedirect] without saying so.
	Logins []LoginShape
	// Repeat is what a second [Minter.Mint] does; "": [RepeatReplaces], which is the
	// careful one.
	Repeat Repeat
	// KeepaliveEvery is how often a session needs a [Keepalive] call; no more often
	// than [LeastKeepalive].
	KeepaliveEvery time.Duration
	// Limits that the broker sets to an account.
	Limits Limits

	// Authorizer, Checker and Revoker say which optional interfaces the
	// provider implements. [Serve] fills them in.
	Authorizer, Checker, Revoker bool
	// So do Renewer, Minter, Keepalive and LoginGuide; NoRefresh: Refresh is not
	// to be called.
	Renewer, Minter, Keepalive, LoginGuide, NoRefresh bool
	// Revokes is what [Revoker.Revoke] ends; "": [RevokesGrant].
	Revokes RevokeScope
	// And ExchangeBeside: Exchange and EndLogin may be called for an account while
	// another attempt of it is under way. It is so of every one that [Serve] serves.
	ExchangeBeside bool
}

// LeastKeepalive is the least time between two calls that keep a session alive.
const LeastKeepalive = 10 * time.Second

// Policy is how a broker treats its tokens.
type Policy struct {
	// AccessLifetime is used where an answer says nothing usable.
	AccessLifetime time.Duration
	// RefreshLifetime is used where an answer says nothing; 0: unknown.
	RefreshLifetime time.Duration
	// Sliding: each refresh starts RefreshLifetime anew. If false, it counts
	// from the login.
	Sliding bool
	// Rotates: a refresh may replace the refresh token, and the one before is
	// then dead. Without it a lost answer costs nothing: the same refresh token
	// is good for the next one, and is sent again after a pause. Set it unless the
	// broker documents that it leaves the refresh token as it is.
	Rotates bool
	// ReuseGrace is how long the server still accepts a refresh token that it
	// has replaced; 0: not at all. It counts from the first request with it, and
	// the last tenth is not used. It needs Rotates.
	ReuseGrace time.Duration
	// OldAccessDies: a refresh or a renewal kills the access token that consumers
	// hold, so that none comes earlier than it must.
	OldAccessDies bool
	// OldAccessLives: the broker documents that this token lives on, to its own end. Then,
	// and if no refresh token is lost with an answer (no Rotates, or a ReuseGrace in which
	// an attempt that has run into its deadline can be made again),
	// accounts may be refreshed more often than they need, so that consumers outlast a
	// longer outage. Neither this nor OldAccessDies: nobody knows.
	OldAccessLives bool
	// Access, Refresh and Grant say how the tokens and the login die. Where they
	// have no Lifetime, AccessLifetime and RefreshLifetime stand in. See
	// [Policy.Ends].
	Access, Refresh, Grant Deadline
	// PKCE says whether the code grant uses a code verifier (RFC 7636).
	PKCE PKCE
	// BeforeExpiry is how long before the access token's expiry it should be
	// refreshed, unless the configuration says otherwise.
	BeforeExpiry time.Duration
	// ClientFirst: the broker authenticates the client before it looks at what the
	// request spends (RFC 6749, section 6, has it so): a refresh token that came with a
	// client secret that it refuses is not spent, and may be sent again with another
	// one. Set it only where the broker documents that, or it was tried: one that takes
	// the token first sees a second use of it, and may end the login. Without Rotates it
	// means nothing, because nothing is spent.
	ClientFirst bool
}

// PKCE is a broker's stand on RFC 7636.
type PKCE string

const (
	PKCENone     PKCE = "none"
	PKCEOptional PKCE = "optional"
	PKCERequired PKCE = "required"
)

// Setting is one key that an account of this provider may set.
type Setting struct {
	Name        string
	Description string
	// Default is what the provider assumes when the key is missing.
	Default  string
	Required bool
	// OneOf lists the values allowed; empty: any.
	OneOf []string
	// Secret: its value is one. The supervisor takes it out of everything that
	// comes back from the plugin: of other settings it goes by the name, the look,
	// and whether the configuration refers to it.
	Secret bool
	// Steers: its value is the path of a file that decides what the plugin does or
	// whom it believes, as certificate authorities, credentials or a program. One
	// that others can change is refused by "tokenkeeper check", and before
	// each call of a sink and each refresh and login of a provider. A relative path is relative to the supervisor's working directory.
	Steers bool
	// SocketUsers: its value, if it begins with a slash, is the path of a Unix socket
	// that the plugin connects to, and the setting that is named here lists who may
	// serve it beside root, our own user and the owner of a folder that nobody else
	// can write to: names or numbers of users, with commas between. "tokenkeeper
	// check" refuses a socket that somebody else has opened; the plugin must ask who
	// serves it, too, before it says anything. "": it is no such setting.
	SocketUsers string
	// Server: its value says to which server refresh tokens are sent: an address, of which
	// the host counts, or a name, as that of a region. A refresh token that was granted by
	// another one is not sent, until somebody logs in. Without a value it is the one of
	// Default, as [Setting.DefaultFor] says; without that, one of the provider's own. No
	// [Setting.Secret] can be one. The settings environment and token_url are taken for
	// such, whether they say so or not.
	Server bool
}

// DefaultFor is the setting's Default for an account with these values. That of a Server
// may name others that say where refresh tokens are sent, as https://{environment}.broker.example/token.
func (s Setting) DefaultFor(values map[string]string, all []Setting) string {
	text := s.Default
	if !s.Server {
		return text
	}
	for _, other := range all {
		if value := cmp.Or(values[other.Name], other.Default); value != "" {
			text = strings.ReplaceAll(text, "{"+other.Name+"}", value)
		}
	}
	return text
}
