package store

import (
	"fmt"

	"github.com/tokenkeeper/tokenkeeper/supervisor/lockholder"
)

// holder names the process that holds the lock on path, for a person.
func holder(path string) string {
	p, ok := lockholder.Find(path)
	switch {
	case !ok:
		return "another process (its PID is not visible from here)"
	case p.Program == "":
		return fmt.Sprintf("process %d", p.PID)
	default:
		return fmt.Sprintf("process %d (%s)", p.PID, p.Program)
	}
}
