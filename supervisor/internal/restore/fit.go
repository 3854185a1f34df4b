package restore

import (
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
)

// unfit says why what a sink gave back is no use to an account without a usable
// token; "" if it is. With alive, the token in the store may be good, and is only
// doubted.
func unfit(o lineage.Ours, d format.Document, now time.Time, alive bool) string {
	j := o.Judge(lineage.Found{Document: d}, now)
	switch {
	case j.Left != "":
		return o.Words("what the sink gave back", lineage.Found{Document: d}, j, now) + ": " + j.Renamed(o.Account)
	case j.Verdict == lineage.OtherAccount:
		return fmt.Sprintf("what the sink gave back for account %s is of %s", o.Account, j.Owner)
	case j.Verdict == lineage.OtherApp:
		return o.Words("what the sink gave back", lineage.Found{Document: d}, j, now)
	case j.Verdict == lineage.Silent:
		return "what the sink holds has no refresh token; give the sink include_refresh_token: true, so that it will"
	case j.Verdict == lineage.Past:
		return "the sink holds an older refresh token than the store"
	case j.Verdict.Known() && !alive:
		return "the sink holds the refresh token that the store has, and that one is dead"
	case j.Verdict == lineage.Ended:
		return fmt.Sprintf("the refresh token that the sink holds died %s", d.RefreshExpiry.UTC().Format(time.RFC3339))
	case !j.Verdict.Newer():
		return "the sink holds a token that is not newer than the one in the store"
	}
	return ""
}
