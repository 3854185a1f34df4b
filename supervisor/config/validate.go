package config

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Bounds of what can be set.
const (
	maxInFlight       = 1024
	minAttemptTimeout = time.Second
	maxAttemptTimeout = 5 * time.Minute
)

// validate reports what does not fit together.
func (l *loader) validate(cfg *Config) {
	root := l.merged
	if cfg.StateDir == "" && !l.broken["state_dir"] {
		l.report(root.at("state_dir"), "there is no default without $STATE_DIRECTORY, $XDG_STATE_HOME or $HOME",
			"write state_dir: /var/lib/tokenkeeper")
	}
	if cfg.FallbackDir != "" && cfg.StateDir != "" && liesIn(cfg.FallbackDir, cfg.StateDir) {
		l.report(root.at("fallback_dir"), "it is the state directory, or lies in it, and what fails there fails here too",
			"write a directory on another disk, or remove the line")
	}
	l.steered(root.at("fallback_dir"), cfg.FallbackDir)
	l.steeredPlugins(cfg)
	logs := root.down("log")
	root.choice("machine_guard", "auto", "on", "off")
	logs.choice("level", "debug", "info", "warn", "error")
	logs.choice("format", "text", "json")
	l.validateSocket(cfg)
	alerts := root.down("alerts")
	atLeast(alerts, "repeat", cfg.Alerts.Repeat, 0)
	atLeast(alerts, "login_due", cfg.Alerts.LoginDue, 0)

	known, check := l.knownProviders(cfg)
	providers := root.down("providers")
	for _, name := range keysOf(providers.values) {
		p := providers.down(name)
		p.validateProvider()
		if check && !slices.Contains(known, name) {
			l.report(providers.at(name), fmt.Sprintf("unknown provider %q", name), unknownProvider(name, known, cfg))
		}
	}
	l.validateAccounts(cfg, known, check)
	taken := l.takenPaths(cfg)
	l.validateSharedPaths(cfg, taken)
	l.validateSinks(cfg, taken)
}

func (l *loader) validateSocket(cfg *Config) {
	control := l.merged.down("control")
	n := len(cfg.Control.Socket)
	switch {
	case n <= maxSocketPath:
	case control.given("socket"):
		l.report(control.at("socket"), tooLong(n), "choose a shorter one")
	default:
		at := l.merged.at("state_dir")
		at.key = "control.socket"
		l.report(at, "its default, control.sock in state_dir: "+tooLong(n), "write control.socket with a shorter path")
	}
}

func tooLong(n int) string {
	return fmt.Sprintf("the path of a Unix socket is at most %d bytes long, this one is %d", maxSocketPath, n)
}

// choice reports a value that is not one of options.
func (o objectReader) choice(key string, options ...string) bool {
	v := o.word(key)
	if slices.Contains(options, v) {
		return true
	}
	if !o.broken[o.dotted(key)] {
		o.report(o.at(key), fmt.Sprintf("unknown %s %q", key, v), suggest(v, options))
	}
	return false
}

