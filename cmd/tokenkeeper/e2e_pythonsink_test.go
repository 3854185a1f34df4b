package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/sinktest"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// pythonExample installs a plugin in Python in a folder of the user that runs the test,
// who need not own the clone, and returns its program. Its Python is Debian's, because
// that one has the packages that it needs.
func pythonExample(t *testing.T, name, program string) string {
	t.Helper()
	const packages = "python3-grpcio, python3-protobuf and python3-cryptography"
	if out, err := exec.Command("/usr/bin/python3", "-c", "import grpc, google.protobuf, cryptography").CombinedOutput(); err != nil {
		t.Skipf("/usr/bin/python3 does not have %s: %v %s", packages, err, out)
	}
	return filepath.Join(installed(t, name), program, program)
}

// installed does what the README of an example says to install it, and returns what
// stands for /usr/local/lib.
func installed(t *testing.T, name string) string {
	t.Helper()
	lib := t.TempDir()
	for _, block := range fenced(t, example(name+"/README.md"), "sh") {
		for line := range strings.Lines(block) {
			if !strings.HasPrefix(line, "install ") {
				continue // of packages, which takes root and the network
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(line, "/usr/local/lib/", lib+"/"))
			cmd.Dir = example(name)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", line, err, out)
			}
		}
	}
	return lib
}

func pythonSink(t *testing.T) string {
	t.Helper()
	return pythonExample(t, "sink-python", "tokenkeeper-sink-python-files")
}

// TestPythonSinkKeepsTheContract runs the suite of sinks that are plugins with
// one that is not in Go.
func TestPythonSinkKeepsTheContract(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	at := func(dir string) sdk.Settings { return sdk.Settings{"directory": sdk.NewSecret(dir)} }
	sinktest.Run(t, sinktest.Suite{
		Program:  []string{pythonSink(t)},
		Settings: func(t *testing.T) sdk.Settings { return at(filepath.Join(t.TempDir(), "tokens")) },
		Stored: func(t *testing.T, s sdk.Settings, account string) string {
			b, err := os.ReadFile(filepath.Join(s.Get("directory"), account+".json"))
			if err != nil && !os.IsNotExist(err) {
				t.Error(err)
			}
			return string(b)
		},
		Missing: func(t *testing.T) sdk.Settings { return at(filepath.Join(t.TempDir(), "no", "such")) },
	})
}

// TestPythonSink installs the example the way its README says: tokens arrive,
// also after the death of its process; it ends with the supervisor; nobody else
// can talk to it; and it gives a token back to a machine that has lost its own.
func TestPythonSink(t *testing.T) {
	t.Parallel()
	program := pythonSink(t)
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: time.Hour, RefreshLifetime: 2 * time.Hour})
	s := newSite(t, "")
	s.configure(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m")+fmt.Sprintf(`sinks:
  vault:
    type: python-files
    command: [%q]
    settings: {directory: %q}
    include_refresh_token: true
    restore: true
`, program, s.path("tokens")))
	if got := s.tool(t, "", "check"); got.code != exitOK {
		t.Fatalf("check: %+v", got)
	}
	holdsNewest := func(when string) {
		t.Helper()
		var stored struct {
			AccessToken  string `json:"access_token"`
			RefreshToken string `json:"refresh_token"`
		}
		b, err := os.ReadFile(s.path("tokens/" + saxoAccount + ".json"))
		if err == nil {
			err = json.Unmarshal(b, &stored)
		}
		if err != nil {
			t.Fatal(err)
		}
		now, ok := saxo.Current(saxoAccount)
		if !ok || stored.AccessToken != now.AccessToken || stored.RefreshToken != now.RefreshToken {
			t.Errorf("%s: the sink does not hold the newest token", when)
		}
	}

	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	r := startRun(t, s)
	r.delivered(saxoAccount, 1)
	holdsNewest("after the login")
	r.refreshed(saxoAccount)
	r.delivered(saxoAccount, 2)
	holdsNewest("after a refresh")
	refusesStrangers(t, s)

	pid := vaultPID(t, r)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.refreshed(saxoAccount)
	r.delivered(saxoAccount, 3)
	holdsNewest("after the death of its process")
	if now := vaultPID(t, r); now == pid {
		t.Errorf("process %d was killed and is still there", pid)
	}

	// The supervisor dies: the lifeline ends the process.
	r.Kill()
	s.awaitGone(t)
	if err := os.RemoveAll(s.path("state")); err != nil {
		t.Fatal(err)
	}
	r = startRun(t, s)
	r.until(func(st control.Status) bool { return account(st, saxoAccount).State == control.AccountValid })
	r.refreshed(saxoAccount) // the broker takes no other token than the newest
	r.delivered(saxoAccount, 2)
	holdsNewest("after the restore")
	if reused := saxo.Reused(); len(reused) > 0 {
		t.Errorf("refresh tokens were used twice: %v", reused)
	}
	if took := r.Stop(); took > 10 {
		t.Errorf("SIGTERM took %d beats", took)
	}
	s.awaitGone(t)
	if files, _ := filepath.Glob(s.path("tokens/*")); len(files) != 1 {
		t.Errorf("the sink leaves %v", files)
	}
}

func vaultPID(t *testing.T, r *running) int {
	t.Helper()
	sinks, err := r.Client.Sinks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range sinks.Sinks {
		if k.Name == "vault" && k.Process != nil {
			return k.Process.PID
		}
	}
	t.Fatalf("the sink has no process: %+v", sinks)
	return 0
}

// refusesStrangers connects as somebody without the supervisor's certificate.
func refusesStrangers(t *testing.T, s *site) {
	t.Helper()
	var sockets []string
	_ = filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type() == os.ModeSocket && strings.Contains(path, "vault") {
			sockets = append(sockets, path)
		}
		return nil
	})
	if len(sockets) != 1 {
		t.Fatalf("the sink's sockets are %v", sockets)
	}
	conn, err := net.Dial("unix", sockets[0])
	if err != nil {
		t.Fatal(err)
	}
	stranger := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	defer stranger.Close()
	ctx, cancel := waittest.Context(t.Context(), waittest.Patience)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = stranger.SetDeadline(time.Now()) })()
	err = stranger.Handshake()
	if err == nil { // the server's verdict on a certificate comes after it (RFC 8446, section 4.4.2.4)
		_, err = stranger.Read(make([]byte, 1))
	}
	if err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the sink talks to somebody without a certificate: %v", err)
	}
}
