package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/sinktest/folder"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile/sharedfiletest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMain lets the test's program be the built-in providers too, which are
// this very program run again, and a trading bot.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == providerVerb {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	if len(os.Args) > 1 && os.Args[1] == sinkForTests {
		sdk.ServeSink(checkedSink{})
		return
	}
	if len(os.Args) > 2 && os.Args[1] == hostileVerb {
		serveHostile(os.Args[2])
		return
	}
	if len(os.Args) > 1 && os.Args[1] == folderSink {
		sdk.ServeSink(folder.Sink{})
		return
	}
	sharedfiletest.Main()
	moreAtOnce()
	code := m.Run()
	removeProgram()
	removeCrashProgram()
	os.Exit(code)
}

// moreAtOnce lets more tests run at once than there are cores, unless the
// command line says how many: nearly all of their time is spent waiting for
// processes. They begin in the order of their files' names. One that takes a minute
// or two, TestRandomKills or TestShortProviders, stands in a file that comes early: all
// others would be over when it ends.
func moreAtOnce() {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if asked {
		return
	}
	each := 4
	if raceDetector {
		each = 1 // its processes take many times as long to start, and have 10 s
	}
	if err := flag.Set("test.parallel", strconv.Itoa(each*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
}

// now is when every test happens.
var now = time.Date(2026, 9, 14, 14, 20, 0, 0, time.UTC)

// result is what a command line did.
type result struct {
	code           int
	stdout, stderr string
}

// command runs one command line at now, in an environment without a user.
func command(t testing.TB, stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := testEnv(stdin, &stdout, &stderr).execute(t.Context(), args)
	return result{code, stdout.String(), stderr.String()}
}

func testEnv(stdin string, stdout, stderr *bytes.Buffer) *env {
	e := newEnv(strings.NewReader(stdin), stdout, stderr)
	e.now = func() time.Time { return now }
	e.getenv = func(string) string { return "" }
	return e
}

// golden compares got with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// says fails the test unless the command ended with code and printed exactly
// stdout, and every one of onStderr, or nothing, to stderr.
func (r result) says(t *testing.T, code int, stdout string, onStderr ...string) {
	t.Helper()
	if r.code != code || r.stdout != stdout {
		t.Errorf("exit code %d, stdout:\n%s\nwant %d:\n%s\nstderr: %s", r.code, r.stdout, code, stdout, r.stderr)
	}
	if len(onStderr) == 0 && r.stderr != "" {
		t.Errorf("stderr: %s, want nothing", r.stderr)
	}
	for _, want := range onStderr {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("stderr: %s, want %q in it", r.stderr, want)
		}
	}
}

// fake is a supervisor behind a real control server.
type fake struct {
	status  func() control.Status
	differs control.ConfigDifference
	// refused is what becomes of a reload; nil: it works.
	refused  error
	observes bool
	imported []byte
	forced   bool
	// redirected is what CompleteLogin got.
	redirected string
	// address of a login; "": a short one.
	address string
	// awaited counts the calls of AwaitLogin.
	awaited int
	// ends is what a revocation ends, and others with which accounts.
	ends   string
	others []string
	// shared is the shared file that it is taken out of, and unshared why it is not.
	shared, unshared string
	// usable answers UsableToken; nil: as the tokens are.
	usable func(account string) (control.TokenAnswer, error)
}

func (f *fake) Status(context.Context) (control.Status, error) { return f.status(), nil }

func (f *fake) Health(context.Context) control.Health { return control.Health{} }

func (f *fake) ConfigDifference(context.Context) (control.ConfigDifference, error) {
	return f.differs, nil
}

func (f *fake) Reload(context.Context) (control.ReloadAnswer, error) {
	if f.refused != nil {
		return control.ReloadAnswer{}, f.refused
	}
	return control.ReloadAnswer{PID: f.differs.PID, Config: f.differs.Config, Difference: f.differs.Difference, FixedReferences: f.differs.FixedReferences}, nil
}

func (f *fake) Accounts(context.Context) (control.AccountList, error) { return sampleAccounts(), nil }

func (f *fake) RenameAccount(_ context.Context, from, to string) (control.RenameAnswer, error) {
	return control.RenameAnswer{Account: to, From: from, Version: 12, Unread: 2}, nil
}

func (f *fake) ForgetAccount(_ context.Context, account string, revoke bool, _ event.Caller) (control.ForgetAnswer, error) {
	for _, a := range sampleAccounts().Accounts {
		if a.Name == account && !a.Configured {
			got := control.ForgetAnswer{
				Account: account, Provider: a.Provider, Version: a.Version, HadLogin: a.HasLogin, Way: a.Way, RefreshExpiry: a.RefreshExpiry, Attempts: 1, Unread: 1,
			}
			if revoke {
				got.HadLogin, got.Revoked = false, now.Add(-time.Millisecond)
			}
			return got, nil
		}
	}
	return control.ForgetAnswer{}, control.Errorf(control.CodeConflict, "account %s is in the configuration", account)
}

func (f *fake) Adopt(context.Context) (control.AdoptAnswer, error) {
	return control.AdoptAnswer{Adopted: true, From: "vm-1 (0a0b0c0d)", To: "vm-2 (01020304)"}, nil
}

func (f *fake) Restart(_ context.Context, provider string) (control.RestartAnswer, error) {
	if provider != "schwab" {
		return control.RestartAnswer{}, control.Errorf(control.CodeNotFound, "there is no provider %q", provider)
	}
	return control.RestartAnswer{Provider: provider, OldPID: 4243, PID: 4250, Generation: 2}, nil
}

func (f *fake) Refresh(_ context.Context, account string, force bool) (control.RefreshAnswer, error) {
	return control.RefreshAnswer{
		Account: account, Refreshed: force, Version: 12, Expiry: now.Add(30 * time.Minute), Due: now.Add(25 * time.Minute),
	}, nil
}

func (f *fake) TestAccount(_ context.Context, account string) (control.AccountTestAnswer, error) {
	if account != "main" {
		return control.AccountTestAnswer{}, control.Errorf(control.CodeConflict, "account %s: version 7 does not work", account)
	}
	return control.AccountTestAnswer{Account: account, Version: 7, Took: 120 * time.Millisecond}, nil
}

func (f *fake) RevokePlan(_ context.Context, account string) (control.RevokePlan, error) {
	if account != "main" {
		return control.RevokePlan{}, control.Errorf(control.CodeBadRequest, "account %s: provider schwab knows no way", account)
	}
	return control.RevokePlan{Account: account, Provider: "acme", Version: 7, Expiry: now.Add(30 * time.Minute), Ends: f.ends, Others: f.others, SharedFile: f.shared}, nil
}

func (f *fake) Revoke(_ context.Context, account, agreed string, _ event.Caller) (control.RevokeAnswer, error) {
	return control.RevokeAnswer{Ends: agreed, Others: f.others, SharedFile: f.shared, SharedFileError: f.unshared, Account: account, Provider: "acme", Version: 7, Revoked: now, Took: 120 * time.Millisecond, Expiry: now.Add(30 * time.Minute)}, nil
}

func (f *fake) Token(_ context.Context, account string) (control.TokenAnswer, error) {
	a := control.TokenAnswer{Account: account, Version: 3, AccessToken: "secret-access-token", TokenType: "Bearer", Expiry: now.Add(time.Minute)}
	switch account {
	case "old":
		a.Expiry = now
	case "none":
		return control.TokenAnswer{}, control.Errorf(control.CodeNeedsLogin, "account none needs a login")
	}
	return a, nil
}

func (f *fake) UsableToken(ctx context.Context, req control.TokenRequest) (control.TokenAnswer, error) {
	if f.usable != nil {
		return f.usable(req.Account)
	}
	got, err := f.Token(ctx, req.Account)
	switch {
	case err != nil || req.IsMetBy(got, now):
		return got, err
	case req.MinValid > time.Hour:
		return control.TokenAnswer{}, control.Errorf(control.CodeShortLived, "account %s: none lives so long", req.Account)
	}
	late := control.Errorf(control.CodeNotYet, "account %s: not yet", req.Account)
	late.RetryAt = now.Add(time.Minute)
	return control.TokenAnswer{}, late
}

func (f *fake) Import(_ context.Context, req control.ImportRequest) (control.ImportAnswer, error) {
	f.imported, f.forced = req.Body, req.Force
	a := control.ImportAnswer{Account: req.Account, Version: 1, Format: "schwab", Expiry: now.Add(12 * time.Minute), RefreshExpiry: now.Add(6*24*time.Hour + time.Hour)}
	if req.Format == "" {
		a.RefreshExpiryUncertain = true
	}
	return a, nil
}

// serve starts a control server and returns its socket.
func serve(t *testing.T, f *fake) (socket string, bus *event.Bus, stop func()) {
	t.Helper()
	if f.status == nil {
		f.status = sampleStatus
	}
	socket = filepath.Join(t.TempDir(), "c.sock")
	ln, err := control.Listen(socket, config.Control{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	bus = event.NewBus(log, func() time.Time { return now })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := control.NewServer(f, bus, log).Serve(ctx, ln); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return socket, bus, stop
}

// decode reads one JSON document and nothing after it.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	if dec.More() {
		t.Fatalf("more than one document in:\n%s", text)
	}
	return v
}
