package lineage

import (
	"fmt"
	"strings"
	"time"
)

// Words say for people what was found in a place, like "the shared file".
func (o Ours) Words(place string, f Found, j Judgement, now time.Time) string {
	d := f.Document
	switch {
	case j.Verdict == OtherApp:
		return fmt.Sprintf("%s holds a token of another app (its key begins with %.4s, the account's with %.4s)", place, d.ClientID, o.ClientID)
	case j.Left != "":
		return fmt.Sprintf("%s of account %s holds a refresh token of %s, which is in the store and in no configuration, and was perhaps renamed", place, o.Account, j.Owner)
	case j.Verdict == OtherAccount:
		return fmt.Sprintf("%s of account %s holds a refresh token of %s, which is never taken for another account's", place, o.Account, j.Owner)
	case j.Verdict == Ended:
		return fmt.Sprintf("%s holds a refresh token that died %s, by its own word", place, d.RefreshExpiry.UTC().Format(time.RFC3339))
	}
	parts := []string{place + " holds a refresh token that is none of this login's, as far as we know"}
	if n := len(d.Several); n > 0 {
		parts[0] = fmt.Sprintf("%s holds %d refresh tokens, and not all of them are this login's, as far as we know", place, n)
	}
	if later, known := o.later(d, now); known {
		side := "before"
		if later > 0 {
			side = "after"
		}
		parts = append(parts, fmt.Sprintf("its access token ends %s %s ours", later.Abs().Round(time.Second), side))
	}
	written := notAfter(d.WrittenAt, now)
	stamp := written.UTC().Format(time.RFC3339)
	switch {
	case written.IsZero():
	case o.outlived(f, now), o.written(f, now) == before:
		parts = append(parts, "the file was written before our token came, "+stamp)
	case o.written(f, now) == after:
		parts = append(parts, "the file was written after our token came, "+stamp)
	}
	if fault := ZoneFault(d, o.Policy, now); fault != "" {
		parts = append(parts, fault)
	}
	return strings.Join(parts, "; ")
}

// Renamed is what can be done about a token of an account that is in no configuration.
func (j Judgement) Renamed(account string) string {
	return fmt.Sprintf("if it was renamed to %s: tokenkeeper accounts rename %s %[1]s; if it is to go: tokenkeeper accounts forget %[2]s", account, j.Left)
}
