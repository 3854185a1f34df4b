package config

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// objectReader reads the keys of one mapping of the merged configuration. All values
// have the types that parse gave them; a missing or broken one reads as zero.
type objectReader struct {
	*loader
	values map[string]any
	path   string // dotted
}

func (o objectReader) down(key string) objectReader {
	return objectReader{o.loader, child(o.values, key), below(o.path, key)}
}

func (o objectReader) dotted(key string) string { return below(o.path, key) }

// at is where key was written, or if it was not, where the mapping was that
// should hold it.
func (o objectReader) at(key string) place {
	if at, ok := o.places[o.dotted(key)]; ok {
		return at
	}
	at, ok := o.places[o.path]
	if !ok {
		at = place{file: o.file}
	}
	if at.layer == inFile {
		at.key = o.dotted(key)
	}
	return at
}

// given says whether key was written at all, be it right or wrong.
func (o objectReader) given(key string) bool {
	_, ok := o.places[o.dotted(key)]
	return ok
}

func (o objectReader) word(key string) string  { v, _ := o.values[key].(string); return v }
func (o objectReader) number(key string) int   { v, _ := o.values[key].(int); return v }
func (o objectReader) boolean(key string) bool { v, _ := o.values[key].(bool); return v }
func (o objectReader) duration(key string) time.Duration {
	v, _ := o.values[key].(time.Duration)
	return v
}

// words returns a copy of a list, or nil for an empty one.
func (o objectReader) words(key string) []string {
	v, _ := o.values[key].([]string)
	return append([]string(nil), v...)
}

// item is where the i-th item of a list was written.
func (o objectReader) item(key string, i int) place {
	if at, ok := o.places[o.dotted(key)+"."+strconv.Itoa(i)]; ok {
		return at
	}
	return o.at(key)
}

// text resolves references; referenced says whether there was one.
func (o objectReader) text(key string) (value string, referenced bool) {
	value, referenced, ok := o.expand(o.at(key), o.word(key))
	if !ok {
		o.broken[o.dotted(key)] = true
	}
	return value, referenced
}

// secret is text that should not stand in a file that others can read.
// Each check looks at the value and must not quote it.
func (o objectReader) secret(key string, checks ...func(string) *fault) sdk.Secret {
	value, referenced := o.text(key)
	for _, check := range checks {
		if f := check(value); f != nil && !o.broken[o.dotted(key)] {
			o.reject(o.at(key), o.dotted(key), f)
		}
	}
	if value != "" && !referenced {
		o.inClear(key)
	}
	return sdk.NewSecret(value)
}

// inClear warns if the value of key can be read by others.
func (o objectReader) inClear(key string) { o.inClearAt(o.at(key)) }

func (l *loader) inClearAt(at place) {
	switch {
	case at.layer == inFlags:
		l.warn(at, "a secret in clear text in a flag: every process on this machine can read it",
			"use ${env:NAME} or ${file:PATH}")
	case at.layer == inFile && l.exposed != 0:
		who := "the file's group"
		if l.exposed&0o004 != 0 {
			who = "everyone on this machine"
		}
		l.warn(at, "a secret in clear text in a file that "+who+" can read",
			"chmod 600 "+l.file+", or move the secret out and write ${file:PATH} or ${env:NAME}")
	}
}

// pathOf makes a path absolute.
func (o objectReader) pathOf(key string) string {
	raw := o.word(key)
	if f := notExpanded(raw); f != nil {
		o.reject(o.at(key), o.dotted(key), f)
		return ""
	}
	value, _ := o.text(key)
	if value == "" {
		if o.given(key) && !o.broken[o.dotted(key)] {
			o.reject(o.at(key), o.dotted(key), &fault{"is empty", "write a path, or remove the line"})
		}
		return ""
	}
	if !filepath.IsAbs(value) {
		value = filepath.Join(o.base(o.at(key)), value)
	}
	return filepath.Clean(value)
}

