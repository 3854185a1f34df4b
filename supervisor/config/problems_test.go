package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// builtIn are the providers that the tests know.
func builtIn(string) []string { return []string{"schwab", "saxo"} }

// environ makes an environment.
func environ(entries ...string) func() []string { return func() []string { return entries } }

// account is the least that must be there, for tests of everything else.
const account = "accounts:\n  a: {provider: schwab, client_id: id, client_secret: s}\n"

// source is YAML in memory, with an empty environment but for entries.
func source(t *testing.T, yaml string, entries ...string) config.Source {
	t.Helper()
	return config.Source{
		Bytes: []byte(yaml), Name: "tokenkeeper.yaml", Dir: t.TempDir(), KnownProviders: builtIn, Sinks: config.TestSinks, KnownSinks: func(string) []string { return []string{"redis"} },
		Environ: environ(append([]string{"STATE_DIRECTORY=/var/lib/tokenkeeper"}, entries...)...),
	}
}

// withTypes puts the types of sinks that are built in, whichever they are, into what
// is said of an unknown one.
func withTypes(text string) string {
	var names []string
	for _, t := range config.TestSinks.BuiltIn {
		names = append(names, t.Name())
	}
	slices.Sort(names)
	last := len(names) - 1
	return strings.NewReplacer("BUILT-IN", strings.Join(names, ", "), "BUILT-OR", strings.Join(names[:last], ", ")+" or "+names[last]).Replace(text)
}

