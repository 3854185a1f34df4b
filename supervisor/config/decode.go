package config

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts"
)

// decode makes the Config, without looking at whether its parts fit together.
func (l *loader) decode() *Config {
	root := l.root
	logs := root.Down("log")
	l.steering.trusted = slices.Concat(l.source.Trust, root.Users("trust"))
	clear(l.steering.verdicts) // they were of those alone who are trusted without the file
	cfg := &Config{
		File:         l.source.Path,
		StateDir:     root.Path("state_dir"),
		FallbackDir:  root.Path("fallback_dir"),
		Trust:        l.steering.trusted,
		MachineGuard: root.Word("machine_guard"),
		Reload:       root.Word("reload"),
		Control: Control{
			Socket: root.Down("control").Path("socket"), TrustFolder: root.Down("control").Boolean("trust_folder"), Readers: readers(root.Down("control")),
		},
		Log: Log{
			Level: logs.Word("level"), Format: logs.Word("format"), File: logs.Path("file"), TrustFolder: logs.Boolean("trust_folder"),
			MaxMegabytes: logs.Number("max_megabytes"), MaxAge: logs.Duration("max_age"), Keep: logs.Number("keep"),
		},
		Plugins: Plugins{Dir: root.Down("plugins").Path("dir")},
		Alerts: Alerts{
			Repeat: root.Down("alerts").Duration("repeat"), LoginDue: root.Down("alerts").Duration("login_due"),
		},

		Providers: map[string]Provider{}, Accounts: map[string]Account{}, Sinks: map[string]Sink{},
	}
	if cfg.StateDir == "" && !root.Given("state_dir") {
		cfg.StateDir = stateDir(l.references.environ, os.Geteuid() == 0)
		l.askDefault(root.At("state_dir"), cfg.StateDir)
	}
	l.references.stateDir = cfg.StateDir
	cfg.Heartbeat, cfg.Metrics = decodeHeartbeat(root), decodeMetrics(root)
	if cfg.Control.Socket == "" && cfg.StateDir != "" {
		cfg.Control.Socket = filepath.Join(cfg.StateDir, "control.sock")
	}
	if cfg.Plugins.Dir == "" && !root.Down("plugins").Broken("dir") {
		cfg.Plugins.Dir = l.folders.pluginsDir()
		l.askDefault(root.Down("plugins").At("dir"), cfg.Plugins.Dir)
	}
	providers, accounts, sinks := root.Down("providers"), root.Down("accounts"), root.Down("sinks")
	for _, name := range providers.Keys() {
		cfg.Providers[name] = decodeProvider(providers.Down(name), name)
	}
	l.accounts = accounts.Keys()
	for _, name := range l.accounts {
		account := decodeAccount(accounts.Down(name), name)
		if account.Provider != "" {
			cfg.Providers[account.Provider] = cfg.Provider(account.Provider)
		}
		underlay(account.Settings, cfg.Providers[account.Provider].Settings)
		cfg.Accounts[name] = account
	}
	for _, name := range sinks.Keys() {
		cfg.Sinks[name] = decodeSink(l.sink(name), name)
	}
	cfg.SecretSettings = slices.Sorted(maps.Keys(l.referred))
	return cfg
}

// askDefault is what [Object.Path] asks of a path that was written.
func (l *loader) askDefault(at Place, path string) {
	if err := l.source.Mounts.Ask(path); err != nil {
		l.report(at, err.Error(), mounts.Remedy)
	}
}

func decodeProvider(o Object, name string) Provider {
	return Provider{
		Name: name, Command: o.Command(), SHA256: o.Word("sha256"),
		Settings: o.Settings(), MaxInFlight: o.Number("max_in_flight"),
		Maintenance: maintenance(o),
	}
}

func decodeAccount(o Object, name string) Account {
	refresh, shared := o.Down("refresh"), sharedFile(o.Down("shared_file"))
	o.l.references.own = ownFileOf(name, shared)
	defer func() { o.l.references.own = ownFile{} }()
	secret, otherSecrets := clientSecrets(o)
	a := Account{
		Name: name, Provider: o.Word("provider"),
		ClientSecret: secret, OtherSecrets: otherSecrets, ClientFirst: o.Boolean("client_checked_first"), Scopes: o.Words("scopes"), Settings: o.Settings(),
		Refresh: Refresh{
			BeforeExpiry: refresh.Duration("before_expiry"),
			Every:        refresh.Duration("every"),
			Jitter:       refresh.Duration("jitter"),
			Budget:       budget(refresh),
			AcceptRisk:   refresh.Boolean("accept_risk"),
			MaxFailures:  refresh.Number("max_failures"),
			Timeout:      refresh.Duration("timeout"),
		},
		SharedFile: shared,
	}
	a.ClientID, _ = o.Text("client_id")
	a.RedirectURL, _ = o.Text("redirect_url")
	if !refresh.Given("jitter") {
		a.Refresh.Jitter = defaultJitter(a.Refresh)
	}
	return a
}

// clientSecrets are those of an account's client: the first, and the others.
func clientSecrets(o Object) (first sdk.Secret, others []sdk.Secret) {
	many, seen := len(o.Words("client_secret")) > 1, map[string]bool{}
	all := o.Secrets("client_secret", func(value string) *Fault {
		defer func() { seen[value] = true }()
		switch {
		case many && value == "":
			return &Fault{"is empty", "leave it out, or write a secret"}
		case seen[value]:
			return &Fault{"is the same secret as another one of the list", "leave one of them out"}
		}
		return nil
	})
	switch len(all) {
	case 0:
		return sdk.Secret{}, nil
	case 1:
		return all[0], nil
	}
	return all[0], all[1:]
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

// underlay gives an account those of its provider's settings that it does not have.
func underlay(account, provider map[string]string) {
	for k, v := range provider {
		if _, own := account[k]; !own {
			account[k] = v
		}
	}
}