// typed is a number or duration as people write it: 5m, where Go prints 5m0s.
func typed[T int | time.Duration](v T) string {
	s := fmt.Sprint(v)
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// within reports a number or duration outside of its bounds.
func within[T int | time.Duration](o objectReader, key string, v, low, high T) {
	if (v < low || v > high) && !o.broken[o.dotted(key)] {
		o.report(o.at(key), typed(v)+" is out of bounds", fmt.Sprintf("write %s to %s", typed(low), typed(high)))
	}
}

// atLeast reports a number or duration below its bound.
func atLeast[T int | time.Duration](o objectReader, key string, v, low T) {
	if v < low && !o.broken[o.dotted(key)] {
		o.report(o.at(key), typed(v)+" is too small", "write at least "+typed(low))
	}
}

// knownProviders returns the names that an account may have, and whether they
// can be told.
func (l *loader) knownProviders(cfg *Config) (names []string, ok bool) {
	if l.source.KnownProviders == nil || l.broken["plugins.dir"] || l.broken["providers"] {
		return nil, false
	}
	names = slices.Clone(l.source.KnownProviders(cfg.Plugins.Dir))
	providers := l.merged.down("providers")
	for _, name := range keysOf(providers.values) {
		if p := providers.down(name); p.given("command") {
			names = append(names, name)
		}
	}
	return names, true
}

func unknownProvider(name string, known []string, cfg *Config) string {
	if hint := didYouMean(name, known); hint != "" {
		return hint
	}
	return fmt.Sprintf("put %s%s into %s, or write providers.%s.command", ProviderBinary, name, cfg.Plugins.Dir, name)
}

func (o objectReader) validateProvider() {
	within(o, "max_in_flight", o.number("max_in_flight"), 1, maxInFlight)
	o.validateMaintenance()
	o.validateProgram()
}

// validateProgram checks the program of a plugin.
func (o objectReader) validateProgram() {
	if sum := o.word("sha256"); o.given("sha256") && !o.broken[o.dotted("sha256")] {
		if raw, err := hex.DecodeString(sum); err != nil || len(raw) != 32 {
			o.report(o.at("sha256"), "is not a SHA-256 sum", "write the 64 hexadecimal digits that sha256sum prints")
		}
	}
	if o.given("command") && !o.broken[o.dotted("command")] {
		if c := o.words("command"); len(c) == 0 || c[0] == "" {
			o.report(o.at("command"), "is empty", "write [program, argument, …], or remove the line")
		} else {
			o.steeredProgram(append([]string{o.executable(c[0])}, c[1:]...), o.cwd, true)
		}
	}
}

func (l *loader) validateAccounts(cfg *Config, known []string, check bool) {
	accounts := l.merged.down("accounts")
	if len(cfg.Accounts) == 0 && l.nothingUnder("accounts") {
		l.report(l.merged.at("accounts"), "there is no account",
			"write one, or let \"tokenkeeper init\" write a configuration to begin with")
	}
	for _, name := range keysOf(cfg.Accounts) {
		o, a := accounts.down(name), cfg.Accounts[name]
		switch at := o.at("provider"); {
		case l.broken[o.dotted("provider")]:
		case a.Provider == "":
			l.report(at, "the account has no provider", "write provider: schwab, or whichever it belongs to")
		case !validName(a.Provider):
			message, hint := badName(a.Provider)
			l.report(at, message, hint)
		case check && !slices.Contains(known, a.Provider) && !l.merged.down("providers").given(a.Provider):
			l.report(at, fmt.Sprintf("unknown provider %q", a.Provider), unknownProvider(a.Provider, known, cfg))
		}
		o.validateURL("redirect_url", a.RedirectURL)
		if a.SharedFile != nil {
			o.down("shared_file").validateSharedFile(a.SharedFile)
		}
		o.down("refresh").validateRefresh(a.Refresh)
	}
}

// nothingUnder says whether a section has no entries, not even broken ones.
func (l *loader) nothingUnder(section string) bool {
	for p := range l.places {
		if strings.HasPrefix(p, section+".") {
			return false
		}
	}
	return !l.broken[section] && len(l.badNames) == 0
}

// validateURL does not quote the address: it may hold a secret.
func (o objectReader) validateURL(key, value string) *url.URL {
	if value == "" {
		if o.given(key) && !o.broken[o.dotted(key)] {
			o.report(o.at(key), "is empty", "write an address, or remove the line")
		}
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		o.report(o.at(key), "is not an address", "write it like https://127.0.0.1:8182")
		return nil
	}
	return u
}

func (o objectReader) validateRefresh(r Refresh) {
	atLeast(o, "before_expiry", r.BeforeExpiry, 0)
	atLeast(o, "every", r.Every, 0)
	if o.given("jitter") {
		atLeast(o, "jitter", r.Jitter, 0)
	}
	atLeast(o, "max_failures", r.MaxFailures, 1)
	within(o, "timeout", r.Timeout, minAttemptTimeout, maxAttemptTimeout)
}