func TestProblems(t *testing.T) {
	for name, tt := range map[string]struct {
		yaml string
		env  []string
		want string // lines
	}{
		"unknown key, near": {
			yaml: "accounts:\n  schwab-main:\n    provider: schwab\n    client_id: id\n    refesh: {every: 25m}\n",
			want: `tokenkeeper.yaml:5:5: accounts.schwab-main.refesh: unknown key; did you mean "refresh"?`,
		},
		"unknown key, far": {
			yaml: account + "log: {volume: 11}\n",
			want: `tokenkeeper.yaml:3:7: log.volume: unknown key; known here: file, format, keep, level, max_age, max_megabytes, trust_folder`,
		},
		"too many logs": {
			yaml: account + "log: {keep: 101, max_megabytes: -1}\n",
			want: "tokenkeeper.yaml:3:13: log.keep: 101 is out of bounds; write 0 to 100\n" +
				"tokenkeeper.yaml:3:33: log.max_megabytes: -1 is too small; write at least 0",
		},
		"misspelt sections are not missing as well": {
			yaml: "acounts:\n  a: {provider: schwab}\n",
			want: `tokenkeeper.yaml:1:1: acounts: unknown key; did you mean "accounts"?`,
		},
		"a misspelt needed key is not missing as well": {
			yaml: "accounts:\n  a: {provder: schwab, client_id: id}\n",
			want: `tokenkeeper.yaml:2:7: accounts.a.provder: unknown key; did you mean "provider"?`,
		},
		"duplicate name": {
			yaml: account + "  a: {provider: saxo}\n",
			want: `tokenkeeper.yaml:3:3: accounts.a: is there twice, first in line 2; remove or rename one of the two`,
		},
		"duplicate key": {
			yaml: account + "log:\n  level: info\n  level: warn\n",
			want: `tokenkeeper.yaml:5:3: log.level: is there twice, first in line 4; remove or rename one of the two`,
		},
		"a key that is unknown, and there twice": {
			yaml: account + "log:\n  levl: info\n  levl: warn\n  level:\n    info\n  level: warn\n",
			want: `tokenkeeper.yaml:4:3: log.levl: unknown key; did you mean "level"?
tokenkeeper.yaml:5:3: log.levl: is there twice, first in line 4; remove or rename one of the two
tokenkeeper.yaml:8:3: log.level: is there twice, first in line 6; remove or rename one of the two`,
		},
		"windows that can't be used, and those after them": {
			yaml: account + "providers:\n  schwab:\n    maintenance: [x, {from: '01:00', to: '25:00'}, ~, {from: '01:00', to: '02:00', zone: nowhere}, ~]\n",
			want: `tokenkeeper.yaml:5:19: providers.schwab.maintenance.0: wrong type: this must be a mapping (key: value), not text
tokenkeeper.yaml:5:42: providers.schwab.maintenance.1.to: "25:00" is no time of the day; write it like "02:00"
tokenkeeper.yaml:5:52: providers.schwab.maintenance.2: has no value; write one, or remove the line
tokenkeeper.yaml:5:90: providers.schwab.maintenance.3.zone: unknown time zone "nowhere"; write one like Europe/Copenhagen, and install the package tzdata if it is missing
tokenkeeper.yaml:5:100: providers.schwab.maintenance.4: has no value; write one, or remove the line`,
		},
		"items of a list": {
			yaml: "accounts:\n  a: {provider: schwab, client_id: id, scopes: [[x], y]}\nsinks:\n  s: {type: file, path: /x, accounts: [~, b]}\n",
			want: `tokenkeeper.yaml:2:49: accounts.a.scopes: item 1: wrong type: this must be text, not a list
tokenkeeper.yaml:4:39: sinks.s.accounts: unknown account "b"; did you mean "a"?
tokenkeeper.yaml:4:40: sinks.s.accounts: item 1: has no value; write one, or remove the line`,
		},
		"the environment, and no account": {
			yaml: "log: {level: info}\n",
			env:  []string{"TOKENKEEPER_ACCOUNTS__A__REFRESH__EVERY=5", "TOKENKEEPER_LOG__LEVEL=loud"},
			want: `environment: TOKENKEEPER_ACCOUNTS__A__REFRESH__EVERY: 5 is a bare number where a duration belongs; write 5s for seconds or 5m for minutes
environment: TOKENKEEPER_LOG__LEVEL: unknown level "loud"; known here: debug, error, info, warn`,
		},
		"a key of another type, from the environment": {
			yaml: account + "sinks:\n  s: {type: file, path: /x}\n",
			env:  []string{"TOKENKEEPER_SINKS__S__SIGNAL__PIDFILE=/p", "TOKENKEEPER_SINKS__S__HEADERS__A=b", "TOKENKEEPER_SINKS__S__TIMEOUT=x"},
			want: `environment: TOKENKEEPER_SINKS__S__TIMEOUT: "x" is not a duration; write it like 90s, 5m or 1h30m
environment: TOKENKEEPER_SINKS__S__TIMEOUT: unknown key in a sink of type file; known here: format, mode, owner, path, signal, template, timezone, trust_folder
tokenkeeper.yaml:4:3: sinks.s.headers: unknown key in a sink of type file; known here: format, mode, owner, path, signal, template, timezone, trust_folder`,
		},
		"a name that no variable can tell from a level": {
			yaml: "accounts:\n  a_-b: {provider: schwab, client_id: id, client_secret: s}\n",
			env:  []string{"TOKENKEEPER_ACCOUNTS__A__B__CLIENT_ID=x"},
			want: "environment: TOKENKEEPER_ACCOUNTS__A__B__CLIENT_ID: no such key; two underscores separate the levels of a key, and a name here holds them, or dashes for them: write this key into the configuration file",
		},
		"names from the environment, as they are in the file": {
			yaml: "accounts:\n  a-b: {provider: schwab, client_id: id}\n",
			env:  []string{"TOKENKEEPER_ACCOUNTS__A_B__REFRESH__EVERY=-1m", "TOKENKEEPER_ACCOUNTS__C__PROVIDR=x", "TOKENKEEPER_SERVICE_HOST=::1"},
			want: `environment: TOKENKEEPER_ACCOUNTS__A_B__REFRESH__EVERY: -1m is too small; write at least 0s
environment: TOKENKEEPER_ACCOUNTS__C__PROVIDR: no such key; did you mean TOKENKEEPER_ACCOUNTS__A_B__PROVIDER?`,
		},
		"wrong types": {
			yaml: "accounts:\n  a:\n    provider: {schwab: yes}\n    scopes: read\n    settings: [1]\n" +
				"    refresh: {max_failures: many, timeout: [30s]}\n" +
				"sinks:\n  s: {type: file, path: /a, include_refresh_token: maybe}\nlog: loud\n",
			want: `tokenkeeper.yaml:3:15: accounts.a.provider: wrong type: this must be text, not a mapping
tokenkeeper.yaml:4:13: accounts.a.scopes: wrong type: this must be a list, not text; put it in brackets: [ … ]
tokenkeeper.yaml:5:15: accounts.a.settings: wrong type: this must be a mapping (key: value), not a list
tokenkeeper.yaml:6:29: accounts.a.refresh.max_failures: wrong type: this must be a whole number, not text
tokenkeeper.yaml:6:44: accounts.a.refresh.timeout: wrong type: this must be a duration like 5m, not a list
tokenkeeper.yaml:8:52: sinks.s.include_refresh_token: wrong type: this must be true or false, not text
tokenkeeper.yaml:9:6: log: wrong type: this must be a mapping (key: value), not text`,
		},
		"an account that is no mapping": {
			yaml: "accounts:\n  a: schwab\nsinks:\n  s: {type: file, path: /a, accounts: [a]}\n",
			want: `tokenkeeper.yaml:2:6: accounts.a: wrong type: this must be a mapping (key: value), not text`,
		},
		"a bare number where a duration belongs": {
			yaml: account + "    \nsinks:\n  s: {type: unixsocket, path: /s, timeout: 300}\n",
			want: `tokenkeeper.yaml:5:44: sinks.s.timeout: 300 is a bare number where a duration belongs; write 300s for seconds or 300m for minutes`,
		},
		"no duration": {
			yaml: account + "sinks:\n  s: {type: unixsocket, path: /s, interval: 1 day}\n",
			want: `tokenkeeper.yaml:4:45: sinks.s.interval: "1 day" is not a duration; write it like 90s, 5m or 1h30m`,
		},
		"no value": {
			yaml: "accounts:\n  a:\n    provider: schwab\n    client_id:\n",
			want: `tokenkeeper.yaml:4:15: accounts.a.client_id: has no value; write one, or remove the line`,
		},
		"names": {
			yaml: "accounts:\n  Schwab Main: {provider: schwab}\n  -x: {provider: schwab}\n",
			want: `tokenkeeper.yaml:2:3: accounts.Schwab Main: "Schwab Main" can't be a name; write "schwab-main"
tokenkeeper.yaml:3:3: accounts.-x: "-x" can't be a name; use a-z, 0-9, _ and -, and begin with a letter or a digit`,
		},
		"unknown provider, near": {
			yaml: "accounts:\n  a: {provider: shwab, client_id: id}\n",
			want: `tokenkeeper.yaml:2:17: accounts.a.provider: unknown provider "shwab"; did you mean "schwab"?`,
		},
		"unknown provider, far": {
			yaml: "plugins: {dir: /p}\nproviders:\n  ibkr: {settings: {a: b}}\naccounts:\n  a: {provider: tastytrade, client_id: id}\n",
			want: `tokenkeeper.yaml:3:3: providers.ibkr: unknown provider "ibkr"; put tokenkeeper-provider-ibkr into /p, or write providers.ibkr.command
tokenkeeper.yaml:5:17: accounts.a.provider: unknown provider "tastytrade"; put tokenkeeper-provider-tastytrade into /p, or write providers.tastytrade.command`,
		},
		"no provider": {
			yaml: "accounts:\n  a: {client_id: id}\n  b:\n",
			want: `tokenkeeper.yaml:2:3: accounts.a.provider: the account has no provider; write provider: schwab, or whichever it belongs to
tokenkeeper.yaml:3:3: accounts.b.provider: the account has no provider; write provider: schwab, or whichever it belongs to`,
		},
		"no account": {
			yaml: "accounts:\n",
			want: `tokenkeeper.yaml:1:1: accounts: there is no account; write one, or let "tokenkeeper init" write a configuration to begin with`,
		},
		"nothing at all": {
			yaml: "# only a comment\n",
			want: `tokenkeeper.yaml: accounts: there is no account; write one, or let "tokenkeeper init" write a configuration to begin with`,
		},
		"provider": {
			yaml: "providers:\n  schwab: {sha256: abc, command: [], max_in_flight: 0}\n" + account,
			want: `tokenkeeper.yaml:2:20: providers.schwab.sha256: is not a SHA-256 sum; write the 64 hexadecimal digits that sha256sum prints
tokenkeeper.yaml:2:34: providers.schwab.command: is empty; write [program, argument, …], or remove the line
tokenkeeper.yaml:2:53: providers.schwab.max_in_flight: 0 is out of bounds; write 1 to 1024`,
		},
		"refresh": {
			yaml: "accounts:\n  a:\n    provider: schwab\n    client_id: id\n    redirect_url: 127.0.0.1\n    refresh:\n" +
				"      before_expiry: -1s\n      every: -5m\n      jitter: -1s\n      max_failures: 0\n      timeout: 10m\n",
			want: `tokenkeeper.yaml:5:19: accounts.a.redirect_url: is not an address; write it like https://127.0.0.1:8182
tokenkeeper.yaml:7:22: accounts.a.refresh.before_expiry: -1s is too small; write at least 0s
tokenkeeper.yaml:8:14: accounts.a.refresh.every: -5m is too small; write at least 0s
tokenkeeper.yaml:9:15: accounts.a.refresh.jitter: -1s is too small; write at least 0s
tokenkeeper.yaml:10:21: accounts.a.refresh.max_failures: 0 is too small; write at least 1
tokenkeeper.yaml:11:16: accounts.a.refresh.timeout: 10m is out of bounds; write 1s to 5m`,
		},
		"budgets": {
			yaml: "accounts:\n  a: {provider: schwab, refresh: {budget: 12}}\n  b: {provider: schwab, refresh: {budget: 0/h}}\n  c: {provider: schwab, refresh: {budget: 121/h}}\n" +
				"  d: {provider: schwab, refresh: {budget: 12/m}}\n  e: {provider: schwab, refresh: {budget: 012/h}}\n  f: {provider: schwab, refresh: {budget: often}}\n",
			want: `tokenkeeper.yaml:2:43: accounts.a.refresh.budget: "12" is no number of refreshes an hour; write it like 12/h
tokenkeeper.yaml:3:43: accounts.b.refresh.budget: 0/h is out of bounds; write 1/h to 120/h
tokenkeeper.yaml:4:43: accounts.c.refresh.budget: 121/h is out of bounds; write 1/h to 120/h
tokenkeeper.yaml:5:43: accounts.d.refresh.budget: "12/m" is no number of refreshes an hour; write it like 12/h
tokenkeeper.yaml:6:43: accounts.e.refresh.budget: "012/h" is no number of refreshes an hour; write it like 12/h
tokenkeeper.yaml:7:43: accounts.f.refresh.budget: "often" is no number of refreshes an hour; write it like 12/h`,
		},
		"log": {
			yaml: account + "log: {level: debgu, format: xml, file: ~/log}\n",
			want: `tokenkeeper.yaml:3:14: log.level: unknown level "debgu"; did you mean "debug"?
tokenkeeper.yaml:3:29: log.format: unknown format "xml"; known here: json, text
tokenkeeper.yaml:3:40: log.file: ~ is not expanded; write the whole path, or ${env:HOME}/…`,
		},
		"control socket": {
			yaml: account + "control: {socket: /run/" + strings.Repeat("x", 103) + "}\n",
			want: `tokenkeeper.yaml:3:19: control.socket: the path of a Unix socket is at most 107 bytes long, this one is 108; choose a shorter one`,
		},
		"default of the control socket": {
			yaml: account + "state_dir: /" + strings.Repeat("x", 100) + "\n",
			want: `tokenkeeper.yaml:3:12: control.socket: its default, control.sock in state_dir: the path of a Unix socket is at most 107 bytes long, this one is 114; write control.socket with a shorter path`,
		},
		"fallback in the state directory": {
			yaml: account + "state_dir: /s\nfallback_dir: /s/../s/f\n",
			want: `tokenkeeper.yaml:4:15: fallback_dir: it is the state directory, or lies in it, and what fails there fails here too; write a directory on another disk, or remove the line`,
		},
		"sink of an unknown account": {
			yaml: account + "  schwab-main: {provider: schwab, client_id: id}\nsinks:\n  s: {type: unixsocket, path: /s, accounts: [a, schwab-mian, a]}\n",
			want: `tokenkeeper.yaml:5:49: sinks.s.accounts: unknown account "schwab-mian"; did you mean "schwab-main"?
tokenkeeper.yaml:5:62: sinks.s.accounts: account "a" is there twice; remove one of the two`,
		},
		"sink types": {
			yaml: account + "sinks:\n  s: {path: /s}\n  t: {type: fiel, path: /t}\n  u: {type: webhook, url: \"https://x\", secret: whsec_MTIz, mode: \"0600\"}\n",
			want: `tokenkeeper.yaml:4:3: sinks.s.type: the sink has no type; write type: BUILT-OR, or the name of a plugin
tokenkeeper.yaml:5:13: sinks.t.type: unknown type "fiel": it is not built in (as BUILT-IN are), and there is no tokenkeeper-sink-fiel in /usr/local/lib/tokenkeeper/plugins; did you mean "file"?
tokenkeeper.yaml:6:66: sinks.u.mode: unknown key in a sink of type webhook; known here: ca_file, cert_file, format, headers, key_file, proxy, secret, template, timeout, timezone, url`,
		},
		"what a sink needs": {
			yaml: account + "sinks:\n  f: {type: file}\n  u: {type: unixsocket}\n  w: {type: webhook, secret: whsec_MTIz}\n  x: {type: file, path: /x, accounts: []}\n",
			want: `tokenkeeper.yaml:4:3: sinks.f.path: the sink has no path; write path: /var/lib/bots/{account}.json
tokenkeeper.yaml:5:3: sinks.u.path: the sink has no path; write path: /run/bot/token.sock
tokenkeeper.yaml:6:3: sinks.w.url: the sink has no url; write url: https://…
tokenkeeper.yaml:7:39: sinks.x.accounts: is an empty list; name accounts, or remove the line to send all of them`,
		},
		"several accounts in one file": {
			yaml: account + "  b: {provider: saxo, client_id: id}\nsinks:\n  s: {type: file, path: /tokens.json}\n",
			want: `tokenkeeper.yaml:5:25: sinks.s.path: 2 accounts would write the same file; put {account} into the path, or name one account`,
		},
		"two sinks on one file": {
			yaml: account + "sinks:\n  s: {type: file, path: /tokens/a.json}\n  t: {type: file, path: \"/tokens/./{account}.json\"}\n",
			want: `tokenkeeper.yaml:5:25: sinks.t.path: the file for account "a" is that of sink "s" (line 4) too; choose another path`,
		},
		"a sink on our own file": {
			yaml: account + "log: {file: /log}\nsinks:\n  s: {type: file, path: /log}\n",
			want: `tokenkeeper.yaml:5:25: sinks.s.path: the file for account "a" is that of log.file too; choose another path`,
		},
		"file sink": {
			yaml: account + "sinks:\n  s: {type: file, path: \"/{acount}\", format: saxo-cash, mode: 0900, owner: \"a:b:c\", timezone: Mars/Olympus}\n",
			want: `tokenkeeper.yaml:4:25: sinks.s.path: holds a placeholder that is unknown; {account} and {provider} are known
tokenkeeper.yaml:4:46: sinks.s.format: unknown format "saxo-cash"; did you mean "saxo-cache"?
tokenkeeper.yaml:4:63: sinks.s.mode: "0900" is not a file mode; write it in octal, like "0600" or "0640"
tokenkeeper.yaml:4:76: sinks.s.owner: "a:b:c" is not an owner; write user, user:group or :group
tokenkeeper.yaml:4:95: sinks.s.timezone: unknown time zone "Mars/Olympus"; write one like Europe/Copenhagen, and install the package tzdata if it is missing`,
		},
		"unixsocket sink": {
			yaml: account + "sinks:\n  s: {type: unixsocket, path: /" + strings.Repeat("x", 107) + ", ack: maybe, attempts: 0, timeout: 0s}\n",
			want: `tokenkeeper.yaml:4:31: sinks.s.path: the path of a Unix socket is at most 107 bytes long, this one is 108; choose a shorter one
tokenkeeper.yaml:4:146: sinks.s.ack: unknown ack "maybe"; known here: none, ok
tokenkeeper.yaml:4:163: sinks.s.attempts: 0 is too small; write at least 1
tokenkeeper.yaml:4:175: sinks.s.timeout: 0s is too small; write at least 1ms`,
		},
		"webhook sink": {
			yaml: account + "sinks:\n  s: {type: webhook, url: /token, secret: hunter2, headers: {\"a b\": c}}\n",
			want: `tokenkeeper.yaml:4:27: sinks.s.url: is not an address; write it like https://127.0.0.1:8182
tokenkeeper.yaml:4:43: sinks.s.secret: is not a Standard Webhooks secret: whsec_ and base64; make one with: printf whsec_; openssl rand -base64 32
tokenkeeper.yaml:4:69: sinks.s.headers.a b: is not a header that can be sent; write Name: value, in one line`,
		},
		"invalid YAML": {
			yaml: account + "log:\n\tlevel: info\n",
			want: `tokenkeeper.yaml:4: not valid YAML: found character that cannot start any token; look at the indentation, and put text with special characters in quotes`,
		},
		"invalid YAML, a tab behind a value": {
			yaml: account + "sinks:\n  s:\n    type: file\n\tpath: /x\n",
			want: `tokenkeeper.yaml:6: not valid YAML: found a tab character that violates indentation; look at the indentation, and put text with special characters in quotes`,
		},
		"invalid YAML, a tab in a block": {
			yaml: account + "sinks:\n  s:\n    template: |\n      a\n\n  \tb\n",
			want: `tokenkeeper.yaml:8: not valid YAML: found a tab character where an indentation space is expected; look at the indentation, and put text with special characters in quotes`,
		},
		"invalid YAML, too far to the left": {
			yaml: account + "log:\n  level: info\n format: text\n",
			want: `tokenkeeper.yaml:5: not valid YAML: did not find expected key; look at the indentation, and put text with special characters in quotes`,
		},
		"invalid YAML, in a mapping that begins further up": {
			yaml: "log:\n  level: info\naccounts:\n  a:\n    provider: schwab\n    client_id: \"id\" x\n    settings: {}\n",
			want: `tokenkeeper.yaml:6: not valid YAML: did not find expected key; look at the indentation, and put text with special characters in quotes`,
		},
		"invalid YAML, text after a quote in the first line": {
			yaml: "log: \"a\" b\naccounts: {}\n",
			want: `tokenkeeper.yaml:1: not valid YAML: did not find expected key; look at the indentation, and put text with special characters in quotes`,
		},
		"invalid YAML, an open quote": {
			yaml: account + "log:\n  level: \"info\n  format: text\n",
			want: `tokenkeeper.yaml:4: not valid YAML: found unexpected end of stream; look at the indentation, and put text with special characters in quotes`,
		},
		"invalid YAML, an open quote in the first line": {
			yaml: "log: \"info\naccounts: {}\nsinks: {}\n",
			want: `tokenkeeper.yaml:1: not valid YAML: found unexpected end of stream; look at the indentation, and put text with special characters in quotes`,
		},
		"invalid YAML, an open bracket": {
			yaml: account + "sinks:\n  s:\n    accounts: [a,\n      b\n    type: file\n",
			want: `tokenkeeper.yaml:7: not valid YAML: did not find expected ',' or ']' of the brackets that begin in line 5; look at the indentation, and put text with special characters in quotes`,
		},
		"invalid YAML, an open bracket, with the line ends of old Macintoshes": {
			yaml: strings.ReplaceAll(account, "\n", "\r") + "sinks:\r  s:\r    accounts: [a,\r      b\r    type: file\r",
			want: `tokenkeeper.yaml:7: not valid YAML: did not find expected ',' or ']' of the brackets that begin in line 5; look at the indentation, and put text with special characters in quotes`,
		},
		"invalid YAML, a character": {
			yaml: account + "log:\n  level: \x01\n",
			want: `tokenkeeper.yaml:4: not valid YAML: control characters are not allowed; look at the indentation, and put text with special characters in quotes`,
		},
		"invalid YAML, bytes that are no text": {
			yaml: account + "log:\n  level: \xff\n",
			want: `tokenkeeper.yaml:4: not valid YAML: invalid leading UTF-8 octet; look at the indentation, and put text with special characters in quotes`,
		},
		"invalid YAML, an alias of nothing": {
			yaml: account + "log:\n  level: *x\n  format: text\n",
			want: `tokenkeeper.yaml:4: not valid YAML: unknown anchor … referenced; look at the indentation, and put text with special characters in quotes`,
		},
		"no mapping": {
			yaml: "- accounts\n",
			want: `tokenkeeper.yaml:1:1: wrong type: this must be a mapping (key: value), not a list`,
		},
		"two documents": {
			yaml: account + "---\nlog: {level: info}\n",
			want: `tokenkeeper.yaml:3:1: a second YAML document begins here; keep one document in a file`,
		},
		"merge keys": {
			yaml: "accounts:\n  a: &a {provider: schwab, client_id: id}\n  b:\n    <<: *a\n    provider: saxo\n",
			want: `tokenkeeper.yaml:4:5: accounts.b.<<: merge keys are not supported; write the keys out, or use an alias for a whole value`,
		},
		"environment": {
			yaml: account,
			env: []string{"TOKENKEEPER_LOG__LEVL=info", "TOKENKEEPER_LOG__FORMAT=xml", "TOKENKEEPER_ACCOUNTS__A__REFRESH__TIMEOUT=30",
				"TOKENKEEPER_ACCOUNTS__B-__CLIENT_ID=x", "TOKENKEEPER_LOG__=x", "TOKENKEEPER_ACCOUNTS___X__PROVIDER=y"},
			want: `environment: TOKENKEEPER_ACCOUNTS__A__REFRESH__TIMEOUT: 30 is a bare number where a duration belongs; write 30s for seconds or 30m for minutes
environment: TOKENKEEPER_ACCOUNTS__B-__CLIENT_ID: the account has no provider; write provider: schwab, or whichever it belongs to
environment: TOKENKEEPER_ACCOUNTS___X__PROVIDER: "_x" can't be a name; use a-z, 0-9, _ and -, and begin with a letter or a digit
environment: TOKENKEEPER_LOG__: no such key
environment: TOKENKEEPER_LOG__FORMAT: unknown format "xml"; known here: json, text
environment: TOKENKEEPER_LOG__LEVL: no such key; did you mean TOKENKEEPER_LOG__LEVEL?`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, _, err := config.Load(source(t, tt.yaml, tt.env...))
			if err == nil {
				t.Fatalf("loaded: %+v", cfg)
			}
			if cfg != nil {
				t.Error("a configuration came with the error")
			}
			if got, want := err.Error(), withTypes(tt.want); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}
