package restore

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// Passed is [store.Store.Passed]: when an account's name was free of the login of before.
// A store that is lost knows nothing of that, and everything is given back.
//
// [store.Store.Passed]: https://pkg.go.dev/github.com/tokenkeeper/tokenkeeper/supervisor/store#Store
type Passed func(ctx context.Context, account string) (time.Time, error)

// predecessors says why what a sink holds under a name that was free at a moment is not
// given back: it may be the login that had the name before; "": it is not.
func predecessors(free time.Time, d format.Document) string {
	if !lineage.OfBefore(free, d) {
		return ""
	}
	return fmt.Sprintf("what the sink holds is from before %s, when this name was given up by another login, or does not say when it is from",
		moment.Stamp(free))
}
