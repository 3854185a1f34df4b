package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// moveOver puts a file in the place of another one, as mv does.
func moveOver(t *testing.T, path, text string) {
	t.Helper()
	if err := moveOverWith(path, text); err != nil {
		t.Fatal(err)
	}
}

func moveOverWith(path, text string) error {
	return errors.Join(filestest.WriteProgram(path+".new", []byte(text), 0o700), os.Rename(path+".new", path))
}

// A process goes on with the program that it was started from when another one takes that
// one's place. It is named, and told once for each process; a restart takes what is there.
func TestReplacedPluginIsNamed(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	path, ran := filepath.Join(dir, "plugin"), filepath.Join(dir, "ran")
	build := func(mark string) string {
		return fmt.Sprintf("#!/bin/sh\necho %s >%q\nexec %q provider\n", mark, ran, self)
	}
	moveOver(t, path, build("one"))
	log := &logBuffer{written: make(chan struct{}, 1)}
	logger := slog.New(slog.NewTextHandler(log, nil))
	c := realCommand(dir, logger)
	c.Path, c.Args = path, nil
	m := New(Config{
		Name: "real", Launcher: c, Work: Refreshing(newCallWork()), Events: event.NewBus(logger, time.Now), Log: logger,
		Health: HealthPolicy{DescribeTimeout: time.Minute},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	const told, toUse = "was replaced or changed since the process was started from it", "to use what is there now, run: tokenkeeper restart real"
	says := func(when string, old bool, lines int) {
		t.Helper()
		m.Look()
		got := m.OldProgram()
		if old && (!strings.HasPrefix(got, path+" "+told) || !strings.HasSuffix(got, toUse)) || !old && got != "" {
			t.Errorf("%s: %q", when, got)
		}
		m.Look()
		if n := strings.Count(log.String(), told); n != lines {
			t.Errorf("%s: %d lines in the log, want %d:\n%s", when, n, lines, log.String())
		}
	}
	waittest.Until(t, "the process", func() bool { return m.Status().State == Running })
	says("as it was started", false, 0)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	says("while there is none, and one may be on its way", false, 0)
	moveOver(t, path, build("two"))
	says("replaced", true, 1)
	if got := m.Status(); got.Generation != 1 || got.State != Running {
		t.Errorf("it does not go on: %+v", got)
	}
	restart := func(want string) {
		t.Helper()
		ctx, cancel := waittest.Context(context.Background(), waittest.Patience)
		defer cancel()
		if _, err := m.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(ran); err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%q runs, want %s (%v)", got, want, err)
		}
	}
	restart("two")
	says("after a restart", false, 1)
	if err := filestest.WriteProgram(path, []byte(build("three")), 0o700); err != nil {
		t.Fatal(err)
	}
	says("written in place", true, 2)
	restart("three")
	says("after another restart", false, 2)
}

// What counts is what the process runs, and not what it reads or writes; with a checksum
// it takes more than a restart.
func TestWhatAProcessWasStartedFrom(t *testing.T) {
	const restart = "to use what is there now, run: tokenkeeper restart acme"
	const checksum = "to use what is there now, put its checksum into providers.acme.sha256 and run: tokenkeeper reload"
	for name, tt := range map[string]struct {
		c       Command // words are files of a folder
		changes string
		want    string // at its end; "": nothing
	}{
		"a program":                             {Command{Path: "program"}, "program", restart},
		"a sink's":                              {Command{Kind: Sink, Path: "program"}, "program", "run: tokenkeeper sinks restart acme"},
		"one with a checksum":                   {Command{Path: "program", SHA256: "00"}, "program", checksum},
		"the script of an interpreter":          {Command{Path: "sh", Args: []string{"script"}}, "script", restart},
		"of an interpreter with a checksum":     {Command{Path: "sh", Args: []string{"script"}, SHA256: "00"}, "script", restart},
		"an interpreter":                        {Command{Path: "sh", Args: []string{"script"}}, "sh", restart},
		"what the program may write":            {Command{Path: "program", Args: []string{"data"}}, "data", ""},
		"another program, which is none of its": {Command{Path: "program", Args: []string{"data"}}, "script", ""},
	} {
		for _, pinned := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, pinned %t", name, pinned), func(t *testing.T) {
				dir := t.TempDir()
				for _, file := range []string{"program", "script", "sh", "data"} {
					if err := os.WriteFile(filepath.Join(dir, file), []byte(file), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				c := tt.c
				c.Name, c.Args = "acme", nil
				for _, word := range tt.c.Args {
					c.Args = append(c.Args, filepath.Join(dir, word))
				}
				path := filepath.Join(dir, tt.c.Path)
				var open *os.File
				if pinned {
					f, err := os.Open(path)
					if err != nil {
						t.Fatal(err)
					}
					defer func() { _ = f.Close() }()
					open = f
				}
				s := c.startedFrom(path, open)
				if got := s.oldProgram(); got != "" {
					t.Errorf("before anything has changed: %s", got)
				}
				changed := filepath.Join(dir, tt.changes)
				moveOver(t, changed, "another one")
				got := s.oldProgram()
				if tt.want == "" && got != "" || tt.want != "" && (!strings.HasPrefix(got, changed+" was replaced") || !strings.HasSuffix(got, tt.want)) {
					t.Errorf("%q, want %q at its end", got, tt.want)
				}
			})
		}
	}
	if got := (Command{Name: "saxo", Path: ourselves}).startedFrom(ourselves, nil).oldProgram(); got != "" {
		t.Errorf("of this very program: %s", got)
	}
}

