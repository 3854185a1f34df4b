package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/file"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/unixsocket"
)

// absent is a provider that does not come up: what is delivered needs none.
type absent struct{}

func (absent) Launch(context.Context) (process.Instance, error) {
	return nil, &process.Fault{Kind: process.NoProgram, Message: "there is none", Remedy: "none is needed"}
}

// TestExamplesAreDelivered: each example by itself brings a token to the bots' files
// and sockets that it names, where the bots are another user.
func TestExamplesAreDelivered(t *testing.T) {
	usertest.NeedsRoot(t)
	setExampleSecrets(t)
	served := 0
	for example, text := range exampleConfigurations(t) {
		file := machineLayout{owner: usertest.Stranger, group: usertest.Stranger, mode: 0o755}.build(t, strings.ReplaceAll(text, `":bots"`, `":1"`)) // a group that is there
		var stdout, stderr bytes.Buffer
		cfg, _, err := config.Load(testEnv("", &stdout, &stderr).source(file))
		if err != nil {
			t.Errorf("%s: %v", example, err)
			continue
		}
		cfg.Control.Socket = filepath.Join(t.TempDir(), "s") // that of the machine is too long
		if cfg.Metrics != nil {
			cfg.Metrics.Listen = "127.0.0.1:0" // nobody asks, and the port may be somebody's
		}
		served += deliverExample(t, example, cfg)
	}
	if served < 8 {
		t.Errorf("only %d sinks were served: nothing was seen", served)
	}
}

// deliverExample runs an example until its sinks have each account's token, and
// returns how many were looked at.
func deliverExample(t *testing.T, example string, cfg *config.Config) (served int) {
	t.Helper()
	tokens := map[string]brokersim.Grant{}
	for name, a := range cfg.Accounts {
		g := brokersim.Grant{Account: name, AccessToken: "access-of-" + name, RefreshToken: "refresh-of-" + name, TokenType: "Bearer", ExpiresIn: time.Hour}
		tokens[name] = g
		// The bots have it already.
		if a.SharedFile != nil {
			write(t, a.SharedFile.Path, string(tokenFileOf(t, g, a.SharedFile.Format, time.Now())))
		}
	}
	for _, c := range cfg.Sinks { // what is in the way there, and known to nobody, stays
		if f, ok := c.Destination.(*file.Settings); ok && !strings.Contains(f.Path, "{account}") {
			if err := os.Remove(f.Path); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
	}
	s, err := supervisor.New(t.Context(), supervisor.Options{
		Config: cfg, Version: "test", Log: slog.New(slog.DiscardHandler), Builtin: builtinCommand,
		Seams: supervisor.Seams{Launcher: func(string) process.Launcher { return absent{} }},
	})
	if err != nil {
		t.Errorf("%s: %v", example, err)
		return 0
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	r := &running{t: t, Client: control.NewClient(cfg.Control.Socket), ended: make(chan struct{})}
	for name, g := range tokens {
		if _, err := r.Client.Import(t.Context(), control.ImportRequest{Account: name, Body: tokenFileOf(t, g, format.JSON, time.Now())}); err != nil {
			t.Errorf("%s: import %s: %v", example, name, err)
			continue
		}
		for sink, c := range cfg.Sinks {
			f, toFile := c.Destination.(*file.Settings)
			u, toSocket := c.Destination.(*unixsocket.Settings)
			toSocket = toSocket && u.Listen == nil
			if !toFile && !toSocket || !cfg.SinkWants(c, name, cfg.Accounts[name].Provider) {
				continue
			}
			r.deliveredTo(name, sink, 1)
			if toFile {
				path := f.PathOf(cfg.Accounts[name])
				if b, err := os.ReadFile(path); err != nil || !strings.Contains(string(b), g.AccessToken) {
					t.Errorf("%s: %s holds no token of %s: %v", example, path, name, err)
				}
			}
			served++
		}
	}
	r.Client.Close()
	cancel()
	waittest.Receive(t, example+" ends", ended)
	return served
}

// answerOK is a bot that takes what it is sent.
func answerOK(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = conn.Write([]byte("OK"))
		_ = conn.Close()
	}
}
