package refresh

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file says to whom a refresh token is granted: to a client, in an environment of
// its broker, by a server. Sent elsewhere it is worth nothing at best.

// The settings that say where a refresh token is worth something, whether a provider
// marks them or not. What is configured of the environment is noted by itself.
const (
	settingEnvironment = "environment"
	settingTokenURL    = "token_url"
)

// GrantedTo is to whom a token is granted that the account, as it is configured,
// gets now, as far as the configuration tells without the provider.
func GrantedTo(a sdk.Account) store.GrantedTo {
	g := store.GrantedTo{
		Client:      sdk.NewSecret(a.ClientID).Fingerprint(),
		Environment: a.Settings[settingEnvironment],
	}
	if u, err := url.Parse(a.Settings[settingTokenURL]); err == nil {
		g.TokenHost = u.Hostname()
	}
	return g
}

// grantedTo is GrantedTo with what the provider says of its settings. What is not
// configured is noted as such, not as the default of today, which another version of the
// provider may change.
func (n nature) grantedTo(a sdk.Account) store.GrantedTo {
	g, servers := GrantedTo(a), url.Values{}
	for _, s := range n.servers() {
		servers.Set(s.Name, serverIn(a.Settings[s.Name]))
	}
	if !n.met {
		noteUnmet(servers, a)
	}
	g.Servers = servers.Encode()
	return g
}

// servers are the settings that say to which server refresh tokens are sent, but for the
// environment. Of a provider that is not known it is the one of the usual name.
func (n nature) servers() (those []sdk.Setting) {
	if !n.met {
		return []sdk.Setting{{Name: settingTokenURL, Server: true}}
	}
	for _, s := range n.settings {
		if s.Name == settingTokenURL || s.Server && !s.Secret && s.Name != settingEnvironment {
			s.Server = true
			those = append(those, s)
		}
	}
	return those
}

// serverIn is what counts of a setting's value: the host of an address, or a name.
func serverIn(value string) string {
	if u, err := url.Parse(value); err == nil && u.Hostname() != "" {
		return strings.ToLower(u.Hostname())
	}
	return value
}

// noted are the values of the settings, as they were when a token was granted; of one that
// is missing nobody knows.
func noted(g store.GrantedTo) map[string]string {
	values := map[string]string{}
	if g.TokenHost != "" { // before all were noted, what was configured was
		values[settingTokenURL] = strings.ToLower(g.TokenHost)
	}
	servers, _ := url.ParseQuery(g.Servers) // which this program has written
	for name := range servers {
		values[name] = servers.Get(name)
	}
	return values
}

// theProviders is the server of a provider that does not say which one that is.
const theProviders = "a server of the provider's own"

// otherServer are the servers that a token was granted by and would be sent to, if they
// differ; "": they do not, or nobody knows.
func (n nature) otherServer(then, now store.GrantedTo) (was, is string) {
	if then.Servers == now.Servers && then.Environment == now.Environment && then.Servers != "" {
		return "", ""
	}
	before, today := noted(then), noted(now)
	all := func(values map[string]string, g store.GrantedTo) map[string]string {
		values = maps.Clone(values)
		values[settingEnvironment] = g.Environment
		return values
	}
	servers := n.servers()
	if !slices.ContainsFunc(servers, func(s sdk.Setting) bool { return s.Name == settingTokenURL }) {
		servers = append(servers, sdk.Setting{Name: settingTokenURL}) // that was noted whatever a provider says of it
	}
	for _, s := range servers {
		value, known := before[s.Name]
		usual := serverIn(s.DefaultFor(all(before, then), n.settings))
		if !known {
			value, known = unmetNote(before).server(s.Name, today[s.Name], usual)
		}
		if !known || value == today[s.Name] || !n.met && (value == "" || today[s.Name] == "") { // whose own is not known
			continue
		}
		was = cmp.Or(value, usual, theProviders)
		is = cmp.Or(today[s.Name], serverIn(s.DefaultFor(all(today, now), n.settings)), theProviders)
		if was != is {
			return was, is
		}
	}
	return "", ""
}

// known is to whom a record's token is granted, with what the configuration says now: the
// server there has answered. What it does not say stays as it was noted.
func (n nature) known(then, now store.GrantedTo) store.GrantedTo {
	servers, values := url.Values{}, noted(then)
	maps.Copy(values, noted(now))
	if n.met {
		forgetUnmet(values)
	}
	for name, value := range values {
		servers.Set(name, value)
	}
	then.Servers = servers.Encode()
	return then
}

// goesElsewhere says whether what was granted then is not sent where it was granted now.
func (n nature) goesElsewhere(then, now store.GrantedTo) bool {
	elsewhere, _ := n.otherServer(then, now)
	return then.Client != now.Client || cmp.Or(then.Environment, n.usual) != cmp.Or(now.Environment, n.usual) || elsewhere != ""
}

// GoesElsewhere says whether what was granted to an account, as it was configured, would
// not be sent for it as it is.
func (a *acquaintance) GoesElsewhere(was, is sdk.Account) bool {
	n := a.nature()
	return n.goesElsewhere(n.grantedTo(was), n.grantedTo(is))
}

// WasGranted says whether a token that was granted then is sent, for the account is, by the
// same client and to the same server, as far as that is known.
func (a *acquaintance) WasGranted(is sdk.Account, then store.GrantedTo) bool {
	n := a.nature()
	return then.Client != "" && !n.goesElsewhere(then, n.grantedTo(is))
}
