package refresh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
)

// A broker that gives its client a new secret lets the old one live for a while, and
// nobody here knows when the one begins and the other ends. So an account may have
// several. The one that the broker took last goes first. Only when the broker itself says
// that it does not know the client, in an error that was parsed, is the next one
// presented: in an attempt of its own, once the end of that one is durable. An answer that
// nobody could read, or none, may have used the refresh token up.

// secretRests is how long a client secret is not presented again that was refused, as long
// as the account has one that was not. Where all were, they take turns, each as seldom as
// any client is tried whose secret is wrong: one may begin to work before the tokens die. A
// new configuration ends that, because its references were read anew.
const secretRests = time.Hour

// clientSecrets are those of one account's client. They are safe for concurrent use.
type clientSecrets struct {
	clientID string
	all      []sdk.Secret // in the order of the configuration; empty: the client has none

	mu sync.Mutex
	// refused is until when each rests that was refused, on the monotonic clock.
	refused map[string]time.Duration
}

func newClientSecrets(a Account) *clientSecrets {
	s := &clientSecrets{clientID: a.ClientID, refused: map[string]time.Duration{}}
	if !a.ClientSecret.IsZero() {
		s.all = append([]sdk.Secret{a.ClientSecret}, a.OtherSecrets...)
	}
	return s
}

// fingerprint is what is noted of a secret. The client goes into the sum, so that a short
// secret can't be guessed from that alone; see [KeyOf].
func (s *clientSecrets) fingerprint(secret sdk.Secret) string {
	return sdk.NewSecret(fmt.Sprintf("tokenkeeper client %q %q", s.clientID, secret.Reveal())).Fingerprint()
}

// of is the secret with a fingerprint, or the first one if it is none of them any more.
func (s *clientSecrets) of(fingerprint string) sdk.Secret {
	for _, secret := range s.all {
		if s.fingerprint(secret) == fingerprint {
			return secret
		}
	}
	if len(s.all) == 0 {
		return sdk.Secret{}
	}
	return s.all[0]
}

// next is the fingerprint of the secret to present: of the accepted one before the
// others, and of one that rests only if all do, then of the one that has longest. "":
// the client has none.
func (s *clientSecrets) next(accepted string, now time.Duration) (fingerprint string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var order []string
	for _, secret := range s.all {
		order = append(order, s.fingerprint(secret))
	}
	if n := slices.Index(order, accepted); n > 0 {
		order = append([]string{accepted}, slices.Delete(order, n, n+1)...)
	}
	for _, candidate := range order {
		rests := s.refused[candidate]
		if rests <= now {
			return candidate
		}
		if fingerprint == "" || rests < s.refused[fingerprint] {
			fingerprint = candidate
		}
	}
	return fingerprint
}

// refuse has a secret rest that was refused, if the client has others, and says whether
// another one can be presented now.
func (s *clientSecrets) refuse(fingerprint string, now time.Duration) (another bool) {
	if len(s.all) < 2 || fingerprint == "" {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[fingerprint] = now + secretRests
	return slices.ContainsFunc(s.all, func(secret sdk.Secret) bool { return s.refused[s.fingerprint(secret)] <= now })
}

// presented is an account as it goes to the broker.
type presented struct{ *account }

// now is how it goes there in whatever is no attempt.
func (a presented) now() sdk.Account { return a.with(a.next()) }

// next is the fingerprint of the secret that goes with the next attempt.
func (a presented) next() string {
	return a.secrets.next(a.rec().AcceptedSecret, a.keeper.clock.Now().Mono)
}

// with is the account with the secret of that fingerprint.
func (a presented) with(secret string) sdk.Account {
	c := a.cfg.Account
	c.ClientSecret = a.secrets.of(secret)
	return c
}

// clients are those of a Keeper's accounts.
type clients struct{ accounts byName }

// ClientSecret is the secret that the broker took with an account's newest token, as far
// as that is known, and otherwise the first that is configured.
func (c clients) ClientSecret(name string) sdk.Secret {
	a, known := c.accounts[name]
	if !known {
		return sdk.Secret{}
	}
	return a.secrets.of(a.rec().AcceptedSecret)
}

// secretRefused is an attempt whose client the broker did not know.
type secretRefused struct{ attempt }

// another notes that the secret which was presented is refused, if that is what a failure
// says, and whether another one can be presented in its place. An attempt that tries
// another one again, of which nobody knows the outcome, stands, and has its next turn as
// after any failure.
func (a secretRefused) another(cause error) bool {
	e, ok := errors.AsType[*sdk.Error](cause)
	// The code that says it of the client itself (RFC 6749, section 5.2): one that may not
	// do this is known, and what a broker calls so in its own words may be anything.
	if !ok || e.Kind != sdk.KindInvalidClient || e.OAuthError != "invalid_client" {
		return false
	}
	return a.secrets.refuse(a.in.Secret, a.keeper.clock.Now().Mono) && a.in.Replays == ""
}

// errOtherSecret: the attempt is over, and the next one presents another client secret.
var errOtherSecret = advice.Worded("the broker does not take the client secret that was presented; another one of the list is", errWentBack)

// goOn ends the attempt. It counts as no failure: the next one is made at once.
func (a secretRefused) goOn(ctx context.Context, cause error) error {
	rec := a.rec()
	if err := a.storeEnd(ctx, a.in.Attempt, rec.Version, rec.Health); err != nil {
		return a.diskTrouble(fmt.Errorf("note that the broker refused the client secret: %w", err))
	}
	a.keeper.mu.Lock()
	a.step(acct.Ended{})
	a.replan()
	a.keeper.mu.Unlock()
	a.Log().Warn("the broker does not take the client secret that was presented, so the next one of the account's list is; "+
		"take the old one out of client_secret once the broker has ended it", "attempt", a.in.Attempt, "error", a.say.bare(cause.Error()))
	a.free(ctx, a.in.Attempt)
	return errOtherSecret
}
