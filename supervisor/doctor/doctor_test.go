package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lockholder"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

var now = time.Date(2026, 9, 14, 14, 20, 0, 0, time.UTC)

// healthy is a machine, and a set-up on it, with which nothing is wrong.
func healthy() (World, Setup) {
	running := control.Status{Version: "v1", PID: 77, Accounts: []control.Account{{Name: "main", Shown: refresh.Shown{State: control.AccountValid, Expiry: now.Add(time.Hour)}}}}
	return World{
		Look: func(context.Context, sdk.Account, string) (oauth.Sight, error) {
			return oauth.Sight{Status: 405, Dated: true, CertificateEnds: now.Add(60 * 24 * time.Hour)}, nil
		},
		Synchronized: func() (bool, error) { return true, nil },
		Room:         func(string) (Room, error) { return Room{Bytes: 1 << 40, Inodes: -1}, nil },
		Holders:      func(string) lockholder.Holders { return lockholder.Holders{} },
		Service: func(context.Context, string) (map[string]string, error) {
			return map[string]string{"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active", "SubState": "running",
				"KillMode": "control-group", "MainPID": "77", "NeedDaemonReload": "no", "ExecStart": "{ path=/usr/local/bin/tokenkeeper ; argv[]=/usr/local/bin/tokenkeeper run -c /etc/tk.yaml ; }"}, nil
		},
		Features: func() []Feature { return []Feature{{Name: "pidfd_open"}} },
	}, Setup{Now: now, Config: "/etc/tk.yaml", StateDir: "/state", Status: &running, Version: "v1", Brokers: []Broker{{sdk.Account{Name: "main"}, "https://broker.example/token"}}, Locks: []Lock{{"main", "/bots/lock"}}}
}

// unit has the service of w say otherwise.
func unit(w *World, pairs ...string) {
	all, err := w.Service(context.Background(), usualService)
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	w.Service = func(context.Context, string) (map[string]string, error) { return all, err }
}

