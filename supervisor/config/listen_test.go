package config_test

import (
	"slices"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/unixsocket"
)

func TestListen(t *testing.T) {
	const head = "accounts:\n  a: {provider: saxo, client_id: id}\nsinks:\n  s:\n    type: unixsocket\n    path: /run/s\n"
	for name, tt := range map[string]struct{ yaml, want string }{
		"good":                {"    direction: listen\n    mode: \"0666\"\n    allow_uids: [root, 1002]\n", ""},
		"unknown direction":   {"    direction: lisen\n", `x.yaml:7:16: sinks.s.direction: unknown direction "lisen"; did you mean "listen"?`},
		"keys of the other":   {"    direction: listen\n    ack: ok\n", "x.yaml:8:10: sinks.s.ack: has no effect with direction listen; remove the line, or write direction: dial"},
		"and the other way":   {"    max_consumers: 3\n", "x.yaml:7:20: sinks.s.max_consumers: has no effect with direction dial; remove the line, or write direction: listen"},
		"an unknown user":     {"    direction: listen\n    mode: \"0666\"\n    allow_uids: [nobody-here]\n", `x.yaml:9:18: sinks.s.allow_uids: there is no user "nobody-here" on this machine; create it, or write its number`},
		"whom we connect to":  {"    allow_uids: [7]\n", ""},
		"no consumer's recv":  {"    direction: listen\n    max_bytes: 8192\n", "x.yaml:8:16: sinks.s.max_bytes: has no effect with direction listen; remove the line, or write direction: dial"},
		"too short a message": {"    max_bytes: 100\n", "x.yaml:7:16: sinks.s.max_bytes: 100 is out of bounds; write 512 to 131072"},
		"nobody":              {"    direction: listen\n    max_consumers: 0\n", "x.yaml:8:20: sinks.s.max_consumers: 0 is too small; write at least 1"},
		"closed to them": {"    direction: listen\n    allow_uids: [7]\n",
			`x.yaml:8:17: sinks.s.allow_uids: other users can't connect to a socket of mode 0600; write mode: "0666", which lets everybody reach it and those in allow_uids in`},
		"taken": {"    direction: listen\ncontrol: {socket: /run/s}\n", "x.yaml:6:11: sinks.s.path: the socket's path is that of the control socket too; choose another path"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, warnings, err := config.Load(config.Source{Sinks: config.TestSinks, Bytes: []byte(head + tt.yaml), Name: "x.yaml", Dir: t.TempDir(),
				Environ: func() []string { return []string{"STATE_DIRECTORY=/s"} }})
			got := ""
			if err != nil {
				got = err.Error()
			}
			for _, w := range warnings {
				got += w.String()
			}
			if got != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tt.want)
			}
			if name == "good" {
				s := cfg.Sinks["s"].Destination.(*unixsocket.Settings)
				l := s.Listen
				if l == nil || l.Mode != 0o666 || !slices.Equal(s.AllowUIDs, []int{0, 1002}) || l.MaxConsumers != 64 {
					t.Errorf("listen is %+v", l)
				}
			}
		})
	}
}
