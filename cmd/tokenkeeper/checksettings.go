package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// settingProblems holds the settings of what stands at place in the
// configuration against those that its program, called of, knows. Values are
// not quoted, but for names of files: a setting may be a secret, or hold a
// reference to one. trusted may change the files that steer.
func settingProblems(file string, place []string, of string, known []sdk.Setting, settings map[string]string, trusted []int) []config.Problem {
	var problems []config.Problem
	add := func(setting, message, hint string) {
		path := append(slices.Clone(place), "settings", setting)
		problems = append(problems, config.Problem{
			File: file, Line: lineOf(file, path...), Key: strings.Join(path, "."), Message: message, Hint: hint,
		})
	}
	var names []string
	for _, s := range known {
		names = append(names, s.Name)
		value, set := settings[s.Name]
		switch {
		case !set && s.Required:
			add(s.Name, fmt.Sprintf("is missing, and %s needs it", of), s.Description)
		case set && len(s.OneOf) > 0 && !slices.Contains(s.OneOf, value):
			add(s.Name, "has a value that "+of+" does not know", "use one of: "+strings.Join(s.OneOf, ", "))
		case set && s.Steers:
			if err := process.Steered(value, trusted); err != nil {
				add(s.Name, err.Error(), "")
			}
		case set && s.SocketUsers != "" && strings.HasPrefix(value, "/"):
			allow, err := localsocket.Users(settings[s.SocketUsers])
			if err != nil {
				add(s.SocketUsers, err.Error(), "")
			}
			var peer *trust.PeerRefusal
			var link *trust.Refusal
			switch err := localsocket.Served(value, allow); {
			case errors.As(err, &peer):
				add(s.Name, err.Error(), "if that is the right one, write "+s.SocketUsers+": "+peer.Key)
			case errors.As(err, &link):
				add(s.Name, err.Error(), "")
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if !slices.Contains(names, name) {
			add(name, "is no setting of "+of, nearestSetting(name, names))
		}
	}
	return problems
}

// nearestSetting is the hint about a setting that does not exist.
func nearestSetting(name string, known []string) string {
	if len(known) == 0 {
		return "it has none: remove the line"
	}
	best, distance := "", 1+max(1, len(name)/3)
	for _, k := range known {
		if d := levenshtein.ComputeDistance(name, k); d < distance {
			best, distance = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "it has: " + strings.Join(known, ", ")
}
