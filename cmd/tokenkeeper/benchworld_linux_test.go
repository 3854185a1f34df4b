package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// benchWorld is what the benchmarks run the real program in: a directory with
// its configuration and state, two simulated brokers behind TLS, and a bot.
type benchWorld struct {
	dir, program string
	roots        string // file of the certificates that the program trusts
	brokers      []*benchBroker
	bot          *benchBot
}

// benchBroker is a simulated broker that notes when its answers leave.
type benchBroker struct {
	name, account string
	sim           *brokersim.Server
	server        *httptest.Server
	answered      chan time.Time
}

// newBenchWorld builds the program as it is released and starts the world
// around it. Every account has a token that is valid for a while.
func newBenchWorld(b *testing.B) *benchWorld {
	b.Helper()
	dir := b.TempDir()
	w := &benchWorld{dir: dir, program: filepath.Join(dir, "tokenkeeper"), roots: filepath.Join(dir, "roots.pem")}
	build := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", w.program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build the program: %v\n%s", err, out)
	}
	for _, d := range []brokersim.Dialect{brokersim.Schwab, brokersim.Saxo} {
		w.brokers = append(w.brokers, newBenchBroker(b, d))
	}
	var err error
	if w.bot, err = newBenchBot(filepath.Join(dir, "bot.sock")); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(w.bot.close)
	w.write(b, w.roots, w.trusted(b))
	w.write(b, w.config(), w.yaml())
	for _, broker := range w.brokers {
		w.store(b, broker, broker.sim.Grant(broker.account), time.Now())
	}
	return w
}

// size of the program, in bytes.
func (w *benchWorld) size(b *testing.B) float64 {
	b.Helper()
	info, err := os.Stat(w.program)
	if err != nil {
		b.Fatal(err)
	}
	return float64(info.Size())
}

func newBenchBroker(b *testing.B, d brokersim.Dialect) *benchBroker {
	broker := &benchBroker{
		name: string(d), account: string(d) + "-main",
		sim: brokersim.New(brokersim.Config{Dialect: d}), answered: make(chan time.Time, 16),
	}
	broker.server = httptest.NewTLSServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		broker.sim.ServeHTTP(&stampedWriter{out, broker.answered}, r)
	}))
	b.Cleanup(broker.server.Close)
	b.Cleanup(broker.sim.Close)
	return broker
}

// stampedWriter notes the moment before the answer's last byte leaves: the
// simulator flushes once, at its end.
type stampedWriter struct {
	http.ResponseWriter
	at chan<- time.Time
}

// FlushError implements what [http.ResponseController] looks for.
func (w *stampedWriter) FlushError() error {
	w.at <- time.Now()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// trusted is this machine's own bundle of root certificates, whose size is a
// part of what is measured, and the brokers' certificate.
func (w *benchWorld) trusted(b *testing.B) []byte {
	var bundle bytes.Buffer
	for _, path := range []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"} {
		if pem, err := os.ReadFile(path); err == nil {
			bundle.Write(pem)
			break
		}
	}
	if bundle.Len() == 0 {
		b.Log("this machine has no bundle of root certificates: the memory that one costs is missing from the result")
	}
	cert := w.brokers[0].server.Certificate() // httptest has only one
	_ = pem.Encode(&bundle, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	return bundle.Bytes()
}

func (w *benchWorld) config() string { return filepath.Join(w.dir, "tokenkeeper.yaml") }
func (w *benchWorld) state() string  { return filepath.Join(w.dir, "state") }

func (w *benchWorld) yaml() []byte {
	var y bytes.Buffer
	fmt.Fprintf(&y, "state_dir: %s\naccounts:\n", w.state())
	for _, b := range w.brokers {
		c := b.sim.Config()
		fmt.Fprintf(&y, "  %s:\n    provider: %s\n    client_id: %s\n    client_secret: %s\n    redirect_url: %s\n    settings: {token_url: %s}\n",
			b.account, b.name, c.ClientID, c.ClientSecret, c.RedirectURL, b.server.URL+tokenPath(b.sim))
	}
	fmt.Fprintf(&y, "sinks:\n  bot: {type: unixsocket, path: %s}\n  file: {type: file, path: \"%s/{account}.json\", format: json}\n",
		filepath.Join(w.dir, "bot.sock"), w.dir)
	return y.Bytes()
}

// tokenPath is the token endpoint without the server's address.
func tokenPath(sim *brokersim.Server) string { return sim.TokenURL()[len(sim.URL()):] }

func (w *benchWorld) write(b *testing.B, path string, data []byte) {
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.Fatal(err)
	}
}

