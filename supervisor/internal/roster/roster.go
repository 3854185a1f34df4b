// Package roster is who there is in one supervisor: the parts that were made of each
// provider and each sink of its configuration, and whose an account is.
package roster

import (
	"sync/atomic"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/heartbeat"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/keepalive"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/plugin"
)

// Present is who there is at a moment. It is filled while the supervisor is built, or
// what has changed of it is built anew, and never changed once anything of it runs.
type Present struct {
	Config *config.Config

	// Of each provider that an account uses: who keeps its accounts' tokens, who
	// keeps their sessions, and its process.
	Keepers map[string]*refresh.Keeper
	Beats   map[string]*keepalive.Beats
	Members map[string]*process.Member

	// Of each sink who delivers to it, and, if it runs as a process of its own, that
	// process.
	Workers map[string]*sink.Worker
	Plugins map[string]*plugin.Sink

	// Heartbeat is nil if no service waits for one.
	Heartbeat *heartbeat.Heartbeat

	inFiles map[string]bool // accounts
}

// Nobody is who there is of a configuration before anything of it is built.
func Nobody(c *config.Config) *Present {
	return &Present{
		Config: c, inFiles: inFiles(c),
		Keepers: map[string]*refresh.Keeper{}, Beats: map[string]*keepalive.Beats{}, Members: map[string]*process.Member{},
		Workers: map[string]*sink.Worker{}, Plugins: map[string]*plugin.Sink{},
	}
}

// Lacking are the providers with accounts that nobody keeps, because they could not be
// built.
func (p *Present) Lacking() (names []string) {
	for _, name := range p.Config.ProviderNames() {
		if p.Members[name] == nil {
			names = append(names, name)
		}
	}
	return names
}

// KeeperOf returns who keeps an account's token; ok is false if it is not configured,
// or its provider is not built yet.
func (p *Present) KeeperOf(account string) (k *refresh.Keeper, ok bool) {
	c, ok := p.Config.Accounts[account]
	if !ok {
		return nil, false
	}
	k, ok = p.Keepers[c.Provider]
	return k, ok
}

// Roster is who there is by now. It is safe for concurrent use: who looks at more than
// one part keeps to one [Present].
type Roster struct{ present atomic.Pointer[Present] }

// New returns a roster on which nobody is yet.
func New(c *config.Config) *Roster {
	r := &Roster{}
	r.Replace(Nobody(c))
	return r
}

// Now is who there is at this moment.
func (r *Roster) Now() *Present { return r.present.Load() }

// Replace has p be who there is from now on.
func (r *Roster) Replace(p *Present) { r.present.Store(p) }

// KeeperOf is that of who there is now.
func (r *Roster) KeeperOf(account string) (k *refresh.Keeper, ok bool) {
	return r.Now().KeeperOf(account)
}

// Touch has an account looked at soon, because something newer than its record may
// have been found.
func (r *Roster) Touch(account string) {
	if k, ok := r.KeeperOf(account); ok {
		k.Touch(account)
	}
}

// Others is [refresh.Config.Others] of a provider's Keeper; of "" it asks all of
// them.
func (r *Roster) Others(provider string) func(account, fingerprint string) string {
	return func(account, fingerprint string) string {
		for name, k := range r.Now().Keepers {
			if name == provider {
				continue
			}
			if other := k.Knows(account, fingerprint); other != "" {
				return other
			}
		}
		return ""
	}
}

// Ours is what is known of an account beside its record.
func (r *Roster) Ours(account string) lineage.Ours {
	now := r.Now()
	c := now.Config.Accounts[account]
	o := lineage.Ours{Account: account, Provider: c.Provider, ClientID: c.ClientID}
	if k, ok := now.Keepers[c.Provider]; ok {
		o.Policy, o.Left = k.Policy(), k.Left
	}
	others := r.Others("")
	o.Owner = func(fingerprint string) string { return others(account, fingerprint) }
	return o
}

// Credentials are those of an account's client, with the secret that its broker takes.
func (r *Roster) Credentials(account string) (clientID string, clientSecret sdk.Secret) {
	now := r.Now()
	c := now.Config.Accounts[account]
	if k, ok := now.Keepers[c.Provider]; ok {
		return c.ClientID, k.ClientSecret(account)
	}
	return c.ClientID, c.ClientSecret
}

// Hold has every Keeper go by a hold; nil: by none.
func (r *Roster) Hold(h *refresh.Hold) {
	for _, k := range r.Now().Keepers {
		k.Hold(h)
	}
}

// NewToken tells of a new version of a provider's account: it is delivered, and its
// session kept.
func (r *Roster) NewToken(provider, account string) {
	for _, w := range r.Now().Workers {
		w.Wake(account)
	}
	if b := r.Now().Beats[provider]; b != nil { // none is made yet while the store is read
		b.NewToken(account)
	}
}

// Tell hands an event to the sinks that take lifecycle events.
func (r *Roster) Tell(e event.Event) {
	for _, w := range r.Now().Workers {
		w.Tell(e)
	}
}

// WakeAlert tells every sink that an alert has a new state.
func (r *Roster) WakeAlert(key string) {
	for _, w := range r.Now().Workers {
		w.WakeAlert(key)
	}
}
