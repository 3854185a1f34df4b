// Package refresh runs the cycle of a token: due, intend, call the provider,
// store, wake the sinks. One Keeper serves all accounts of one provider.
package refresh

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/login"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Errors of a request about one account.
var (
	ErrUnknownAccount = acct.ErrUnknown
	ErrNoToken        = errors.New("the account has no token yet")
	ErrNeedsLogin     = errors.New("the account needs a login")
	ErrHasToken       = errors.New("the account already has a token, which the broker has not refused")
	ErrNotNewer       = errors.New("the token is not newer than the account's")
	ErrOtherAccount   = errors.New("the token is another account's")
)

// Account is what the configuration says of one account.
type Account struct {
	sdk.Account
	// OtherSecrets are those of its client beside ClientSecret, in the order in which they
	// are tried if that is refused. The first is never empty if there are others.
	OtherSecrets []sdk.Secret
	// ClientFirst: its broker is known to look at the client before it looks at what a
	// request spends; if not, it is known if the provider says so.
	ClientFirst bool
	// BeforeExpiry of 0 takes the provider's policy.
	BeforeExpiry time.Duration
	Every        time.Duration
	Jitter       time.Duration
	Budget       Budget
	// Timeout of one attempt.
	Timeout time.Duration
	// MaxFailures in a row raise an alert.
	MaxFailures int
	// WholeGrant keeps the fingerprints of all past refresh tokens, because
	// other programs see them and may come with any of them.
	WholeGrant bool
	// Shared is the token file that other programs write too, at SharedPath; nil:
	// none.
	Shared     sharing.File
	SharedPath string
}

// Config is what a Keeper is made of.
type Config struct {
	Provider string
	Accounts []Account
	Store    store.Store
	// Wake tells every sink, without blocking, that an account has a new
	// version.
	Wake   func(account string)
	Events *event.Bus
	Log    *slog.Logger
	// Wall is the wall clock.
	Wall func() time.Time
	// MaxInFlight bounds the attempts in flight.
	MaxInFlight int
	// Elsewhere asks the destinations of the record's account, as long as ctx
	// lasts, what they hold; nil: there are none.
	Elsewhere func(ctx context.Context, rec store.Record) Elsewhere
	// Others is the name of another account, at another provider, that has or
	// had the refresh token with that fingerprint; "": none has. nil: there are
	// no others.
	Others func(account, fingerprint string) string
	// Left is the name of an account of the provider in no configuration that has, or
	// had, the refresh token with that fingerprint, or has sent it; "": there is none.
	// nil: nobody knows.
	Left func(fingerprint string) string
	// Probe asks for a closer look at a process that does not answer; nil:
	// nobody is asked.
	Probe func()
	// Outwait makes an earlier process give the provider's spool back: it waits
	// for it that long, ends it then, and returns when ctx has ended; nil: there
	// is none.
	Outwait func(ctx context.Context, patience time.Duration)
	// Bequests gives keep the locks of shared files that such a process has kept
	// for this one, and returns when ctx has ended; nil: there are none.
	Bequests func(ctx context.Context, keep func(lock *os.File))
	// Steered refuses a file that steers the provider and that somebody can change who
	// is not trusted; nil: none is.
	Steered func(path string) error
	// LoggedIn is told of the record that comes of a login, before that is durable;
	// nil: nobody is. Who confirms one of another person is told himself.
	LoggedIn func(ctx context.Context, rec store.Record)
	// Up is how long the machine has been up, its sleep included; nil: nobody knows.
	Up func() time.Duration
	// Observes: nothing is sent, and no shared file is locked or written. Nobody asks for
	// anything that would.
	Observes bool
	// Boot identifies this run of the machine's kernel: what only the page
	// cache held is gone when it has changed.
	Boot string
}

