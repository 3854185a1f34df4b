package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/client"
)

func TestToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newSupervisor(t)
		s.start()
		s.set("main", 7, time.Hour)
		s.set("dead", 3, -time.Minute)
		s.set("new", 0, 0)
		tok, err := c.Token(t.Context(), "main")
		if err != nil || tok.Version != 7 || tok.AccessToken.Reveal() != "at-main-7" || tok.TokenType != "Bearer" || !tok.ValidFor(59*time.Minute) || tok.ValidFor(time.Hour) {
			t.Errorf("got %+v, %v", tok, err)
		}
		if tok, err := c.Token(t.Context(), "dead"); err != nil || tok.Version != 3 || tok.ValidFor(0) {
			t.Errorf("an expired token: %+v, %v", tok, err)
		}
		for account, want := range map[string]error{
			"new": client.ErrNoToken, "nobody": client.ErrNoAccount, "": client.ErrNoAccount, "..": client.ErrNoAccount, "a/../main": client.ErrNoAccount,
		} {
			if _, err := c.Token(t.Context(), account); !errors.Is(err, want) || !strings.Contains(err.Error(), account) {
				t.Errorf("%q: got %v, want %v", account, err, want)
			}
		}
		s.stop()
		if _, err := c.Token(t.Context(), "main"); !errors.Is(err, client.ErrNotRunning) || !strings.Contains(err.Error(), "control.sock") {
			t.Errorf("stopped: %v", err)
		}
	})
}

// TestAnswersThatAreNone: errors say what to do and repeat nothing of an
// answer that may hold a token.
func TestAnswersThatAreNone(t *testing.T) {
	const canary = "canary-4711"
	for _, tt := range []struct {
		name, body, want string
		status           int
		is               error
	}{
		{"another program", "<html>" + canary, "no Tokenkeeper supervisor", 404, nil},
		{"a token that is no text", `{"version":1,"access_token":4711,"x":"` + canary + `"}`, "cut off or no JSON", 200, nil},
		{"a time that is none", `{"version":1,"access_token":"a","expires_at":"` + canary + `"}`, "cut off or no JSON", 200, nil},
		{"cut off", `{"version":1,"access_token":"` + canary, "cut off or no JSON", 200, nil},
		{"without a token", `{"version":1,"x":"` + canary + `"}`, "holds no token", 200, nil},
		{"another user", `{"code":"forbidden","error":"only the owner"}`, "only the owner", 403, client.ErrForbidden},
		{"on its way down", `{"code":"unavailable","error":"it shuts down"}`, "it shuts down", 503, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			socket := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			_, err := client.New(socket).Token(t.Context(), "main")
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "4711") || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// serve answers on a socket in the file system.
func serve(t *testing.T, handler http.HandlerFunc) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "tk-") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket = filepath.Join(dir, "control.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return socket
}

func TestNoSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none.sock")
	_, err := client.New(socket).Token(t.Context(), "main")
	if !errors.Is(err, client.ErrNotRunning) || !strings.Contains(err.Error(), socket) {
		t.Errorf("got %v", err)
	}
}

func TestASupervisorThatEndsIsSaidInPlainWords(t *testing.T) {
	ended := client.WithDial(func(context.Context) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			_, _ = theirs.Read(make([]byte, 1<<10))
			_ = theirs.Close()
		}()
		return ours, nil
	})
	_, err := client.New("control.sock", ended).Token(t.Context(), "main")
	if !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "account main: the supervisor on control.sock ended before") || strings.Contains(err.Error(), "EOF") {
		t.Errorf("got %v", err)
	}
}

func TestAHangingSupervisorIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := client.WithDial(func(context.Context) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			return ours, nil
		})
		c := client.New("control.sock", hang, client.WithTimeout(3*time.Second))
		began := time.Now()
		_, err := c.Token(t.Context(), "main")
		if took := time.Since(began); err == nil || took != 3*time.Second {
			t.Errorf("after %s: %v", took, err)
		}
		c.Close()
		synctest.Wait()
	})
}

func TestSecretsStayHidden(t *testing.T) {
	const canary = "canary-4711"
	var tok client.Token
	if err := json.Unmarshal([]byte(`{"access_token":"`+canary+`","version":1}`), &tok); err != nil {
		t.Fatal(err)
	}
	if tok.AccessToken.Reveal() != canary {
		t.Fatal("Reveal does not reveal: this test would prove nothing")
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "token", tok, "secret", tok.AccessToken)
	asJSON, err := json.Marshal(tok)
	if err != nil {
		t.Fatal(err)
	}
	hidden := struct{ inner client.Token }{tok}
	for _, said := range []string{
		log.String(), string(asJSON), tok.AccessToken.String(), tok.AccessToken.GoString(),
		fmt.Sprintf("%v %+v %#v %s %q %x", tok, tok, tok, tok.AccessToken, tok.AccessToken, tok.AccessToken), fmt.Sprintf("%+v %#v", hidden, hidden),
	} {
		if strings.Contains(said, canary) || strings.Contains(said, fmt.Sprintf("%x", canary)) {
			t.Errorf("the token shows in %q", said)
		}
	}
	if (client.Secret{}).Reveal() != "" {
		t.Error("the zero Secret reveals something")
	}
}
