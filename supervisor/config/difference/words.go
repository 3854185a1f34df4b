package difference

import (
	"fmt"
	"slices"
	"strings"
)

// few are so many names, or keys, as a line takes in a row.
const few = 3

// String says it in one line, which does not grow with the difference; "": there is
// none.
func (d Difference) String() string {
	var said []string
	for _, of := range []struct {
		one string
		Section
	}{{"account", d.Accounts}, {"provider", d.Providers}, {"sink", d.Sinks}} {
		if len(of.Added) > 0 {
			said = append(said, named(of.one, of.Added)+are(of.Added)+"new")
		}
		if len(of.Removed) > 0 {
			said = append(said, named(of.one, of.Removed)+are(of.Removed)+"gone")
		}
		if len(of.Changed) > 0 {
			said = append(said, changes(of.one, of.Changed))
		}
	}
	if keys := append(slices.Clip(d.Fixed), d.Keys...); len(keys) > 0 {
		said = append(said, listed(keys)+" changed")
	}
	return strings.Join(said, "; ")
}

func changes(one string, all []Change) string {
	if len(all) > few {
		names := make([]string, len(all))
		for i, c := range all {
			names[i] = c.Name
		}
		return named(one, names) + " changed"
	}
	said := make([]string, len(all))
	for i, c := range all {
		said[i] = fmt.Sprintf("%s %s changed (%s)", one, c.Name, listed(c.Keys))
	}
	return strings.Join(said, "; ")
}

func named(one string, names []string) string {
	if len(names) > 1 {
		one += "s"
	}
	return one + " " + listed(names)
}

func are(names []string) string {
	if len(names) > 1 {
		return " are "
	}
	return " is "
}

// listed are the first few, and how many more there are.
func listed(all []string) string {
	if len(all) <= few+1 {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:few], ", "), len(all)-few)
}