// A process that serves is not ended for a program that could not take its place: it goes on,
// and whoever has asked is told what is wrong.
func TestRestartOntoWhatCantStart(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	path := filepath.Join(dir, "plugin")
	good := fmt.Sprintf("#!/bin/sh\nexec %q provider\n", self)
	moveOver(t, path, good)
	sum, err := checksum(path)
	if err != nil {
		t.Fatal(err)
	}
	c := realCommand(dir, slog.New(slog.DiscardHandler))
	c.Path, c.Args, c.SHA256 = path, nil, ""
	pinned := c
	pinned.SHA256 = sum
	for name, tt := range map[string]struct {
		c      Command
		change func() error
		want   string
	}{
		"it ends at once":           {c, func() error { return moveOverWith(path, "#!/bin/sh\nexit 3\n") }, "exit status 3"},
		"it is missing":             {c, func() error { return os.Remove(path) }, "does not exist"},
		"its checksum is not known": {pinned, func() error { return moveOverWith(path, good+"\n") }, "put its checksum into providers.real.sha256 and run: tokenkeeper reload"},
	} {
		t.Run(name, func(t *testing.T) {
			moveOver(t, path, good)
			m := New(Config{
				Name: "real", Launcher: tt.c, Work: Refreshing(newCallWork()), Events: event.NewBus(slog.New(slog.DiscardHandler), time.Now),
				Health: HealthPolicy{DescribeTimeout: time.Minute},
			})
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = m.Run(ctx)
			}()
			defer func() {
				cancel()
				<-done
			}()
			waittest.Until(t, "the process", func() bool { return m.Status().State == Running })
			was := m.Status()
			if err := tt.change(); err != nil {
				t.Fatal(err)
			}
			asking, over := waittest.Context(context.Background(), waittest.Patience)
			defer over()
			_, err := m.Restart(asking)
			if want := fmt.Sprintf("provider real was not restarted, and goes on as PID %d: ", was.PID); err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the restart: %v, want %q and %q", err, want, tt.want)
			}
			if got := m.Status(); got.PID != was.PID || got.Generation != 1 || got.State != Running {
				t.Errorf("it does not go on: %+v", got)
			}
			moveOver(t, path, good)
			if got, err := m.Restart(asking); err != nil || got.OldPID != was.PID || got.Generation != 2 {
				t.Errorf("once that is mended: %+v, %v", got, err)
			}
		})
	}
}
