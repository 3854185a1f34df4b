package file_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/file"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
)

// encode is a format that shows every secret of the document.
func encode(d format.Document) ([]byte, error) {
	return fmt.Appendf(nil, "%s\n%s\n", d.AccessToken.Reveal(), d.RefreshToken.Reveal()), nil
}

func newSink(t *testing.T, cfg file.Config) *file.Sink {
	t.Helper()
	if cfg.Encode == nil {
		cfg.Encode = encode
	}
	s, err := file.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// names of the files in dir.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestContract(t *testing.T) {
	sinktest.Run(t, sinktest.Suite{New: func(t *testing.T) sinktest.Destination {
		dir := filepath.Join(t.TempDir(), "tokens")
		mkdir := func(path string) func(*testing.T) {
			return func(t *testing.T) {
				if err := os.Mkdir(path, 0o700); err != nil {
					t.Fatal(err)
				}
			}
		}
		s := newSink(t, file.Config{Path: filepath.Join(dir, "{provider}-{account}.json")})
		path := filepath.Join(dir, "broker-acct.json")
		return sinktest.Destination{
			Sink:   s,
			Appear: mkdir(dir),
			Lose: func(t *testing.T) {
				for _, name := range names(t, dir) {
					if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
						t.Fatal(err)
					}
				}
			},
			Received: func(t *testing.T) []string {
				var all []string
				for _, name := range names(t, dir) {
					if strings.HasPrefix(name, ".") { // it is about to be put there
						continue
					}
					b, err := os.ReadFile(filepath.Join(dir, name))
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, string(b))
				}
				return all
			},
			Mend: func(t *testing.T) {
				s.On(nil)
				if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
					if err := os.Remove(path); err != nil {
						t.Fatal(err)
					}
				}
				if info, err := os.Stat(dir); err != nil || !info.IsDir() {
					_ = os.Remove(dir)
					mkdir(dir)(t)
				}
			},
			Faults: map[string]sinktest.Fault{
				"no room for anything": {Case: sinktest.FullDisk, Set: func(t *testing.T) {
					d := filestest.New(t, dir)
					d.Fail(1, syscall.ENOSPC, true)
					s.On(d)
				}},
				"no room for the second operation": {Case: sinktest.FullDisk, Set: func(t *testing.T) {
					d := filestest.New(t, dir)
					d.Fail(2, syscall.ENOSPC, true)
					s.On(d)
				}},
				"a reader holds the old one open and locked": {Case: sinktest.SlowReader, Harmless: true, Set: func(t *testing.T) {
					if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
						t.Fatal(err)
					}
					reader, err := os.Open(path)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() {
						if b, err := io.ReadAll(reader); string(b) != "old" {
							t.Errorf("the reader saw %q, %v", b, err)
						}
						_ = reader.Close()
					})
					if err := syscall.Flock(int(reader.Fd()), syscall.LOCK_SH); err != nil {
						t.Fatal(err)
					}
				}},
				"a directory is there": {Set: mkdir(path)},
				"a link is there": {Set: func(t *testing.T) {
					if err := os.Symlink("/dev/null", path); err != nil {
						t.Fatal(err)
					}
				}},
				"the directory is a file": {Set: func(t *testing.T) {
					if err := errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
						t.Fatal(err)
					}
				}},
			},
		}
	}, Never: map[sinktest.Case]string{
		sinktest.HTTPRedirect: noAnswer, sinktest.HTTPClientError: noAnswer, sinktest.HTTPServerError: noAnswer,
		sinktest.ResetInAnswer: noAnswer, sinktest.LateAnswer: noAnswer, sinktest.NoAck: noAnswer, sinktest.WrongAck: noAnswer,
		sinktest.Hang:    "the kernel lets nobody leave an operation on a disk that hangs; the worker goes on without it",
		sinktest.Notices: "a file is one account's newest token, and is read as that",
	}})
}

// noAnswer is why much can't happen to files.
const noAnswer = "a file answers nothing"

