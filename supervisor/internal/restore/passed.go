package restore

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// Passed is [store.Store.Passed]: when an account's name was free of the login of before.
// A store that is lost knows nothing of that, and everything is given back.
//
// [store.Store.Passed]: https://pkg.go.dev/github.com/tokenkeeper/tokenkeeper/supervisor/store#Store
type Passed func(ctx context.Context, account string) (time.Time, error)

// clocksDiffer is by how much a destination's clock may be ahead of ours.
const clocksDiffer = time.Minute

// predecessors says why what a sink holds under a name that was free at a moment is the
// login that was forgotten, or goes on under another name, since; "": it was put there
// afterwards, and so is the login that has the name now, as every time says that is
// known, or the name was never free.
func predecessors(free time.Time, d format.Document) string {
	if free.IsZero() {
		return ""
	}
	var from time.Time // the earliest that is told
	for _, at := range []time.Time{moment.Known(d.WrittenAt), moment.Known(d.IssuedAt)} {
		if from.IsZero() || !at.IsZero() && at.Before(from) {
			from = at
		}
	}
	if from.After(free.Add(clocksDiffer)) {
		return ""
	}
	return fmt.Sprintf("what the sink holds is from before %s, when this name was given up by another login, or does not say when it is from",
		moment.Stamp(free))
}
