package control

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/nearest"
)

// NoAccount says that an account is not configured, and which are.
func NoAccount(name string, cfg *config.Config) error {
	return Errorf(CodeNotFound, "no account is named %q in %s%s", name, cfg.File, Hint(name, slices.Sorted(maps.Keys(cfg.Accounts)), "check"))
}

// ToUse is how a configuration that was changed comes into use.
const ToUse = "tokenkeeper reload (systemctl reload tokenkeeper)"

// NotLoaded says of an account, a provider or a sink that the file has it, by d, and the
// supervisor does not know it yet.
func NotLoaded(what, name string, d ConfigDifference, now time.Time) *Error {
	written := ""
	if !d.WrittenAt.IsZero() {
		written = ", written " + moment.Text(d.WrittenAt, now, false) + ","
	}
	e := Errorf(CodeNotFound, "%s%s has %s %q, and the running supervisor (PID %d, started %s) does not know it yet. To use it: %s",
		d.Config, written, what, name, d.PID, moment.Relative(d.StartedAt, now), ToUse)
	e.InFile = true
	return e
}

// Hint names what there is, what a mistyped name probably meant first; of much
// it names the nearest, or else the verb that lists it.
func Hint(name string, known []string, verb string) string {
	const most = 10
	near := nearest.All(name, known)
	switch all := append(slices.Clone(near), without(known, near)...); {
	case len(known) == 0:
		return "; there is none"
	case len(known) > most && len(near) == 0:
		return fmt.Sprintf("; \"tokenkeeper %s\" lists them", verb)
	case len(known) > most:
		return fmt.Sprintf("; %s \"tokenkeeper %s\" lists all", nearest.DidYouMean(near[0]), verb)
	case len(near) > 0:
		return fmt.Sprintf("; %s There are: %s", nearest.DidYouMean(near[0]), strings.Join(all, ", "))
	default:
		return "; there are: " + strings.Join(all, ", ")
	}
}

func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(some, s) })
}
