package main

import (
	"errors"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts"
	"github.com/tokenkeeper/tokenkeeper/supervisor/nearest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// settingProblems holds the settings of what stands at place in the
// configuration against those that its program, called of, knows. Values are
// not quoted, but for names of files: a setting may be a secret, or hold a
// reference to one.
func settingProblems(lines *keyLines, place []string, of string, known []sdk.Setting, settings map[string]string) []config.Problem {
	var problems []config.Problem
	add := func(setting, message, hint string) {
		problems = append(problems, settingProblem(lines, place, setting, message, hint))
	}
	var names []string
	for _, s := range known {
		names = append(names, s.Name)
	}
	misspelt := map[string]bool{} // which are told of, and not as missing
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if !slices.Contains(names, name) {
			add(name, "is no setting of "+of, nearestSetting(name, names))
			misspelt[nearest.Of(name, names)] = true
		}
	}
	for _, s := range known {
		value, set := settings[s.Name]
		switch {
		case !set && s.Required && !misspelt[s.Name]:
			add(s.Name, missing(of, s.Description), "")
		case set && len(s.OneOf) > 0 && !slices.Contains(s.OneOf, value):
			add(s.Name, "has a value that "+of+" does not know", "use one of: "+strings.Join(s.OneOf, ", "))
		}
	}
	return problems
}

func settingProblem(lines *keyLines, place []string, setting, message, hint string) config.Problem {
	path := append(slices.Clone(place), "settings", setting)
	return config.Problem{File: lines.file, Line: lines.of(path...), Key: strings.Join(path, "."), Message: message, Hint: hint}
}

// namedProblems are what is wrong with the files and sockets that settings name, which
// may be right at the next start. trusted may change the files that steer.
func namedProblems(lines *keyLines, place []string, known []sdk.Setting, settings map[string]string, trusted []int) []config.Problem {
	var problems []config.Problem
	add := func(setting, message, hint string) {
		problems = append(problems, settingProblem(lines, place, setting, message, hint))
	}
	for _, s := range known {
		value, set := settings[s.Name]
		switch {
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
	return problems
}

// addSilent reports the settings of what stands at place that name a file or a socket
// whose file system does not answer, and says whether there are any: then nobody may
// look at them.
func (r *report) addSilent(place []string, known []sdk.Setting, settings map[string]string) (found bool) {
	for _, s := range known {
		value := settings[s.Name]
		if !filepath.IsAbs(value) || !s.Steers && s.SocketUsers == "" {
			continue
		}
		err := r.asker.Ask(value)
		if found = found || err != nil; err == nil || r.starts {
			continue
		}
		r.add(settingProblem(r.where(), place, s.Name, err.Error(), mounts.Remedy))
	}
	return found
}

// missing says that a program needs a setting, in the words by which it describes it.
func missing(of, description string) string {
	message := "is missing, and " + of + " needs it"
	if description == "" {
		return message
	}
	return message + ": " + strconv.Quote(description)
}

// addressProblems are an account's settings that are addresses, by their names, and
// hold none. What sdk/oauth takes is known of the built-in providers alone.
func addressProblems(lines *keyLines, a config.Account, known []sdk.Setting, caFault func(path string) string) []config.Problem {
	var problems []config.Problem
	_, strict := builtin(a.Provider)
	for _, s := range known {
		value, set := a.Settings[s.Name]
		proxy, ca := s.Name == oauth.SettingProxy && strict, s.Name == oauth.SettingCAFile && strict
		if !set || !strings.HasSuffix(s.Name, "_url") && !proxy && !ca || value == "" && !s.Required {
			continue
		}
		fault, hint := "", "write it like https://broker.example/path"
		if proxy {
			fault, hint = oauth.ProxyFault(value), ""
		} else if ca {
			fault, hint = caFault(value), ""
		} else if u, err := url.Parse(value); err != nil || u.Scheme == "" || u.Host == "" {
			fault = "is not an absolute URL"
		} else if strict {
			fault = oauth.AddressFault(value)
		}
		if fault != "" {
			path := []string{"accounts", a.Name, "settings", s.Name}
			problems = append(problems, config.Problem{
				File: lines.file, Line: lines.of(path...), Key: strings.Join(path, "."), Message: fault, Hint: hint,
			})
		}
	}
	return problems
}

// caFaults is [oauth.CAFault], which reads each file once. Without strictFiles it reads
// none: the accounts that need one go without it alone, and it may come.
func caFaults(strictFiles bool) func(path string) string {
	known := map[string]string{}
	return func(path string) string {
		fault, asked := known[path]
		if !asked && (strictFiles || !filepath.IsAbs(path)) {
			fault = oauth.CAFault(path)
			known[path] = fault
		}
		return fault
	}
}

// nearestSetting is the hint about a setting that does not exist.
func nearestSetting(name string, known []string) string {
	if len(known) == 0 {
		return "it has none: remove the line"
	}
	if hint := nearest.Hint(name, known); hint != "" {
		return hint
	}
	return "it has: " + strings.Join(known, ", ")
}
