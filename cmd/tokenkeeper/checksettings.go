package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// settingProblems holds an account's settings against those that its provider
// knows. Values are not quoted: a setting may hold a reference to a secret.
func settingProblems(file string, a config.Account, d sdk.Description) []config.Problem {
	var problems []config.Problem
	add := func(setting, message, hint string) {
		problems = append(problems, config.Problem{
			File: file, Line: lineOf(file, "accounts", a.Name, "settings", setting),
			Key: "accounts." + a.Name + ".settings." + setting, Message: message, Hint: hint,
		})
	}
	var known []string
	for _, s := range d.Settings {
		known = append(known, s.Name)
		value, set := a.Settings[s.Name]
		switch {
		case !set && s.Required:
			add(s.Name, fmt.Sprintf("is missing, and provider %s needs it", a.Provider), s.Description)
		case set && len(s.OneOf) > 0 && !slices.Contains(s.OneOf, value):
			add(s.Name, "has a value that provider "+a.Provider+" does not know", "use one of: "+strings.Join(s.OneOf, ", "))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Settings)) {
		if !slices.Contains(known, name) {
			add(name, "is no setting of provider "+a.Provider, nearestSetting(name, known))
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
