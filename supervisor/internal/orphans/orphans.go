// Package orphans waits for processes that nobody else waits for. As PID 1, in a
// container without an init, a supervisor is given all those whose own parents have
// ended: what a sink's command has left running, say. Each would stay a zombie and
// keep its number for good.
package orphans

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// patience is for how long a child must have ended. Whoever starts a process waits for
// it all the time and is there in moments, and needs its exit code.
const patience = 5 * time.Second

// Reaper looks again and again. It is not safe for concurrent use.
type Reaper struct {
	ended map[child]time.Time // and was not waited for, since then
}

// child is a process. Numbers are used again, but not at the same time.
type child struct {
	pid   int
	start string
}

// New returns a Reaper; nil: this process is not given any orphans.
func New() *Reaper {
	if os.Getpid() != 1 {
		return nil
	}
	return &Reaper{}
}

// Look waits for the children that ended a while ago. It never blocks.
func (r *Reaper) Look(now time.Time) {
	if r == nil {
		return
	}
	ended := map[child]time.Time{}
	for _, c := range zombies() {
		since, known := r.ended[c]
		switch {
		case !known:
			ended[c] = now
		case now.Sub(since) < patience:
			ended[c] = since
		default:
			_, _ = unix.Wait4(c.pid, nil, unix.WNOHANG, nil)
		}
	}
	r.ended = ended
}

// zombies are this process's children that have ended and that nobody has waited for.
func zombies() (all []child) {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for field := range strings.FieldsSeq(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				continue
			}
			if start, ok := endedAt(pid); ok {
				all = append(all, child{pid, start})
			}
		}
	}
	return all
}

// endedAt says whether a process is a zombie, and tells it from others that had its
// number (stat in proc(5)).
func endedAt(pid int) (start string, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", false
	}
	const state, startTime = 0, 19 // of what follows the name, which may hold anything
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) <= startTime || fields[state] != "Z" {
		return "", false
	}
	return fields[startTime], true
}
