package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// removeBeside removes a folder in which a process may be making files meanwhile.
func removeBeside(folder string) (err error) {
	for range 100 {
		if err = os.RemoveAll(folder); !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
	return err
}

// TestStateDirectoryMeddledWith removes, moves or overwrites the state directory
// of a supervisor that runs: the next refresh succeeds, the verbs find the
// supervisor, somebody is told, and after a clean stop and a start every login is
// there, also the one that was not refreshed meanwhile.
func TestStateDirectoryMeddledWith(t *testing.T) {
	t.Parallel()
	for name, meddle := range map[string]func(state, earlier string) error{
		"removed": func(state, _ string) error { return removeBeside(state) },
		"emptied": func(state, _ string) error {
			entries, err := os.ReadDir(state)
			for _, e := range entries {
				err = errors.Join(err, removeBeside(filepath.Join(state, e.Name())))
			}
			return err
		},
		"moved away": func(state, _ string) error { return os.Rename(state, state+"-away") },
		"an older store is copied over it": func(state, earlier string) error {
			b, err := os.ReadFile(earlier)
			return errors.Join(err, os.WriteFile(filepath.Join(state, "tokenkeeper.db"), b, 0o600))
		},
		"an older store is put in its place": func(state, earlier string) error {
			return os.Rename(earlier, filepath.Join(state, "tokenkeeper.db"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			idle := login{"schwab-main", "schwab", format.Schwab, broker(t, brokersim.Schwab)}
			busy := login{"saxo-live", "saxo", format.SaxoCache, broker(t, brokersim.Saxo)}
			both := []login{idle, busy}
			s := newSite(t, thirdPartyYAML(both, ""))
			s.env = append(s.env, "WATCHDOG_USEC=2000000") // it looks each second
			for _, l := range both {
				s.logInEarlier(t, l.broker, l.account, l.layout, time.Hour)
			}
			earlier := s.path("earlier.db")
			b, err := os.ReadFile(s.path("state/tokenkeeper.db"))
			if err := errors.Join(err, os.WriteFile(earlier, b, 0o600)); err != nil {
				t.Fatal(err)
			}
			r := startRun(t, s)
			r.until(func(st control.Status) bool { return deliveredAll(st, both, 2) })

			if err := meddle(s.path("state"), earlier); err != nil {
				t.Fatal(err)
			}
			st := r.until(func(st control.Status) bool {
				return slices.ContainsFunc(st.Alerts, func(a event.Alert) bool {
					return a.Type == event.StoreDisplaced && strings.Contains(a.Message, s.path("state"))
				})
			})
			for _, a := range st.Alerts { // a disk that is slow to make the file again is trouble for a moment
				if a.Type != event.StoreDisplaced && a.Type != event.DiskTrouble {
					t.Errorf("alert: %+v", a)
				}
			}
			if got := s.tool(t, "", "refresh", busy.account, "--force"); got.code != exitOK {
				t.Fatalf("refresh: %+v", got)
			}
			r.until(func(st control.Status) bool { return deliveredAll(st, []login{busy}, 3) })
			if got := s.tool(t, "", "status"); got.code != exitOK {
				t.Errorf("status: %+v", got)
			}
			stop(t, s, r)

			r = startRun(t, s)
			st = r.until(func(st control.Status) bool {
				return provider(st, idle.provider).State == control.ProviderRunning && deliveredAll(st, []login{busy}, 3) && deliveredAll(st, []login{idle}, 2)
			})
			for _, a := range st.Alerts {
				if a.Type != event.StoreDisplaced && a.Type != event.DiskTrouble {
					t.Errorf("alert after the start: %+v", a)
				}
			}
			for _, l := range both {
				if got := s.tool(t, "", "refresh", l.account, "--force"); got.code != exitOK {
					t.Errorf("refresh: %+v", got)
				}
				if reused := l.broker.Reused(); len(reused) > 0 {
					t.Errorf("refresh tokens of %s that were sent twice: %v", l.account, reused)
				}
			}
			r.until(func(st control.Status) bool {
				return deliveredAll(st, []login{busy}, 4) && deliveredAll(st, []login{idle}, 3)
			})
			for _, l := range both {
				delivered(t, s, l)
			}
			stop(t, s, r)
		})
	}
}

// TestNobodyStartsBesideASupervisorWithoutItsDirectory moves the directory away
// and asks before the supervisor, which looks each half minute, knows of it.
func TestNobodyStartsBesideASupervisorWithoutItsDirectory(t *testing.T) {
	t.Parallel()
	idle := login{"schwab-main", "schwab", format.Schwab, broker(t, brokersim.Schwab)}
	s := newSite(t, thirdPartyYAML([]login{idle}, ""))
	s.logIn(t, idle.broker, idle.account, idle.layout)
	r := startRun(t, s)
	r.until(func(st control.Status) bool {
		return deliveredAll(st, []login{idle}, 1) && provider(st, idle.provider).State == control.ProviderRunning
	})
	if err := os.Rename(s.path("state"), s.path("away")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"run"}, {"status"}, {"import", idle.account, "-", "--force"}, {"adopt"}, {"check"}} {
		got := s.tool(t, `{"access_token": "a", "refresh_token": "r"}`, args...)
		if !strings.Contains(got.stdout+got.stderr, strconv.Itoa(r.PID)) || (got.code == exitOK) != (args[0] == "check") {
			t.Errorf("%s: %+v, want PID %d", args[0], got, r.PID)
		}
		// The second one has found out that it is the second by itself. On a slow machine
		// the supervisor may have looked meanwhile, and made the directory again.
		_, err := os.Lstat(s.path("state"))
		if args[0] != "run" && !strings.Contains(got.stdout+got.stderr, "moved or removed") && errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %+v", args[0], got)
		}
	}
	// Another directory at the same path is not taken for that of nobody.
	if err := os.Mkdir(s.path("state"), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	if got := s.tool(t, "", "check"); got.code != exitOK || !strings.Contains(got.stdout, strconv.Itoa(r.PID)) {
		t.Errorf("check beside another directory: %+v, want PID %d", got, r.PID)
	}
	stop(t, s, r)
}
