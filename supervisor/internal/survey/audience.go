package survey

import (
	"context"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/alert"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Audience is which sinks are told of which alerts, by the configuration.
type Audience struct{ Config *config.Config }

// Told says whether every sink has been told of what it may see of the alert's
// newest state, or can't be.
func (a Audience) Told(ctx context.Context, st Store, told event.Alert) bool {
	for name, c := range a.Config.Sinks {
		part, ok := alert.Narrow(told, a.Accounts(c))
		if !ok || !c.Sends(config.SendAlert) || !a.Concerns(c, part) {
			continue
		}
		line, err := st.Delivery(ctx, name, told.Key)
		if err != nil {
			return false
		}
		refused := line.Result == store.ResultRefused && line.TriedVersion >= part.Version
		if line.Version < part.Version && !refused {
			return false
		}
	}
	return true
}

// Concerns says whether an alert goes to a sink that takes alerts: one about an
// account to the sinks of that account, one about a provider to those of any of its
// accounts, and any other to all; but no sink is told of itself.
func (a Audience) Concerns(c config.Sink, of event.Alert) bool {
	return of.Sink != c.Name && a.Config.SinkWants(c, of.Account, of.Provider)
}

// Some are what the sinks want that are not told of all accounts.
func (a Audience) Some() (all []alert.Wants) {
	for _, c := range a.Config.Sinks {
		if wants := a.Accounts(c); wants != nil && c.Sends(config.SendAlert) {
			all = append(all, wants)
		}
	}
	return all
}

// Accounts are those of which a sink is told; nil: all.
func (a Audience) Accounts(c config.Sink) alert.Wants {
	if len(c.Accounts)+len(c.Providers) == 0 {
		return nil
	}
	return func(account, provider string) bool { return a.Config.SinkWants(c, account, provider) }
}
