package control

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// audited writes a line of the log for a call that reads or changes a token,
// when it comes: who calls (as the kernel says), with which program as far as
// that can be told, and what is asked. Never what the call brings or answers.
func (s *Server) audited(act string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, _ := r.Context().Value(peerKey{}).(peer)
		attrs := []any{"event", "audit", "act", act, "uid", p.UID, "pid", p.PID, "program", program(p.PID)}
		for _, name := range []string{"account", "sink", "provider"} {
			if v := r.PathValue(name); v != "" {
				attrs = append(attrs, name, v)
			}
		}
		if r.URL.Query().Get("force") == "true" {
			attrs = append(attrs, "force", true)
		}
		s.log.Info("the control API is asked for "+act, attrs...)
		next(w, r)
	}
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
	return strings.Trim(fmt.Sprintf("%q", name), `"`)
}
