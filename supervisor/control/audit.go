package control

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// audit tells of a call that reads or changes a token, in the log and to who
// follows such events, when it comes: who calls (as the kernel says), with which
// program as far as that can be told, and what is asked. Never what the call
// brings or answers.
func (s *Server) audit(r *http.Request, act string) {
	force, _ := flag(r, "force") // what is neither true nor false is refused
	s.events.Publish(slog.LevelInfo, event.Event{
		Type: event.Audit, Message: "the control API is asked for " + act,
		Account: quoted(r.PathValue("account")), Sink: quoted(r.PathValue("sink")), Provider: quoted(r.PathValue("provider")),
		Act: &event.Act{Name: act, Force: force, Caller: caller(r)},
	})
}

// quoted is a name as somebody gives it, who may give any: what no terminal obeys, and no
// more than a name is long.
func quoted(name string) string {
	const most = 100
	if len(name) > most {
		name = name[:most] + "…"
	}
	return strings.Trim(fmt.Sprintf("%q", name), `"`)
}

// caller is who calls.
func caller(r *http.Request) event.Caller {
	p := peerOf(r)
	return event.Caller{UID: p.UID, PID: p.PID, Program: program(p.PID)}
}

// program is what the process runs: the path of its file, or the name that it
// gives itself if that may not be seen; "" if it has gone.
func program(pid int32) string {
	dir := filepath.Join("/proc", strconv.Itoa(int(pid)))
	name, err := os.Readlink(filepath.Join(dir, "exe"))
	if err != nil {
		b, _ := os.ReadFile(filepath.Join(dir, "comm"))
		name = strings.TrimSuffix(string(b), "\n")
	}
	return strings.Trim(fmt.Sprintf("%q", name), `"`) // a path may be longer than a name
}
