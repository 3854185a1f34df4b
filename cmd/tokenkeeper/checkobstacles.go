package main

import (
	"cmp"
	"errors"
	"io/fs"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/supervisor"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// addObstacles reports the files that can't be replaced. An account with such a
// shared file is not refreshed at all. What only a right stands in the way of
// is a warning, because check may be run by another user than the service; so
// is a sink's file, which stops nothing else.
func (r *report) addObstacles(cfg *config.Config) {
	for _, o := range supervisor.Obstacles(cfg) {
		at := append([]string{"sinks", o.Sink}, strings.Split(cmp.Or(o.Key, "path"), ".")...)
		if o.Account != "" {
			at = []string{"accounts", o.Account, "shared_file"}
		}
		p := config.Problem{
			File: r.Config, Line: r.where().of(at...), Key: strings.Join(at, "."), Message: o.Err.Error(),
		}
		if o.Account != "" && !errors.Is(o.Err, fs.ErrPermission) {
			r.add(p)
		} else {
			r.Warnings = append(r.Warnings, finding(p))
		}
	}
}
