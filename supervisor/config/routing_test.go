package config

import (
	"slices"
	"strings"
	"testing"
)

// accountsOfTwo are four accounts at two brokers.
const accountsOfTwo = `accounts:
  saxo-live: {provider: saxo, client_id: id}
  saxo-sim: {provider: saxo, client_id: id}
  schwab-1: {provider: schwab, client_id: id}
  schwab-2: {provider: schwab, client_id: id}
`

// loadSink loads a sink of type exec with what follows.
func loadSink(t *testing.T, head, yaml string) (*Config, string) {
	t.Helper()
	cfg, _, err := Load(Source{Sinks: TestSinks, Bytes: []byte(accountsOfTwo + "sinks:\n  s:\n" + head + yaml), Name: "x.yaml", Dir: t.TempDir(),
		Environ: func() []string { return []string{"STATE_DIRECTORY=/s"} }})
	if err != nil {
		return nil, err.Error()
	}
	return cfg, ""
}

func TestRouting(t *testing.T) {
	for yaml, want := range map[string][]string{
		"":                               {"saxo-live", "saxo-sim", "schwab-1", "schwab-2"},
		"    accounts: [schwab-1]\n":     {"schwab-1"},
		"    accounts: [\"*\"]\n":        {"saxo-live", "saxo-sim", "schwab-1", "schwab-2"},
		"    accounts: [\"s*-1\"]\n":     {"schwab-1"},
		"    accounts: [\"schwab-?\"]\n": {"schwab-1", "schwab-2"},
		"    accounts: [\"schwab-[2-9]\", saxo-sim]\n":     {"saxo-sim", "schwab-2"},
		"    providers: [saxo]\n":                          {"saxo-live", "saxo-sim"},
		"    providers: [saxo]\n    accounts: [\"*-1\"]\n": {"saxo-live", "saxo-sim", "schwab-1"},
		"    providers: [saxo, schwab]\n":                  {"saxo-live", "saxo-sim", "schwab-1", "schwab-2"},
	} {
		cfg, problems := loadSink(t, "    type: exec\n    command: [x]\n", yaml)
		if problems != "" {
			t.Errorf("%q: %s", yaml, problems)
			continue
		}
		var got []string
		for _, a := range cfg.SinkAccounts(cfg.Sinks["s"]) {
			got = append(got, a.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q routes %v, want %v", yaml, got, want)
		}
	}
}

func TestSinkWants(t *testing.T) {
	cfg, problems := loadSink(t, "    type: exec\n    command: [x]\n", "    accounts: [\"schwab-*\"]\n")
	if problems != "" {
		t.Fatal(problems)
	}
	for about, want := range map[[2]string]bool{
		{"schwab-1", "schwab"}: true, {"saxo-live", "saxo"}: false, {"", "schwab"}: true, {"", "saxo"}: false,
		{"", ""}: true, {"gone", ""}: true,
	} {
		if got := cfg.SinkWants(cfg.Sinks["s"], about[0], about[1]); got != want {
			t.Errorf("an event about account %q, provider %q is wanted: %t", about[0], about[1], got)
		}
	}
}

func TestRoutingProblems(t *testing.T) {
	const exec, file = "    type: exec\n    command: [x]\n", "    type: file\n    path: /x/{account}\n"
	var telling []string // those that do not refuse an alert for what they are
	for _, typ := range TestSinks.BuiltIn {
		if _, problems := loadSink(t, "    type: "+typ.Name()+"\n", "    events: [alert]\n"); !strings.Contains(problems, "and no event") {
			telling = append(telling, typ.Name())
		}
	}
	slices.Sort(telling)
	for name, tt := range map[string]struct{ head, yaml, want string }{
		"no match":             {exec, "    accounts: [\"scwab-*\"]\n", `x.yaml:10:16: sinks.s.accounts: no account matches "scwab-*"; did you mean "schwab-*"?`},
		"no match, far":        {exec, "    accounts: [\"ibkr?\"]\n", `x.yaml:10:16: sinks.s.accounts: no account matches "ibkr?"; known here: saxo-live, saxo-sim, schwab-1, schwab-2`},
		"no pattern":           {exec, "    accounts: [\"saxo-[\"]\n", `x.yaml:10:16: sinks.s.accounts: "saxo-[" is not a pattern; write * for any letters, ? for one, and [abc] for one of some`},
		"pattern twice":        {exec, "    accounts: [\"s*\", \"s*\"]\n", `x.yaml:10:22: sinks.s.accounts: account "s*" is there twice; remove one of the two`},
		"unknown name":         {exec, "    accounts: [saxo-love]\n", `x.yaml:10:16: sinks.s.accounts: unknown account "saxo-love"; did you mean "saxo-live"?`},
		"unknown provider":     {exec, "    providers: [sacso]\n", `x.yaml:10:17: sinks.s.providers: no account belongs to provider "sacso"; did you mean "saxo"?`},
		"provider, misspelt":   {exec, "    providers: [shwab]\n", `x.yaml:10:17: sinks.s.providers: no account belongs to provider "shwab"; did you mean "schwab"?`},
		"no providers":         {exec, "    providers: []\n", "x.yaml:10:16: sinks.s.providers: is an empty list; name providers, or remove the line"},
		"too many at once":     {exec, "    max_concurrent: 0\n", "x.yaml:10:21: sinks.s.max_concurrent: 0 is out of bounds; write 1 to 1024"},
		"all events":           {exec, "    events: [token, alert, lifecycle]\n", ""},
		"unknown event":        {exec, "    events: [alrt]\n", `x.yaml:10:14: sinks.s.events: unknown event "alrt"; did you mean "alert"?`},
		"no events":            {exec, "    events: []\n", "x.yaml:10:13: sinks.s.events: is an empty list; name token, alert or lifecycle, or remove the line"},
		"a file, alerts":       {file, "    events: [token, alert]\n", `x.yaml:10:21: sinks.s.events: a file takes tokens only, and no event "alert"; write another sink for it, of type TELLING`},
		"a dialled socket":     {"    type: unixsocket\n    path: /x\n", "    events: [lifecycle]\n", `x.yaml:10:14: sinks.s.events: a socket of a consumer takes tokens only, and no event "lifecycle"; write another sink for it, of type TELLING, or direction: listen, which takes them all`},
		"consumers connect":    {"    type: unixsocket\n    path: /x\n    direction: listen\n", "    events: [token, alert, lifecycle]\n", ""},
		"a signal":             {"    type: exec\n    signal: {pidfile: /p}\n", "    events: [alert]\n", `x.yaml:10:14: sinks.s.events: a signal tells of tokens only, and no event "alert"; write another sink for it, of type TELLING, or a command in place of the signal`},
		"a format, no tokens":  {exec, "    events: [alert]\n    format: env\n", "x.yaml:11:13: sinks.s.format: has no effect on a sink that gets no tokens; remove the line, or add token to its events"},
		"refresh, no tokens":   {exec, "    events: [alert]\n    include_refresh_token: true\n", "x.yaml:11:28: sinks.s.include_refresh_token: the sink gets no tokens; remove the line"},
		"a line is JSON":       {"    type: unixsocket\n    path: /x\n    direction: listen\n", "    format: env\n", "x.yaml:11:13: sinks.s.format: consumers that connect get JSON in lines, and env is not JSON; write json, or another of the formats that are JSON, or direction: dial"},
		"any JSON in a line":   {"    type: unixsocket\n    path: /x\n    direction: listen\n", "    format: schwab\n", ""},
		"any format, dialled":  {"    type: unixsocket\n    path: /x\n", "    format: raw\n", ""},
		"template of no post":  {"    type: webhook\n    url: https://x\n", "    template: x\n", "x.yaml:10:15: sinks.s.template: has no effect without a format: the post is then that of the Standard Webhooks specification; write a format too, or remove the line"},
		"a token for people":   {"    type: notify\n    urls: [\"ntfy://ntfy.sh/a\"]\n", "    events: [token, alert]\n", "x.yaml:10:14: sinks.s.events: a sink of type notify tells people, through services of others, and is never given a token; write alert or lifecycle, and another sink for the tokens"},
		"a refresh token, too": {"    type: notify\n    urls: [\"ntfy://ntfy.sh/a\"]\n", "    include_refresh_token: true\n", "x.yaml:10:28: sinks.s.include_refresh_token: the sink is never given a token; remove the line"},
		"a format for people":  {"    type: notify\n    urls: [\"ntfy://ntfy.sh/a\"]\n", "    format: env\n", "x.yaml:10:13: sinks.s.format: unknown key in a sink of type notify; known here: timeout, urls"},
	} {
		t.Run(name, func(t *testing.T) {
			want := strings.ReplaceAll(tt.want, "TELLING", oneOf(telling))
			if _, got := loadSink(t, tt.head, tt.yaml); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// TestDefaultContent: what each type sends if nothing is said about it.
func TestDefaultContent(t *testing.T) {
	for head, want := range map[string]struct{ format, event string }{
		"    type: file\n    path: /x/{account}\n":                    {"json", SendToken},
		"    type: unixsocket\n    path: /x\n":                        {"message", SendToken},
		"    type: unixsocket\n    path: /x\n    direction: listen\n": {"json", SendToken},
		"    type: webhook\n    url: https://x\n":                     {"", SendToken},
		"    type: exec\n    command: [x]\n":                          {"json", SendToken},
		"    type: redis\n":                                           {"json", SendToken},
		"    type: notify\n    urls: [\"ntfy://ntfy.sh/a\"]\n":        {"", SendAlert},
	} {
		cfg, problems := loadSink(t, head, "")
		if problems != "" {
			t.Errorf("%q: %s", head, problems)
			continue
		}
		if s := cfg.Sinks["s"]; s.Content != (Content{Format: want.format}) || !slices.Equal(s.Events, []string{want.event}) || s.MaxConcurrent != 4 {
			t.Errorf("%q is %+v", head, s)
		}
	}
}