func TestDiagnose(t *testing.T) {
	seen := func(s oauth.Sight, err error) func(w *World, s *Setup) {
		return func(w *World, _ *Setup) {
			w.Look = func(context.Context, sdk.Account, string) (oauth.Sight, error) { return s, err }
		}
	}
	fail := errors.New("told by nobody")
	for name, tt := range map[string]struct {
		ails func(w *World, s *Setup)
		code int
		// found and unexamined are what the lines begin with.
		found, unexamined []string
	}{
		"nothing":           {func(*World, *Setup) {}, 0, nil, nil},
		"nothing at a call": {func(w *World, s *Setup) { s.Brokers, s.Locks = nil, nil }, 0, nil, nil},
		"nobody runs": {func(w *World, s *Setup) { s.Status = nil }, 2,
			[]string{"fault supervisor: no supervisor runs with /state: no token is refreshed or delivered; start it: systemctl start tokenkeeper, or tokenkeeper run -c /etc/tk.yaml"}, nil},
		"one runs and is silent": {func(w *World, s *Setup) {
			s.Status, s.Silent = nil, "in use by a supervisor that does not answer here"
			w.Holders = func(path string) lockholder.Holders {
				if path != "/state" {
					return lockholder.Holders{}
				}
				return lockholder.Holders{Holding: []lockholder.Process{{PID: 9, Program: "tokenkeeper", Start: "1"}}}
			}
		}, 2, []string{"fault supervisor: /state: in use by a supervisor that does not answer here; its lock is held by tokenkeeper (process 9); if that hangs, end it (kill 9)"}, nil},
		"an account without a token": {func(w *World, s *Setup) { s.Status.Accounts[0].State = control.AccountNeedsLogin }, 2,
			[]string{"fault supervisor: 1 account needs login: main needs login; tokenkeeper status"}, nil},
		"an account that is tried again": {func(w *World, s *Setup) { s.Status.Accounts[0].State = control.AccountRetrying }, 1,
			[]string{"warning supervisor: 1 account retrying: main retrying; "}, nil},
		"another version": {func(w *World, s *Setup) { s.Version = "v2" }, 1,
			[]string{"warning supervisor: the supervisor (PID 77) is version v1, and this program is v2; "}, nil},
		"a plugin that was replaced": {func(_ *World, s *Setup) {
			s.Status.Providers = []control.Provider{{Name: "acme", Status: process.Status{OldProgram: "/p was replaced; run: tokenkeeper restart acme"}}, {Name: "saxo"}}
		}, 1, []string{"warning supervisor: provider acme: /p was replaced; run: tokenkeeper restart acme"}, nil},
		"no way": {seen(oauth.Sight{}, &oauth.LookError{Host: "broker.example", Reason: "it took too long"}), 2,
			[]string{"fault brokers: account main: broker.example can't be reached: it took too long; look at the network, the firewall"}, nil},
		"no name": {seen(oauth.Sight{}, &net.DNSError{Err: "x", Name: "broker.example", IsNotFound: true}), 2,
			[]string{"fault brokers: account main: lookup broker.example: x; ask the machine's resolver: getent hosts broker.example"}, nil},
		"no certificate to believe": {seen(oauth.Sight{}, &tls.CertificateVerificationError{Err: fail}), 2,
			[]string{"fault brokers: account main: tls: failed to verify certificate: told by nobody; look at the machine's clock"}, nil},
		"a gateway": {seen(oauth.Sight{Status: 503}, nil), 1, []string{"warning brokers: broker.example answers HTTP 503: "}, nil},
		"a certificate that ends": {seen(oauth.Sight{Status: 405, CertificateEnds: now.Add(50 * time.Hour)}, nil), 1,
			[]string{"warning brokers: the TLS certificate of broker.example ends in 2d, "}, nil},
		"a clock that is behind": {seen(oauth.Sight{Status: 405, Dated: true, Ahead: 8 * time.Second}, nil), 1,
			[]string{"warning clock: this machine's clock is 8s behind that of broker.example; have it set: "}, nil},
		"a clock that is far ahead": {seen(oauth.Sight{Status: 405, Dated: true, Ahead: -3 * time.Hour}, nil), 2,
			[]string{"fault clock: this machine's clock is 3h ahead of that of broker.example; "}, nil},
		"a clock that is right enough": {seen(oauth.Sight{Status: 405, Dated: true, Ahead: 2 * time.Second}, nil), 0, nil, nil},
		"a clock that nobody keeps": {func(w *World, _ *Setup) { w.Synchronized = func() (bool, error) { return false, nil } }, 1,
			[]string{"warning clock: nothing keeps this machine's clock right: the kernel says that it is not synchronised (now it agrees with that of broker.example); "}, nil},
		"a kernel that does not tell of the clock": {func(w *World, s *Setup) { w.Synchronized = func() (bool, error) { return false, fail } }, 0, nil, nil},
		"nobody tells of the clock": {func(w *World, s *Setup) {
			s.Brokers, w.Synchronized = nil, func() (bool, error) { return false, fail }
		}, 0, nil, []string{"the clock: no broker has told the time, and the kernel does not say whether it is kept right: told by nobody"}},
		"one of two brokers is wrong": {func(w *World, s *Setup) {
			s.Brokers = append(s.Brokers, Broker{sdk.Account{Name: "other"}, "https://wrong.example/token"})
			w.Look = func(_ context.Context, a sdk.Account, _ string) (oauth.Sight, error) {
				return oauth.Sight{Dated: true, Ahead: map[string]time.Duration{"other": time.Hour}[a.Name]}, nil
			}
		}, 0, nil, nil},
		"little room": {func(w *World, _ *Setup) {
			w.Room = func(string) (Room, error) { return Room{Bytes: 100 << 20, Inodes: 5000}, nil }
		}, 1, []string{"warning disk: the file system of /state has 100 MiB left; "}, nil},
		"no room, and none in the fallback": {func(w *World, s *Setup) {
			s.FallbackDir, w.Room = "/other", func(string) (Room, error) { return Room{Bytes: 1 << 20, Inodes: -1}, nil }
		}, 2, []string{"fault disk: the file system of /state has 1 MiB left; ", "fault disk: the file system of /other has 1 MiB left; "}, nil},
		"no inodes": {func(w *World, _ *Setup) {
			w.Room = func(string) (Room, error) { return Room{Bytes: 1 << 40, Inodes: 3}, nil }
		}, 2, []string{"fault disk: the file system of /state has room for 3 more files (inodes); "}, nil},
		"no directory yet":          {func(w *World, _ *Setup) { w.Room = func(string) (Room, error) { return Room{}, fs.ErrNotExist } }, 0, nil, nil},
		"a disk that can't be seen": {func(w *World, _ *Setup) { w.Room = func(string) (Room, error) { return Room{}, fail } }, 0, nil, []string{"the disk: told by nobody"}},
		"a bot that keeps the lock": {func(w *World, _ *Setup) {
			w.Holders = func(string) lockholder.Holders {
				return lockholder.Holders{Holding: []lockholder.Process{{PID: 9, Program: "bot", Start: "1"}}}
			}
		}, 1, []string{"warning locks: the lock /bots/lock of account main has been held for 2s at least by bot (process 9): meanwhile no program refreshes the token; if that hangs, end it (kill 9)"}, nil},
		"a bot that has the lock for a moment": {func(w *World, _ *Setup) {
			looks := 0
			w.Holders = func(string) lockholder.Holders {
				if looks++; looks > 1 {
					return lockholder.Holders{}
				}
				return lockholder.Holders{Holding: []lockholder.Process{{PID: 9, Program: "bot", Start: "1"}}}
			}
		}, 0, nil, nil},
		"the supervisor has the lock": {func(w *World, _ *Setup) {
			w.Holders = func(string) lockholder.Holders { return lockholder.Holders{Holding: []lockholder.Process{{PID: 77}}} }
		}, 0, nil, nil},
		"no systemd": {func(w *World, _ *Setup) {
			w.Service = func(context.Context, string) (map[string]string, error) { return nil, nil }
		}, 0, nil, nil},
		"a service of another configuration": {func(w *World, s *Setup) {
			unit(w, "MainPID", "0", "ActiveState", "failed", "ExecStart", "{ argv[]=tokenkeeper run -c /other.yaml ; }")
		}, 0, nil, nil},
		"a systemd that says nothing": {func(w *World, _ *Setup) {
			w.Service = func(context.Context, string) (map[string]string, error) { return nil, fail }
		}, 0, nil, []string{"told by nobody"}},
		"a service that is changed for the worse": {func(w *World, _ *Setup) {
			unit(w, "UnitFileState", "disabled", "KillMode", "mixed", "NeedDaemonReload", "yes")
		}, 1,
			[]string{"warning service: tokenkeeper.service is disabled: it does not start with the machine; systemctl enable tokenkeeper",
				"warning service: tokenkeeper.service has KillMode=mixed: ", "warning service: tokenkeeper.service has changed since systemd read it; systemctl daemon-reload"}, nil},
		"a service that has less time to stop than an answer takes": {func(w *World, s *Setup) {
			unit(w, "TimeoutStopUSec", "45s")
			s.Stop = 75 * time.Second
		}, 1, []string{"warning service: tokenkeeper.service has TimeoutStopSec=45, and an answer may take longer by the configuration (refresh.timeout): " +
			"one on its way when the service crashes would be cut off, and its login lost; write TimeoutStopSec=75 below [Service] by: systemctl edit tokenkeeper"}, nil},
		"a service that has just as long": {func(w *World, s *Setup) {
			unit(w, "TimeoutStopUSec", "1min 15s")
			s.Stop = 75 * time.Second
		}, 0, nil, nil},
		"a service whose stop has no end": {func(w *World, s *Setup) {
			unit(w, "TimeoutStopUSec", "infinity")
			s.Stop = 75 * time.Second
		}, 0, nil, nil},
		"a service that has failed": {func(w *World, s *Setup) {
			s.Status = nil
			unit(w, "MainPID", "0", "ActiveState", "failed", "Result", "exit-code", "ExecMainStatus", "78")
		}, 2, []string{"fault supervisor: no supervisor runs", "fault service: tokenkeeper.service has failed (exit-code, exit status 78); read why: journalctl -u tokenkeeper -n 50"}, nil},
		"a service that ends again and again": {func(w *World, s *Setup) {
			s.Status = nil
			unit(w, "MainPID", "0", "ActiveState", "activating", "SubState", "auto-restart", "NRestarts", "12", "ExecMainStatus", "2")
		}, 2, []string{"fault supervisor: no supervisor runs", "fault service: tokenkeeper.service ends again and again (12 restarts, the last exit status was 2); "}, nil},
		"a masked service": {func(w *World, s *Setup) { unit(w, "LoadState", "masked") }, 2, []string{"fault service: tokenkeeper.service can't be started: its unit is masked; "}, nil},
		"a supervisor beside the service": {func(w *World, s *Setup) { unit(w, "MainPID", "0", "ActiveState", "inactive") }, 1,
			[]string{"warning service: tokenkeeper.service is inactive, and the supervisor (PID 77) was started otherwise; "}, nil},
		"an old kernel": {func(w *World, _ *Setup) {
			w.Features = func() []Feature { return []Feature{{"pidfd_open", "processes are watched by it", fail}} }
		}, 1, []string{"warning kernel: pidfd_open can't be used (told by nobody): processes are watched by it; look at the kernel"}, nil},
		"an old program": {func(w *World, s *Setup) { s.Version, s.OldProgram = "v2", "It is old; start it again" }, 1, []string{"warning supervisor: It is old; start it again"}, nil},
		"one that nobody can see": {func(w *World, s *Setup) { s.Status, s.StateDir, s.Unseen = nil, "", "nobody tells where" }, 0, nil,
			[]string{"whether a supervisor runs: nobody tells where"}},
		"one without its directory": {func(w *World, s *Setup) { s.Status, s.Silent = nil, "has been moved" }, 2,
			[]string{"fault supervisor: /state: has been moved; if it stays so, restart that one"}, nil},
		"what check has found": {func(w *World, s *Setup) {
			s.Checked = []Finding{{Warning, "", "one", ""}, {Fault, "", "two", "do it"}}
		}, 2, []string{"fault configuration: two; do it", "warning configuration: one; put that right; tokenkeeper check"}, nil},
		"what was not checked": {func(w *World, s *Setup) { s.Unchecked = "the secrets" }, 0, nil, []string{"the secrets"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := healthy()
				tt.ails(&w, &s)
				d := w.Diagnose(t.Context(), s)
				var found []string
				for _, f := range d.Findings {
					found = append(found, string(f.Severity)+" "+f.Line())
					if f.Remedy == "" || f.Message == "" {
						t.Errorf("nobody is told what to do: %+v", f)
					}
				}
				begin(t, "found", found, tt.found)
				begin(t, "not examined", d.Unexamined, tt.unexamined)
				if d.Code != tt.code || d.Status != []string{"ok", "warning", "critical"}[tt.code] || len(d.Examined) != 7 {
					t.Errorf("%s, exit code %d, want %d; examined %q", d.Status, d.Code, tt.code, d.Examined)
				}
			})
		})
	}
}