// Elsewhere is what an account's destinations say that they hold.
type Elsewhere struct {
	// Newer is a token that is to be used instead of the record's; nil: there
	// is none. Where it is, for people, and what a record of it comes from.
	Newer  *format.Document
	Where  string
	Origin store.Origin
	// Doubt is why the record's refresh token should not be spent before it has
	// to be, and what a person can do; "": nothing speaks against it.
	Doubt string
	// Zone is why the local times that the sink ZoneSink holds can't be right;
	// "": they can.
	Zone, ZoneSink string
	// Unheard: a destination that may hold a token could not be asked, and what it
	// said before may still be so.
	Unheard bool
}

// Keeper keeps the accounts of one provider fresh. What it knows outlives the
// provider's generations; each generation is one call of [Keeper.Run]. It is
// safe for concurrent use.
type Keeper struct {
	*login.Front
	persons
	sessionsOf
	left
	acquaintance // changed under the lock
	clients
	// open are the logins that people have begun.
	open *login.Open

	cfg   Config
	aging aging
	clock *schedule.Clock
	looks *looks

	mu sync.Mutex
	loop
	accounts byName
	spool    spoolSeen
	watch    watch
	ahead    foresight
	skew     skewed
	looked   schedule.Instant // when the clocks were last compared
	withhold *Hold            // nil: refresh tokens may be sent
	load     load
	measured Measured
	order    []*account // as the audit goes through the accounts
	facts    *event.Facts
	changed  map[string]bool // see Changed
}

// NewKeeper reads what the store knows of the accounts and plans them.
func NewKeeper(ctx context.Context, cfg Config) (*Keeper, error) {
	k := &Keeper{
		measured: newMeasured(),
		left:     cfg.Left,
		cfg:      cfg,
		aging:    aging{cfg.Boot, cfg.Up != nil},
		clock:    schedule.NewClock(cfg.Wall, cfg.Up),
		looks:    newLooks(cfg.Steered),
		accounts: byName{},
		facts:    cfg.Events.NewFacts(),
		changed:  map[string]bool{},
	}
	k.looked, k.loop = k.clock.Now(), newLoop(&k.mu, k.clock, cfg.MaxInFlight)
	k.spool, k.skew = spoolSeen{lock: &k.mu}, skewed{lock: &k.mu, provider: cfg.Provider, log: cfg.Log}
	k.persons = persons{cfg.Provider, &k.acquaintance, cfg.Store, k.clock, &k.loop, k.accounts, k.forLogin}
	k.sessionsOf, k.clients = sessionsOf{&k.loop, k.clock, k.accounts}, clients{k.accounts}
	var sharing []*account // these few among a hundred thousand are looked at again and again
	for _, c := range cfg.Accounts {
		rec, err := cfg.Store.Load(ctx, c.Name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("read the record of account %s: %w", c.Name, err)
		}
		a, err := newAccount(k, c, rec)
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", c.Name, err)
		}
		p, paused, err := cfg.Store.Pause(ctx, c.Name)
		if err != nil {
			return nil, fmt.Errorf("read whether account %s is paused: %w", c.Name, err)
		}
		if paused {
			a.guard.Steer(acct.Paused{Pause: p})
		}
		k.accounts[c.Name] = a
		k.order = append(k.order, a)
		if c.Shared != nil {
			sharing = append(sharing, a)
		}
	}
	k.watch = watch{provider: cfg.Provider, loop: &k.loop, accounts: k.order, facts: k.facts}
	k.ahead = foresight{
		lock: &k.mu, clock: k.clock, known: &k.acquaintance, accounts: k.order, peeks: newPeeks(sharing, k.Touch), steered: cfg.Steered != nil,
	}
	if err := k.openLogins(ctx); err != nil {
		return nil, err
	}
	planAnew(k.order...)
	return k, nil
}

// Facts are the troubles that the accounts have met and that no [Status] shows.
func (k *Keeper) Facts() []event.Fact { return k.facts.All() }

// Carry keeps a trouble that the keeper of an earlier run has met: this one says
// when it is over.
func (k *Keeper) Carry(f event.Fact) { k.facts.Keep(f) }

// newAttempt names an attempt: 26 characters that no other attempt has.
func newAttempt() string { return rand.Text() }
