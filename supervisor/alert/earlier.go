package alert

import (
	"context"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// earlierForm says whether an alert was stored by a version that had one for
// each account, and one that stood for many.
func earlierForm(a event.Alert) bool {
	return a.Account != "" && len(a.Affected) == 0 || strings.HasSuffix(a.Key, ":"+everything) && a.Provider != ""
}

// adopt makes an alert of that form a member of one of today's, which is told
// once as it stands then, and drops it. One that stood for many names nobody:
// the first look finds them.
func (e *Engine) adopt(ctx context.Context, a event.Alert) {
	if a.Account != "" && a.State != event.AlertRecovered {
		c := Condition{Type: a.Type, Account: a.Account, Provider: a.Provider}
		n := e.open[c.key()]
		if n == nil {
			n = newTrouble(c)
			e.open[c.key()] = n
		}
		m := &member{Affected: event.Affected{Account: a.Account, Since: a.Since, Message: core(a)}, news: true}
		n.members[a.Account] = m
	}
	if err := e.cfg.Store.DropAlert(ctx, a.Key); err != nil {
		e.cfg.Log.Debug("an alert of an earlier version could not be dropped; the next start tries again", "key", a.Key, "error", err)
	}
}
