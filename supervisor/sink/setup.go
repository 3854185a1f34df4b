package sink

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// setup is one sink as it is configured: what goes there, and in which
// words. It does not change.
type setup struct {
	WorkerConfig
	only map[string]bool // the accounts that it is about; nil: every one
	// address that deliveries are noted with; "": the sink has none, or names its
	// consumers.
	address string
	// shape that deliveries of tokens are noted with.
	shape string
}

func newSetup(c WorkerConfig) *setup {
	d := &setup{WorkerConfig: c.withDefaults()}
	if a, ok := c.Sink.(Addressed); ok {
		d.address = a.Address()
	}
	d.shape = shapeOf(d.Shape, d.Sink)
	if c.Accounts != nil {
		d.only = map[string]bool{}
		for _, a := range c.Accounts {
			d.only[a] = true
		}
	}
	return d
}

// concerns says whether the sink is about the account.
func (d *setup) concerns(account string) bool { return d.only == nil || d.only[account] }

// gets says whether the account's tokens go there.
func (d *setup) gets(account string) bool { return d.takes(KindToken) && d.concerns(account) }

// getsAlerts says whether alerts go there, and there are any.
func (d *setup) getsAlerts() bool { return d.takes(KindAlert) && d.Alerts != nil }

// delivery is the record on its way.
func (d *setup) delivery(rec store.Record) Delivery {
	return Delivery{
		ID:      deliveryID(d.Name, rec.Account, rec.Version, rec.StoredAt),
		Version: rec.Version, Document: d.document(rec),
	}
}

// document is what the sink may see of the record.
func (d *setup) document(rec store.Record) format.Document {
	doc := rec.Document()
	if !d.IncludeRefreshToken {
		doc.RefreshToken, doc.IDToken = sdk.Secret{}, sdk.Secret{}
		return doc
	}
	if d.Credentials != nil {
		doc.ClientID, doc.ClientSecret = d.Credentials(rec.Account)
	}
	return doc
}

func (d *setup) notify(ctx context.Context, n Notice) error {
	notifier, can := d.Sink.(Notifier)
	if !can {
		return fmt.Errorf("%w: a sink of type %q takes tokens only", ErrRefused, d.Type)
	}
	return notifier.Notify(ctx, n)
}

// recipient names who would take the key's delivery now; "": nobody can tell. It
// is asked before each delivery, so that what was given to the one before is never
// taken for his who has come meanwhile.
func (d *setup) recipient(ctx context.Context, k key) (name string) {
	r, can := d.Sink.(Recipient)
	if !can || !k.isToken() {
		return ""
	}
	err := safely(func() (err error) {
		name, err = r.Recipient(ctx)
		return err
	})
	if err != nil {
		return "" // the delivery itself meets whatever is the matter
	}
	return name
}

// note is an event on its way to the bus.
type note struct {
	level slog.Level
	event event.Event
}

// publish is called without a lock: a log that blocks must hold up this sink
// alone, and nobody who wakes it or looks at it.
func (d *setup) publish(n note) {
	if n.event.Type == "" || d.Events == nil {
		return
	}
	n.event.Sink = d.Name
	d.Events.Publish(n.level, n.event)
}

// nudge says that an alert about the sink may begin or end.
func (d *setup) nudge() {
	if d.Events != nil {
		d.Events.Nudge()
	}
}

// deliveryID names the delivery of one edition to one sink, the same for every
// try and after a restart, so that receivers can tell a repeated delivery.
func deliveryID(sink, key string, version uint64, stored time.Time) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d\x00%d", sink, key, version, stored.UnixNano()))
	return "msg_" + hex.EncodeToString(sum[:16])
}