func TestModeAndOwner(t *testing.T) {
	root := os.Getuid() == 0
	for name, c := range map[string]struct {
		existing fs.FileMode // 0: none
		uid, gid int         // of the existing file
		cfg      file.Config
		mode     fs.FileMode
		wantUID  int
		wantGID  int
		asRoot   bool
	}{
		"new file":             {mode: 0o600, wantUID: os.Getuid(), wantGID: os.Getgid()},
		"new file, mode set":   {cfg: file.Config{Mode: 0o644}, mode: 0o644, wantUID: os.Getuid(), wantGID: os.Getgid()},
		"existing is kept":     {existing: 0o640, uid: 1234, gid: 2345, mode: 0o640, wantUID: 1234, wantGID: 2345, asRoot: true},
		"mode wins":            {existing: 0o644, uid: 1234, gid: 2345, cfg: file.Config{Mode: 0o600}, mode: 0o600, wantUID: 1234, wantGID: 2345, asRoot: true},
		"owner wins":           {existing: 0o640, uid: 1234, gid: 2345, cfg: file.Config{Owner: "77:88"}, mode: 0o640, wantUID: 77, wantGID: 88, asRoot: true},
		"user alone":           {existing: 0o640, uid: 1234, gid: 2345, cfg: file.Config{Owner: "77"}, mode: 0o640, wantUID: 77, wantGID: 2345, asRoot: true},
		"group alone, by name": {existing: 0o640, uid: 1234, gid: 2345, cfg: file.Config{Owner: ":root"}, mode: 0o640, wantUID: 1234, wantGID: 0, asRoot: true},
		"mode is no umask":     {cfg: file.Config{Mode: 0o666}, mode: 0o666, wantUID: os.Getuid(), wantGID: os.Getgid()},
	} {
		t.Run(name, func(t *testing.T) {
			if c.asRoot && !root {
				t.Skip("only root may give files away")
			}
			path := filepath.Join(t.TempDir(), "token")
			if c.existing != 0 {
				if err := errors.Join(os.WriteFile(path, []byte("old"), 0o600), os.Chown(path, c.uid, c.gid), os.Chmod(path, c.existing)); err != nil {
					t.Fatal(err)
				}
			}
			c.cfg.Path = path
			if err := newSink(t, c.cfg).Deliver(t.Context(), sinktest.Bare("a", 1)); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			st := info.Sys().(*syscall.Stat_t)
			if info.Mode().Perm() != c.mode || int(st.Uid) != c.wantUID || int(st.Gid) != c.wantGID {
				t.Errorf("the file has mode %o, owner %d:%d; want %o, %d:%d", info.Mode().Perm(), st.Uid, st.Gid, c.mode, c.wantUID, c.wantGID)
			}
		})
	}
}

func TestReadersSeeWholeFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	long := strings.Repeat("x", 1<<16)
	s := newSink(t, file.Config{Path: path, Encode: func(d format.Document) ([]byte, error) {
		return fmt.Appendf(nil, "<%s%s>", long[:d.Version*100], d.AccessToken.Reveal()), nil
	}})
	if err := s.Deliver(t.Context(), sinktest.Bare("a", 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			b, err := os.ReadFile(path)
			if err != nil || len(b) < 2 || b[0] != '<' || b[len(b)-1] != '>' {
				t.Errorf("a reader saw %d bytes, %v", len(b), err)
				return
			}
		}
	})
	for v := range uint64(50) {
		if err := s.Deliver(t.Context(), sinktest.Bare("a", v+2)); err != nil {
			t.Error(err)
		}
	}
	cancel()
	wg.Wait()
}

// lapsing is a context that ends after it has been asked n times.
type lapsing struct {
	context.Context
	n int
}

func (c *lapsing) Err() error {
	if c.n--; c.n < 0 {
		return context.Canceled
	}
	return nil
}

func TestFailureLeavesEverythingAsItWas(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSink(t, file.Config{Path: path})
	for n := range 2 { // before anything, and when all is written but the rename
		if err := s.Deliver(&lapsing{t.Context(), n}, sinktest.Bare("a", 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if got := names(t, dir); len(got) != 1 {
			t.Errorf("left behind: %v", got)
		}
		if b, _ := os.ReadFile(path); string(b) != "old" {
			t.Errorf("the file holds %q", b)
		}
	}
	if err := s.Deliver(&lapsing{t.Context(), 2}, sinktest.Bare("a", 1)); err != nil {
		t.Error(err)
	}
}

func TestLeftBehindIsSwept(t *testing.T) {
	dir := t.TempDir()
	past := time.Now().Add(-time.Hour)
	for name, old := range map[string]bool{
		".token.123.tmp": true, ".token.456.tmp": false, ".token.x1.tmp": true, ".other.123.tmp": true, "token.tmp": true,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if old {
			if err := os.Chtimes(path, past, past); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := newSink(t, file.Config{Path: filepath.Join(dir, "token")})
	if err := s.Deliver(t.Context(), sinktest.Bare("a", 1)); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(names(t, dir)), "[.other.123.tmp .token.456.tmp .token.x1.tmp token token.tmp]"; got != want {
		t.Errorf("there is %s, want %s", got, want)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	err := newSink(t, file.Config{Path: filepath.Join(dir, "no", "token")}).Deliver(t.Context(), sinktest.Bare("a", 1))
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "no")+": create it") {
		t.Errorf("a missing directory: %v", err)
	}
	s := newSink(t, file.Config{Path: filepath.Join(dir, "token"), Encode: func(format.Document) ([]byte, error) { return nil, errors.New("no login time") }})
	if err := s.Deliver(t.Context(), sinktest.Bare("a", 1)); !errors.Is(err, sink.ErrRefused) {
		t.Errorf("a document that can't be encoded: %v", err)
	}
	if err := newSink(t, file.Config{Path: filepath.Join(dir, "{account}")}).Deliver(t.Context(), sinktest.Bare("../x", 1)); !errors.Is(err, sink.ErrRefused) {
		t.Errorf("a name that leads elsewhere: %v", err)
	}
	for name, cfg := range map[string]file.Config{
		"no path":             {Encode: encode},
		"no format":           {Path: "x"},
		"unknown placeholder": {Path: "{acount}", Encode: encode},
		"unknown user":        {Path: "x", Encode: encode, Owner: "no-such-user"},
		"unknown group":       {Path: "x", Encode: encode, Owner: "root:no-such-group"},
		"odd mode":            {Path: "x", Encode: encode, Mode: fs.ModeSetuid | 0o600},
	} {
		if _, err := file.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
