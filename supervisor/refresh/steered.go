package refresh

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
)

// ErrUntrusted: somebody who is not trusted can change a file that steers the
// provider.
var ErrUntrusted = errors.New("nothing is sent through the provider")

// This file holds what is asked before a secret goes to a provider that says of a
// setting that it names a file which steers it: who can change that file. It is asked
// where an attempt begins and never in its middle: what was sent is heard out, and
// what waits in the spool is taken.

// steering are the names of the settings that steer.
func steering(d sdk.Description) (names []string) {
	for _, s := range d.Settings {
		if s.Steers {
			names = append(names, s.Name)
		}
	}
	return names
}

// steered refuses with [ErrUntrusted] what a setting of the account names.
func (a *account) steered() error { return a.steeredBy(a.keeper.steers(), a.keeper.cfg.Steered) }

func (k *Keeper) steers() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.steering
}

func (a *account) steeredBy(names []string, judge func(path string) error) error {
	for _, name := range names {
		path := a.cfg.Settings[name]
		if path == "" || judge == nil {
			continue
		}
		if err := judge(path); err != nil {
			return fmt.Errorf("%w: its setting %s is refused: %w", ErrUntrusted, name, err)
		}
	}
	return nil
}

// mayGo keeps an attempt from being announced while a file that steers the provider
// is refused: the refresh token is not used, and it is tried again with growing
// pauses.
func (a *leased) mayGo() error {
	err := a.steered()
	if err == nil {
		a.keeper.facts.End(event.Untrusted, a.cfg.Name)
		return nil
	}
	a.keeper.mu.Lock()
	a.step(acct.Failed{Kind: sdk.KindNotSent, Error: err.Error(), At: a.keeper.clock.Now().Wall})
	a.putOff(a.rec().Health.Failures, promise.Untrusted, err)
	a.keeper.mu.Unlock()
	a.tellUntrusted(err)
	return fmt.Errorf("account %s: %w", a.cfg.Name, err)
}

func (a *account) tellUntrusted(err error) {
	a.trouble(slog.LevelError, event.Event{
		Type: event.Untrusted, Kind: string(sdk.KindNotSent), Expiry: a.rec().Token.Expiry(),
		Message: err.Error() + ". The refresh token is not used before that is put right; it is tried again",
	})
}

// askSteering tells at the start of a generation and from time to time, and so long
// before a token would be needed, of every file that is refused.
func (k *Keeper) askSteering() {
	names := k.steers()
	if len(names) == 0 || k.cfg.Steered == nil {
		return
	}
	verdicts := map[string]error{} // a hundred thousand accounts may name one file
	judge := func(path string) error {
		if _, known := verdicts[path]; !known {
			verdicts[path] = k.cfg.Steered(path)
		}
		return verdicts[path]
	}
	for _, a := range k.order {
		if err := a.steeredBy(names, judge); err != nil {
			a.tellUntrusted(err)
		} else {
			k.facts.End(event.Untrusted, a.cfg.Name)
		}
	}
}
