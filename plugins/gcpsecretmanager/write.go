package gcpsecretmanager

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// rounds is how often one delivery makes good for a version that another
// program added between its reading and its adding.
const rounds = 3

// write is one delivery. Its caller holds the secret's lock.
type write struct {
	*vault
	secret *secret
	doc    document
	now    func() time.Time
}

// run brings the document into the newest version. It is the same again after
// a crash anywhere in it: what is there already is not added again.
func (w *write) run(ctx context.Context) error {
	base, err := w.newest(ctx, w.secret.newest)
	if err != nil {
		return err
	}
	if base.number > w.secret.newest {
		w.secret.superseded(w.secret.newest) // by another program's
	}
	payload, err := w.doc.merge(base.payload)
	if err != nil {
		return err
	}
	if base.number > 0 && same(base.payload, payload) {
		w.secret.newest = base.number
		w.tidy(ctx, base.number, base.number)
		return nil
	}
	if err := w.coalesce(ctx, base); err != nil {
		return err
	}
	newest, err := w.put(ctx, base, payload)
	if err != nil {
		return err
	}
	w.secret.added(w.key, w.now())
	w.tidy(ctx, newest, base.number)
	return nil
}

// put adds a version. The service has no compare-and-swap, but it numbers
// versions one by one: a gap shows that another program has added one since
// base was read, and what that one holds is then merged too. The newest
// version so ends up with everybody's keys.
func (w *write) put(ctx context.Context, base version, payload []byte) (int64, error) {
	below := base.number
	number, err := w.supersede(ctx, below, payload)
	for round := 0; err == nil && base.isLatest && number > below+1; round++ {
		if round == rounds {
			return 0, fmt.Errorf("%s: another program adds versions faster than they can be merged", w.settings)
		}
		theirs, there, err := w.number(ctx, number-1)
		if err != nil {
			return 0, err
		}
		if !there {
			break
		}
		merged, refused := w.doc.merge(theirs.payload)
		if refused != nil {
			merged = theirs.payload // theirs is newer: it has to be on top again
		}
		w.secret.superseded(theirs.number)
		below = number
		if !same(merged, payload) {
			payload = merged
			if number, err = w.supersede(ctx, below, payload); err != nil {
				return 0, err
			}
		}
		if refused != nil {
			return 0, refused
		}
	}
	return number, err
}

// supersede adds a version on top of another one, which is destroyed later.
func (w *write) supersede(ctx context.Context, old int64, payload []byte) (int64, error) {
	// Before adding: whether an attempt without an answer has added one is
	// only known at the next try.
	w.secret.superseded(old)
	number, err := w.add(ctx, payload)
	if err == nil {
		w.secret.newest = number
	}
	return number, err
}

// coalesce holds a delivery back if this account's token was added less than
// the interval ago. The supervisor comes again, with what is newest then.
func (w *write) coalesce(ctx context.Context, base version) error {
	if w.interval == 0 {
		return nil
	}
	last := w.secret.lastAdded(w.key)
	if last.IsZero() {
		// After a restart, the version itself tells when it was added.
		if _, err := extract(w.settings, w.account, base.payload); base.number == 0 || err != nil {
			return nil
		}
		created, err := w.created(ctx, base.number)
		if err != nil {
			return err
		}
		last = created
		w.secret.added(w.key, last)
	}
	age := w.now().Sub(last)
	if age < 0 || age >= w.interval { // below 0: a clock is wrong
		return nil
	}
	return fmt.Errorf("%w: %w", sdk.ErrLater, &sdk.Error{
		Kind: sdk.KindRateLimited, RetryAfter: w.interval - age,
		Message: fmt.Sprintf("%s: a version of account %s was added %s ago, and the setting interval is %s",
			w.settings, w.account, age.Round(time.Second), w.interval),
	})
}

// What one delivery does at most about old versions.
const (
	tidyTime  = 10 * time.Second
	tidyMost  = 10
	tidyLooks = 50
)

// tidy destroys the versions that newest has superseded, because each costs
// money. read is the version that newest was merged from, or newest itself. The token is delivered by now: what fails here is told, and done at
// the next delivery.
func (w *write) tidy(ctx context.Context, newest, read int64) {
	left := tidyTime
	if deadline, ok := ctx.Deadline(); ok {
		// The answer must arrive in time, or the delivery counts as failed.
		left = min(left, time.Until(deadline)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	if err := w.destroyOld(ctx, newest, read); err != nil {
		slog.Warn("The token is stored, but an older version of the secret is not destroyed yet; it is tried again with the next token.",
			"project", w.project, "secret", w.settings.secret, "account", w.account, "error", err.Error())
	}
}

func (w *write) destroyOld(ctx context.Context, newest, read int64) error {
	if !w.secret.swept {
		if err := w.sweep(ctx, read); err != nil {
			return err
		}
		w.secret.swept = true
	}
	done := 0
	for _, number := range w.secret.old(newest) {
		if done++; done > tidyMost {
			return nil
		}
		if err := w.destroy(ctx, number); err != nil {
			return err
		}
		w.secret.destroyed(number)
	}
	return nil
}

// sweep finds, once in the life of this process, what an earlier one left
// behind when it ended between adding and destroying: enabled versions below
// the one that was read first. Nothing else is touched: the version must say
// that it is Tokenkeeper's and this account's, or, in a layout that says
// nothing of the kind, hold a token and stand right below.
func (w *write) sweep(ctx context.Context, read int64) error {
	numbers, err := w.enabled(ctx, tidyLooks)
	if err != nil {
		return err
	}
	for _, number := range numbers {
		if number >= read {
			continue
		}
		found, there, err := w.number(ctx, number)
		if err != nil {
			return err
		}
		content, err := extract(w.settings, w.account, found.payload)
		if !there || err != nil {
			continue
		}
		o, _ := parseMembers([]byte(content))
		if ownLayout(o) || number == read-1 && holdsToken(o) {
			w.secret.superseded(number)
		}
	}
	return nil
}

func holdsToken(o members) bool {
	return o.text("access_token") != "" || o.object("token").text("access_token") != ""
}