// decode makes the Config, without looking at whether its parts fit together.
func (l *loader) decode() *Config {
	root := l.merged
	logs := root.down("log")
	l.trusted = slices.Concat(l.source.Trust, root.users("trust"))
	clear(l.verdicts) // they were of those alone who are trusted without the file
	cfg := &Config{
		File:         l.source.Path,
		StateDir:     root.pathOf("state_dir"),
		FallbackDir:  root.pathOf("fallback_dir"),
		Trust:        l.trusted,
		MachineGuard: root.word("machine_guard"),
		Control:      Control{Socket: root.down("control").pathOf("socket"), TrustFolder: root.down("control").boolean("trust_folder")},
		Log:          Log{Level: logs.word("level"), Format: logs.word("format"), File: logs.pathOf("file"), TrustFolder: logs.boolean("trust_folder")},
		Plugins:      Plugins{Dir: root.down("plugins").pathOf("dir")},
		Alerts: Alerts{
			Repeat: root.down("alerts").duration("repeat"), LoginDue: root.down("alerts").duration("login_due"),
		},

		Providers: map[string]Provider{}, Accounts: map[string]Account{}, Sinks: map[string]Sink{},
	}
	if cfg.StateDir == "" && !root.given("state_dir") {
		cfg.StateDir = stateDir(l.environ, os.Geteuid() == 0)
	}
	l.stateDir = cfg.StateDir
	if cfg.Control.Socket == "" && cfg.StateDir != "" {
		cfg.Control.Socket = filepath.Join(cfg.StateDir, "control.sock")
	}
	if cfg.Plugins.Dir == "" {
		cfg.Plugins.Dir = l.pluginsDir()
	}
	providers, accounts, sinks := root.down("providers"), root.down("accounts"), root.down("sinks")
	for _, name := range keysOf(providers.values) {
		cfg.Providers[name] = providers.down(name).provider(name)
	}
	for _, name := range keysOf(accounts.values) {
		account := accounts.down(name).account(name)
		if account.Provider != "" {
			cfg.Providers[account.Provider] = cfg.Provider(account.Provider)
		}
		account.Settings = over(cfg.Providers[account.Provider].Settings, account.Settings)
		cfg.Accounts[name] = account
	}
	for _, name := range keysOf(sinks.values) {
		cfg.Sinks[name] = sinks.down(name).sink(name)
	}
	cfg.SecretSettings = slices.Sorted(maps.Keys(l.referred))
	return cfg
}

func (o objectReader) provider(name string) Provider {
	command := o.words("command")
	if len(command) > 0 {
		command[0] = o.executable(command[0])
	}
	return Provider{
		Name: name, Command: command, SHA256: o.word("sha256"),
		Settings: o.settings(), MaxInFlight: o.number("max_in_flight"),
		Maintenance: o.maintenance(),
	}
}

// executable makes a path absolute; a name without a slash is left to be
// looked up in $PATH.
func (o objectReader) executable(program string) string {
	if f := notExpanded(program); f != nil {
		at := o.item("command", 0)
		o.report(at, f.message, "write the whole path")
	}
	if filepath.Base(program) == program || filepath.IsAbs(program) {
		return program
	}
	return filepath.Join(o.base(o.item("command", 0)), program)
}

func (o objectReader) account(name string) Account {
	refresh, shared := o.down("refresh"), o.down("shared_file").sharedFile()
	o.own = ownFileOf(name, shared)
	defer func() { o.own = ownFile{} }()
	a := Account{
		Name: name, Provider: o.word("provider"),
		ClientSecret: o.secret("client_secret"), Scopes: o.words("scopes"), Settings: o.settings(),
		Refresh: Refresh{
			BeforeExpiry: refresh.duration("before_expiry"),
			Every:        refresh.duration("every"),
			Jitter:       refresh.duration("jitter"),
			MaxFailures:  refresh.number("max_failures"),
			Timeout:      refresh.duration("timeout"),
		},
		SharedFile: shared,
	}
	a.ClientID, _ = o.text("client_id")
	a.RedirectURL, _ = o.text("redirect_url")
	if !refresh.given("jitter") {
		a.Refresh.Jitter = defaultJitter(a.Refresh)
	}
	return a
}

// defaultJitter is 10 s, but at most a tenth of the time that it is taken
// from, so that it never matters to when a token is fresh.
func defaultJitter(r Refresh) time.Duration {
	jitter := 10 * time.Second
	for _, d := range []time.Duration{r.BeforeExpiry, r.Every} {
		if d > 0 {
			jitter = min(jitter, d/10)
		}
	}
	return jitter
}

// settings reads the table "settings". A broken value is left out.
func (o objectReader) settings() map[string]string {
	table, values := o.down("settings"), map[string]string{}
	for _, key := range keysOf(table.values) {
		value, referenced := table.text(key)
		if !table.broken[table.dotted(key)] {
			values[key] = value
		}
		if referenced {
			o.referred[key] = true
		}
		if value != "" && !referenced && soundsSecret(key) {
			table.inClear(key)
		}
	}
	return values
}

// over returns the settings of an account laid over those of its provider.
func over(provider, account map[string]string) map[string]string {
	all := make(map[string]string, len(provider)+len(account))
	for k, v := range provider {
		all[k] = v
	}
	for k, v := range account {
		all[k] = v
	}
	return all
}
