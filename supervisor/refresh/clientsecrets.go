package refresh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// A broker that gives its client a new secret lets the old one live for a while, and
// nobody here knows when the one begins and the other ends. So an account may have
// several. The one that the broker took last goes first. Only when the broker itself says
// that it does not know the client, in an error that was parsed, is the next one
// presented: in an attempt of its own, once the end of that one is durable. An answer that
// nobody could read, or none, may have used the refresh token up.
//
// That one may have, too, at a broker that takes the token before it looks at the client, and
// there a second use of the token ends the login. So where a refresh spends its token the next
// secret is presented by itself only if somebody says that this broker looks at the client
// first: its provider (sdk.Policy.ClientFirst), or the account. Else the attempt stands as
// one whose outcome nobody knows, and one request is all that the broker sees, until a
// person insists on another one, or gives the client other secrets.

// secretRests is how long a client secret is not presented again by itself that was
// refused, if the account has several. A new configuration ends that, because its
// references were read anew; it is kept in memory alone, as a start reads them anew, too.
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

// list is the fingerprint of all of them, in their order.
func (s *clientSecrets) list() string {
	var all []string
	for _, secret := range s.all {
		all = append(all, secret.Reveal())
	}
	return sdk.NewSecret(fmt.Sprintf("tokenkeeper client secrets %q %q", s.clientID, all)).Fingerprint()
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

// has says whether one of them has that fingerprint.
func (s *clientSecrets) has(fingerprint string) bool {
	return slices.ContainsFunc(s.all, func(secret sdk.Secret) bool { return s.fingerprint(secret) == fingerprint })
}

// next is the fingerprint of the secret to present: of the accepted one before the
// others, or of those after the one that was refused last; of one that rests only if all
// do, then of the one that has longest. "": the client has none.
func (s *clientSecrets) next(accepted, refused string, now time.Duration) (fingerprint string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var order []string
	for _, secret := range s.all {
		order = append(order, s.fingerprint(secret))
	}
	if n := slices.Index(order, accepted); n > 0 {
		order = append([]string{accepted}, slices.Delete(order, n, n+1)...)
	}
	if n := slices.Index(order, refused); n >= 0 {
		order = slices.Concat(order[n+1:], order[:n+1])
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

// refuse has a secret rest that was refused, if the client has others, and says whether it
// has.
func (s *clientSecrets) refuse(fingerprint string, now time.Duration) (several bool) {
	if len(s.all) < 2 || fingerprint == "" {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[fingerprint] = now + secretRests
	return true
}

// accept ends the rest of a secret that was taken after all.
func (s *clientSecrets) accept(fingerprint string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.refused, fingerprint)
}

// rest is how long it is until one of them may be presented by itself; 0: one may be now.
func (s *clientSecrets) rest(now time.Duration) time.Duration {
	if len(s.all) < 2 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	least := secretRests
	for _, secret := range s.all {
		least = min(least, s.refused[s.fingerprint(secret)]-now)
	}
	return max(least, 0)
}

// presented is an account as it goes to the broker.
type presented struct{ *account }

// now is how it goes there in whatever is no attempt.
func (a presented) now() sdk.Account { return a.with(a.next()) }

// next is the fingerprint of the secret that goes with the next attempt.
func (a presented) next() string {
	refused := ""
	if in := a.state().Ambiguous(); in != nil && in.ClientRefused == record.NothingSent && a.secrets.has(in.Secret) {
		return in.Secret
	} else if in != nil && in.ClientRefused != "" {
		refused = in.Secret // also if that was before a restart
	}
	return a.secrets.next(a.rec().AcceptedSecret, refused, a.keeper.clock.Now().Mono)
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

// noted says whether that is what a failure says, of a client that has several secrets,
// and notes it of the one that was presented.
func (a secretRefused) noted(cause error) bool {
	e, ok := errors.AsType[*sdk.Error](cause)
	// The code that says it of the client itself (RFC 6749, section 5.2): one that may not
	// do this is known, and what a broker calls so in its own words may be anything.
	if !ok || e.Kind != sdk.KindInvalidClient || e.OAuthError != "invalid_client" {
		return false
	}
	return a.secrets.refuse(a.in.Secret, a.keeper.clock.Now().Mono)
}

// over ends the attempt if it was that, and says whether it did. One that tries another one
// again, of which nobody knows the outcome, stands, and so has its next turn as after any
// failure; one after which every secret rests has failed like any other.
func (a secretRefused) over(ctx context.Context, cause error) (over bool, err error) {
	switch {
	case !a.noted(cause), a.in.Replays != "":
		return false, nil
	case a.maySpend():
		return true, a.hold(ctx, cause)
	case a.secrets.rest(a.keeper.clock.Now().Mono) > 0:
		return false, nil
	}
	return true, a.goOn(ctx, cause)
}

// maySpend says whether the broker may have used up what it was sent with a client that it
// refused. A key is not used up.
func (a secretRefused) maySpend() bool {
	return a.in.Kind != spool.KindMint && !a.keeper.nature().clientFirst(a.cfg) && lost(a).does() != acct.End
}

// hold lets the attempt stand, as one whose outcome nobody knows.
func (a secretRefused) hold(ctx context.Context, cause error) error {
	a.in.ClientRefused = cmp.Or(a.in.Secrets, a.secrets.list()) // after a restart the client may have others, of which none was tried
	if err := lost(a).mark(ctx, cause.Error()); err != nil {
		return err
	}
	cause = a.held(cause)
	a.countFailure(sdk.KindInvalidClient, cause)
	a.free(ctx, a.in.Attempt)
	return a.say.of(cause)
}

// held is the failure of an attempt that stands because the client was refused, or of one
// that has tried that again.
func (a secretRefused) held(cause error) error {
	next := a.say.notAgain(a.in.Kind)
	switch {
	case a.in.ClientRefused == record.NothingSent:
		next = fmt.Sprintf("Nothing was sent, so the account sends the %s by itself, with growing pauses", spent(a.in.Kind))
	case a.in.ClientRefused != a.secrets.list():
		next = fmt.Sprintf("The client has other secrets by now, so the account sends the %s once more, with one of them", spent(a.in.Kind))
	case a.keeper.nature().clientFirst(a.cfg): // that was found out, or written, since
		next = fmt.Sprintf("The account sends the %s again by itself, with growing pauses, because this broker is said to look at the client first. "+
			"Put accounts.%s.client_secret right, and run: tokenkeeper reload", spent(a.in.Kind), a.cfg.Name)
	}
	return advice.Worded(cause.Error()+". "+next, cause)
}

// unsent notes that nothing was sent of an attempt that was to present another secret than
// the one that was refused: so it is made again by itself, with that one. It returns the
// attempt as it is to be ended.
func (a secretRefused) unsent(ctx context.Context) (attempt, error) {
	if a.in.ClientRefused == "" || a.in.Replays == "" {
		return a.attempt, nil
	}
	a.in.ClientRefused = record.NothingSent
	if err := a.keeper.cfg.Store.Replace(ctx, a.in.Attempt, a.in); err != nil {
		return a.attempt, a.diskTrouble(fmt.Errorf("note that nothing was sent: %w", err))
	}
	return a.attempt, nil
}

// ended says to the account's state that the attempt is over, as it is noted by now.
func (a secretRefused) ended() {
	a.tell(acct.Ended{})
	if a.in.ClientRefused == record.NothingSent {
		a.tell(acct.Marked{Intent: a.in})
	}
}

// standing is what is told of one that was left by an earlier run.
func (a secretRefused) standing() error {
	return a.held(&sdk.Error{
		Kind: sdk.KindInvalidClient, OAuthError: "invalid_client",
		Message: fmt.Sprintf("the broker refused the client secret that it was sent %s", moment.Stamp(a.in.At)),
	})
}

// notAgain says of what was sent with a client secret that the broker refused why it is
// not sent again, and what to do.
func (w words) notAgain(kind string) string {
	return fmt.Sprintf("The broker may have used up the %[1]s all the same, so the account does not send it again by itself. To send it once, with "+
		"the next client secret: tokenkeeper refresh %[2]s --force. Or put accounts.%[2]s.client_secret right, and run: tokenkeeper reload", spent(kind), w.name)
}

// errOtherSecret: the attempt is over, and the next one presents another client secret.
var errOtherSecret = advice.Worded("the broker does not take the client secret that was presented; another one of the list is", errWentBack)

// goOn ends the attempt. It counts as no failure: the next one is made at once.
func (a secretRefused) goOn(ctx context.Context, cause error) error {
	rec := a.rec()
	if err := a.storeEnd(ctx, a.in.Attempt, rec.Basis(), rec.Health); err != nil {
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
