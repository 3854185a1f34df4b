package config_test

import (
	"slices"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/command"
)

func TestExec(t *testing.T) {
	const head = "accounts:\n  a: {provider: saxo, client_id: id}\nsinks:\n  s:\n    type: exec\n"
	for name, tt := range map[string]struct{ yaml, want string }{
		"command":          {"    command: [hook, --now]\n", ""},
		"signal":           {"    signal: {pidfile: /run/bot.pid}\n", ""},
		"nothing":          {"", "x.yaml:4:3: sinks.s.command: the sink has no command; write command: [program, argument, …], or signal: {pidfile: …, signal: HUP}"},
		"empty":            {"    command: []\n", "x.yaml:6:14: sinks.s.command: is empty; write [program, argument, …]"},
		"both":             {"    command: [x]\n    signal: {pidfile: /p}\n", "x.yaml:7:5: sinks.s.signal: a sink has either a command or a signal; make two sinks of them"},
		"unknown signal":   {"    signal: {pidfile: /p, signal: HUB}\n", `x.yaml:6:35: sinks.s.signal.signal: unknown signal "HUB"; did you mean "HUP"?`},
		"no pidfile":       {"    signal: {signal: HUP}\n", "x.yaml:6:5: sinks.s.signal.pidfile: the signal has no pidfile; write pidfile: /run/bot.pid"},
		"unknown key":      {"    signal: {pidfle: /p}\n", `x.yaml:6:14: sinks.s.signal.pidfle: unknown key; did you mean "pidfile"?`},
		"no time":          {"    command: [x]\n    timeout: 0s\n", "x.yaml:7:14: sinks.s.timeout: 0s is too small; write at least 1ms"},
		"time of signal":   {"    signal: {pidfile: /p}\n    timeout: 3s\n", "x.yaml:7:14: sinks.s.timeout: has no effect with a signal; remove the line"},
		"format of signal": {"    signal: {pidfile: /p}\n    format: json\n", "x.yaml:7:13: sinks.s.format: has no effect with a signal; remove the line"},
		"refresh token of signal": {"    signal: {pidfile: /p}\n    include_refresh_token: true\n",
			"x.yaml:7:28: sinks.s.include_refresh_token: the sink sends a signal, and no token; remove the line"},
		"other's key": {"    command: [x]\n    path: /x\n", "x.yaml:7:11: sinks.s.path: unknown key in a sink of type exec; known here: command, format, signal, template, timeout, timezone"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, _, err := config.Load(config.Source{Sinks: config.TestSinks, Bytes: []byte(head + tt.yaml), Name: "x.yaml", Dir: t.TempDir(),
				Environ: func() []string { return []string{"STATE_DIRECTORY=/s"} }})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Fatalf("got:\n%s\nwant:\n%s", got, tt.want)
			}
			if name == "signal" && *execOf(cfg).Signal != (command.SignalConfig{PIDFile: "/run/bot.pid", Signal: "HUP"}) {
				t.Errorf("signal is %+v", execOf(cfg).Signal)
			}
			if name == "command" && !slices.Equal(execOf(cfg).Command, []string{"hook", "--now"}) {
				t.Errorf("command is %v", execOf(cfg).Command)
			}
		})
	}
}

func execOf(cfg *config.Config) *command.Settings {
	return cfg.Sinks["s"].Destination.(*command.Settings)
}
