package process

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/hearsay"
)

// envOrigin is in the environment of a plugin's process and of all that it
// starts. Its value is another one for each process.
const envOrigin = "TOKENKEEPER_ORIGIN"

// looksForDescendants is how often those are looked for that start others
// meanwhile.
const looksForDescendants = 5

// endDescendants kills what an ended plugin process has left behind outside of
// its process group: a daemon that holds on to its pipes, its sockets and the
// secrets that it has inherited. One that has wiped its environment is not
// found.
func (c *child) endDescendants() {
	for range looksForDescendants {
		found := descendants(c.origin)
		if len(found) == 0 {
			return
		}
		for _, pid := range found {
			name := nameOf(pid)
			if !killDescendant(pid, c.origin) {
				continue
			}
			c.log.log.LogAttrs(context.Background(), slog.LevelWarn, "a process that the plugin left behind was killed",
				slog.Int("pid", pid), slog.String("program", c.log.secrets.Clean(name, hearsay.Name)))
		}
	}
}

// descendants lists the processes that carry the mark. Those of other users
// can't be looked into, and are none.
func descendants(origin string) (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && pid != os.Getpid() && carriesOrigin(pid, origin) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func carriesOrigin(pid int, origin string) bool {
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return err == nil && bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+envOrigin+"="+origin+"\x00"))
}

// killDescendant takes hold of the process before it looks at it for the last
// time, so that its number can't come to mean another.
func killDescendant(pid int, origin string) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return carriesOrigin(pid, origin) && unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil
}

func nameOf(pid int) string {
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(name))
}
