package config

import (
	"fmt"
	"maps"
	slashed "path"
	"slices"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/supervisor/nearest"
)

// isGlob says whether a word in accounts is a pattern of path.Match. No name
// of an account holds any of these.
func isGlob(word string) bool { return strings.ContainsAny(word, `*?[\`) }

// routes says whether an account's tokens go to the sink. A pattern that is
// malformed matches nothing.
func (s Sink) routes(a Account) bool {
	if len(s.Accounts) == 0 && len(s.Providers) == 0 {
		return true
	}
	return slices.Contains(s.Providers, a.Provider) || slices.ContainsFunc(s.Accounts, func(word string) bool {
		matches, err := slashed.Match(word, a.Name)
		return err == nil && matches
	})
}

// events are what is sent to a destination.
func events(o Object, t Traits) []string {
	if o.Given("events") {
		return o.Words("events")
	}
	return defaultEvents(t)
}

func defaultEvents(t Traits) []string {
	if t.Events != nil {
		return t.Events
	}
	return []string{SendToken}
}

func validateRouting(o Object, cfg *Config, s Sink, used map[string]bool) {
	if !o.l.root.Broken("accounts") {
		validateSinkAccounts(o, cfg)
		validateSinkProviders(o, used)
	}
	Within(o, "max_concurrent", s.MaxConcurrent, 1, maxInFlight)
}

// eachWord reports an empty list and words that are there twice; each gets every
// other word.
func eachWord(o Object, key, what, empty string, each func(at Place, word string)) {
	words := o.Words(key)
	if o.Given(key) && len(words) == 0 && !o.Broken(key) {
		o.Report(o.At(key), "is an empty list", empty)
	}
	seen := make(map[string]bool, len(words))
	for i, word := range words {
		if seen[word] {
			o.Report(o.Item(key, i), fmt.Sprintf("%s %q is there twice", what, word), "remove one of the two")
			continue
		}
		seen[word] = true
		each(o.Item(key, i), word)
	}
}

func validateSinkAccounts(o Object, cfg *Config) {
	eachWord(o, "accounts", "account", "name accounts, or remove the line to send all of them", func(at Place, word string) {
		switch _, known := cfg.Accounts[word]; {
		case o.l.badNames[word] || o.l.root.e.under("accounts", word).isBroken(): // reported where it stands
		case isGlob(word):
			validateGlob(o, cfg, at, word)
		case !known:
			o.Report(at, fmt.Sprintf("unknown account %q", word), suggest(word, o.l.accounts))
		}
	})
}

func validateGlob(o Object, cfg *Config, at Place, glob string) {
	if _, err := slashed.Match(glob, ""); err != nil {
		o.Report(at, fmt.Sprintf("%q is not a pattern", glob), "write * for any letters, ? for one, and [abc] for one of some")
		return
	}
	if len(o.l.badNames) > 0 || len(cfg.SinkAccounts(Sink{Accounts: []string{glob}})) > 0 {
		return
	}
	o.Report(at, fmt.Sprintf("no account matches %q", glob), suggestGlob(glob, o.l.accounts))
}

// suggestGlob is the hint about a pattern that matches none of the names: the
// same pattern with its first letters as those of a name, or else the names.
func suggestGlob(glob string, names []string) string {
	literal := glob[:strings.IndexAny(glob, `*?[\`)]
	var better []string
	for _, name := range names {
		for n := max(1, len(literal)-1); n <= min(len(name), len(literal)+1); n++ {
			candidate := name[:n] + glob[len(literal):]
			if ok, err := slashed.Match(candidate, name); err == nil && ok {
				better = append(better, candidate)
			}
		}
	}
	if hint := nearest.Hint(glob, better); hint != "" {
		return hint
	}
	return suggest(glob, names)
}

// usedProviders are those that have accounts; nil if that can't be told: an account
// whose provider is reported where it stands may be of the one that is meant.
func (l *loader) usedProviders(cfg *Config) map[string]bool {
	used, accounts := map[string]bool{}, l.root.e.under("accounts")
	for name, a := range cfg.Accounts {
		if a.Provider == "" || accounts.under(name, "provider").isBroken() {
			return nil
		}
		used[a.Provider] = true
	}
	return used
}

func validateSinkProviders(o Object, used map[string]bool) {
	if used == nil {
		return
	}
	eachWord(o, "providers", "provider", "name providers, or remove the line", func(at Place, word string) {
		if !used[word] && len(o.l.badNames) == 0 {
			o.Report(at, fmt.Sprintf("no account belongs to provider %q", word), suggest(word, keysOf(used)))
		}
	})
}

func validateEvents(o Object, t Traits) {
	kinds := map[string]bool{SendToken: true, SendAlert: true, SendLifecycle: true}
	eachWord(o, "events", "event", "name token, alert or lifecycle, or remove the line", func(at Place, word string) {
		switch {
		case !kinds[word]:
			o.Report(at, fmt.Sprintf("unknown event %q", word), suggest(word, slices.Collect(maps.Keys(kinds))))
		case word == SendToken && t.NoToken != "":
			o.Report(at, t.NoToken, "write alert or lifecycle, and another sink for the tokens")
		case word != SendToken && t.TokensOnly.Message != "":
			hint := "write another sink for it, of type " + oneOf(o.l.tellingTypes())
			if t.TokensOnly.Hint != "" {
				hint += ", or " + t.TokensOnly.Hint
			}
			o.Report(at, fmt.Sprintf("%s, and no event %q", t.TokensOnly.Message, word), hint)
		}
	})
}

// tellingTypes are those that can be sent more than tokens by what they are, whatever
// their keys say.
func (l *loader) tellingTypes() (names []string) {
	aside := *l // nobody wrote what is read here, and so nothing is wrong with it
	aside.findings = &findings{source: l.source, file: l.file, badNames: map[string]bool{}}
	for _, name := range l.sinks.types() {
		t := l.sinks.of(name)
		if t.Read(Object{&aside, &entry{}, l.sinks.own[t], nil, "sinks." + name}).Traits().TokensOnly.Message == "" {
			names = append(names, name)
		}
	}
	return names
}