// store puts a token into the store, as one that was issued at the given time.
// No supervisor may run.
func (w *benchWorld) store(b *testing.B, broker *benchBroker, g brokersim.Grant, issued time.Time) {
	b.Helper()
	st, err := store.Open(w.state(), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			b.Fatal(err)
		}
	}()
	rec, err := st.Load(b.Context(), broker.account)
	if errors.Is(err, store.ErrNotFound) {
		rec = store.Record{Account: broker.account, Provider: broker.name}
	} else if err != nil {
		b.Fatal(err)
	}
	rec = rec.Next(sdk.Token{
		AccessToken: sdk.NewSecret(g.AccessToken), RefreshToken: sdk.NewSecret(g.RefreshToken),
		TokenType: g.TokenType, IssuedAt: issued, Lifetime: g.ExpiresIn,
	}, store.OriginImport, "", time.Now())
	rec.LoginAt = g.IssuedAt
	w.bot.known[g.AccessToken] = true
	if err := st.Commit(b.Context(), rec); err != nil {
		b.Fatal(err)
	}
}

// benchRun is the program at work.
type benchRun struct {
	cmd    *exec.Cmd
	client *control.Client
	log    *bytes.Buffer
}

// start starts "tokenkeeper run" and does not wait for anything.
func (w *benchWorld) start(b *testing.B) *benchRun {
	b.Helper()
	r := &benchRun{cmd: exec.Command(w.program, "run", "-c", w.config()), log: &bytes.Buffer{}}
	r.cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+w.roots, "SSL_CERT_DIR="+filepath.Join(w.dir, "none"))
	r.cmd.Stderr = r.log
	if err := r.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	r.client = control.NewClient(filepath.Join(w.state(), "control.sock"))
	return r
}

// end ends the program and fails the benchmark if it did not end well.
func (r *benchRun) end(b *testing.B) {
	b.Helper()
	r.client.Close()
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	if err := r.cmd.Wait(); err != nil {
		b.Fatalf("the program ended badly: %v\n%s", err, r.log)
	}
}

// benchBot takes tokens as a trading bot does, and notes when each came.
type benchBot struct {
	listener net.Listener
	took     chan arrival
	serving  sync.WaitGroup
	// known are the tokens that are not waited for.
	known map[string]bool
}

// arrival is a token that reached the bot.
type arrival struct {
	token string
	at    time.Time
}

func newBenchBot(path string) (*benchBot, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	bot := &benchBot{listener: l, took: make(chan arrival, 64), known: map[string]bool{}}
	bot.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			bot.take(conn)
		}
	})
	return bot, nil
}

func (bot *benchBot) take(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	at := time.Now()
	var message struct {
		AccessToken string `json:"access_token"`
	}
	if err != nil || json.Unmarshal(buf[:n], &message) != nil {
		return
	}
	_, _ = io.WriteString(conn, "OK")
	bot.took <- arrival{message.AccessToken, at}
}

// next is the next token that was not known. The first deliveries of a program
// are those of what it found in its store.
func (bot *benchBot) next(ctx context.Context) (arrival, error) {
	for {
		select {
		case a := <-bot.took:
			if !bot.known[a.token] {
				bot.known[a.token] = true
				return a, nil
			}
		case <-ctx.Done():
			return arrival{}, fmt.Errorf("no new token came to the bot: %w", ctx.Err())
		}
	}
}

func (bot *benchBot) close() {
	_ = bot.listener.Close()
	bot.serving.Wait()
}
