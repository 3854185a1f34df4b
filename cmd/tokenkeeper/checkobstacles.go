package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/tokenkeeper/tokenkeeper/supervisor"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// addObstacles reports what keeps tokens from their destinations. An account whose
// shared file can't be replaced is not refreshed at all. What only a right stands in
// the way of is a warning, unless check is run by the user of the service; so is what
// may be there in time, and what may pass, such as a full disk.
func (r *report) addObstacles(cfg *config.Config) {
	service := r.addUser(cfg)
	for _, o := range supervisor.Obstacles(cfg) {
		at := append([]string{"sinks", o.Sink}, strings.Split(cmp.Or(o.Key, "path"), ".")...)
		if o.Account != "" {
			at = []string{"accounts", o.Account, "shared_file"}
		}
		p := config.Problem{
			File: r.Config, Line: r.where().of(at...), Key: strings.Join(at, "."), Message: o.Err.Error(),
		}
		hint, passes := mayPass(o, service)
		if !passes {
			r.add(p)
			continue
		}
		p.Hint = hint
		r.Warnings = append(r.Warnings, finding(p))
	}
}

// mayPass says whether an obstacle is worth a warning only, because it may be over when
// the service runs, and whom that is up to.
func mayPass(o supervisor.Obstacle, service bool) (hint string, passes bool) {
	switch {
	case o.Missing != "" && (o.Later || madeAtStart(o.Missing)):
		return "whoever starts the service, or the consumer, may make it until then", true
	case o.Later:
		return "the consumer may be there until then", true
	}
	return "", errors.Is(o.Err, fs.ErrPermission) && !service || o.Sink != "" && o.Passing()
}

// addUser notes with whose rights everything is tried, and says whether those are the
// service's: the state directory belongs to the user that has used it.
func (r *report) addUser(cfg *config.Config) (service bool) {
	judge := trust.Here()
	r.CheckedAs = judge.User(os.Geteuid())
	info, err := os.Stat(cfg.StateDir)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return false
	case int(st.Uid) != os.Geteuid():
		r.ServiceUser = judge.User(int(st.Uid))
		return false
	}
	return true
}

// madeAtStart says whether a folder is where the service's unit, or a bot's, has its
// own folders made when it starts (systemd.exec(5)).
func madeAtStart(folder string) bool {
	for _, above := range []string{"/run/", "/var/run/", "/var/lib/tokenkeeper/", "/var/log/tokenkeeper/", "/var/cache/tokenkeeper/"} {
		if strings.HasPrefix(folder+"/", above) {
			return true
		}
	}
	return false
}

// untried is what check can't see, because it sends nothing to anybody.
type untried struct {
	// What it is, and the sinks that it is about; none: the providers' brokers.
	What  string   `json:"what"`
	Sinks []string `json:"sinks,omitempty"`
}

func (r *report) addUntried(cfg *config.Config) {
	r.Untried = append(r.Untried, untried{What: "whether the brokers take the clients' ids and secrets"})
	if cfg.Heartbeat != nil {
		r.Untried = append(r.Untried, untried{What: "whether the heartbeat's service takes it"})
	}
	sinks := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(cfg.Sinks)) {
		if what := supervisor.Unseen(cfg.Sinks[name]); what != "" {
			sinks[what] = append(sinks[what], name)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(sinks)) {
		r.Untried = append(r.Untried, untried{what, sinks[what]})
	}
}

// untriedLine says it in one paragraph.
func untriedLine(all []untried) string {
	var parts []string
	test := ""
	for _, u := range all {
		part := u.What
		if len(u.Sinks) > 0 {
			part += " (" + someOf(u.Sinks, "sinks") + ")"
			test = "; once it runs: tokenkeeper sinks test NAME"
		}
		parts = append(parts, part)
	}
	return fmt.Sprintf("not tried, as check sends nothing: %s%s", strings.Join(parts, "; "), test)
}

// userLine says with whose rights everything was tried, if those may be other ones
// than the service's.
func (r report) userLine() string {
	switch {
	case r.unit != "":
		return fmt.Sprintf("files, sockets and programs were tried as %s; as the service, with what that may see, tries: tokenkeeper check --unit %s", r.CheckedAs, r.unit)
	case r.ServiceUser != "":
		return fmt.Sprintf("files, sockets and programs were tried as %s, and the state directory is that of %s: run check as that user", r.CheckedAs, r.ServiceUser)
	case r.CheckedAs != "" && r.StateDir != nil && !r.StateDir.there:
		return fmt.Sprintf("files, sockets and programs were tried as %s: if the service has another user, run check as that one", r.CheckedAs)
	}
	return ""
}
