package lockholder

import (
	"fmt"
	"strings"
)

// String names a process for a person.
func (p Process) String() string {
	number := fmt.Sprintf("process %d", p.PID)
	if p.User != "" {
		number += " of " + p.User
	}
	if p.Program == "" {
		return number
	}
	return fmt.Sprintf("%s (%s)", p.Program, number)
}

// String names who holds the lock, for a person, as far as it is known.
func (h Holders) String() string {
	switch {
	case len(h.Holding) == 1:
		return h.Holding[0].String()
	case len(h.Holding) > 1:
		return list(h.Holding, " and ") + ", who share it"
	case len(h.Open) == 1:
		return "perhaps " + h.Open[0].String() + ", which has it open"
	case len(h.Open) > 1:
		return "one of those who have it open: " + list(h.Open, " or ")
	case h.Hidden:
		return "a process that can't be seen from here: another user's, in another container or on another machine"
	}
	return "a process that can't be seen from here: in another container or on another machine"
}

// Release says what makes a lock free that a hung program keeps.
func (h Holders) Release() string {
	if len(h.Holding) == 0 {
		return "if it hangs, end it, and the lock is free"
	}
	var pids strings.Builder
	for _, p := range h.Holding {
		fmt.Fprintf(&pids, " %d", p.PID)
	}
	if len(h.Holding) == 1 {
		return fmt.Sprintf("if that hangs, end it (kill%s), and the lock is free", pids.String())
	}
	return fmt.Sprintf("if they hang, end them (kill%s), and the lock is free", pids.String())
}

// list names some processes.
func list(all []Process, last string) string {
	const most = 5
	var names []string
	for _, p := range all[:min(len(all), most)] {
		names = append(names, p.String())
	}
	if more := len(all) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names[:len(names)-1], ", ") + last + names[len(names)-1]
}