// begin compares lines with what they shall begin with.
func begin(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A disk that does not answer keeps nobody from hearing what else is wrong.
func TestWhatHangsIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := healthy()
		s.Status = nil
		over := make(chan struct{})
		defer close(over)
		w.Room = func(string) (Room, error) { <-over; return Room{}, nil }
		d := w.Diagnose(t.Context(), s)
		if len(d.Findings) != 2 || d.Findings[0].About != "supervisor" || d.Findings[1].Line() !=
			"disk: looking at it has not come to an end within 15s; a disk or a network drive may hang: look at dmesg" || slices.Contains(d.Examined, "disk") {
			t.Errorf("%+v", d)
		}
	})
}

// The world as it is says something of each, and nothing is left open by it.
func TestHere(t *testing.T) {
	w := Here()
	if r, err := w.Room(t.TempDir()); err != nil || r.Bytes == 0 {
		t.Errorf("room: %+v, %v", r, err)
	}
	if _, err := w.Room(t.TempDir() + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("room where there is nothing: %v", err)
	}
	for _, f := range w.Features() {
		if f.Err != nil {
			t.Errorf("%s: %v", f.Name, f.Err)
		}
	}
	if all, err := w.Service(t.Context(), "tokenkeeper-that-is-not-there.service"); len(all) > 0 {
		t.Errorf("a service that is not there: %v, %v", all, err)
	}
	_, err := w.Synchronized() // either is right, if it is allowed to ask
	t.Log(err)
}

// TestSpan: times as "systemctl show" prints them.
func TestSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"45s": 45 * time.Second, "1min 30s": 90 * time.Second, "500ms": 500 * time.Millisecond, "1h 2min 3s 4ms 5us": time.Hour + 2*time.Minute + 3*time.Second + 4*time.Millisecond + 5*time.Microsecond,
		"1w 2d": 9 * 24 * time.Hour, "0": -1, "": -1, "infinity": -1, "4711": -1, "s": -1, "1.5x": -1,
	} {
		if got, known := Span(text); known != (want >= 0) || known && got != want {
			t.Errorf("%q: %s, %t", text, got, known)
		}
	}
}
