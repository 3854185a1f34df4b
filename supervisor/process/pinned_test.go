package process

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// TestPinnedProgramIsTheOneThatRuns: while somebody exchanges the program as
// fast as he can, what runs is always the one whose checksum was demanded.
func TestPinnedProgramIsTheOneThatRuns(t *testing.T) {
	truth, err := os.ReadFile(lookPath(t, "true"))
	if err != nil {
		t.Fatal(err)
	}
	lie, err := os.ReadFile(lookPath(t, "false"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(truth, lie) {
		t.Skip("true and false are one program here")
	}
	for name, programs := range map[string][2][]byte{
		"a program": {truth, lie},
		"a script":  {[]byte("#!/bin/sh\nexit 0\n"), []byte("#!/bin/sh\nexit 1\n")},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "program")
			for n, content := range programs {
				if err := filestest.WriteProgram(path+[]string{".right", ".wrong"}[n], content, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Link(path+".right", path); err != nil {
				t.Fatal(err)
			}
			sum, err := checksum(path)
			if err != nil {
				t.Fatal(err)
			}
			var swapped atomic.Int64
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() { // faster than any process
				defer close(stopped)
				for n := int64(0); ; n = swapped.Add(1) {
					select {
					case <-stop:
						return
					default:
					}
					for _, which := range []string{".wrong", ".right"} {
						_ = os.Link(path+which, path+".next")
						_ = os.Rename(path+".next", path)
						_ = os.Remove(path + ".next") // two names of one file are not renamed
						if n%8 == 0 {
							_ = os.Remove(path) // and, as ln -f does, with a moment without any
							_ = os.Link(path+which, path)
						}
					}
				}
			}()
			defer func() { close(stop); <-stopped }()
			ran, refused, late := 0, 0, waittest.Late(t)
			// Each has an even chance to meet the other program, unless the swapper does not
			// run on a busy machine: then what stands there is met again and again.
			for ran < 20 || refused < 20 || ran+refused < 200 || swapped.Load() < 200 {
				select {
				case <-late:
					t.Fatalf("swapped %d times, ran %d, refused %d: it proves nothing", swapped.Load(), ran, refused)
				default:
				}
				cmd, pinned, err := Command{Name: "p", Path: path, SHA256: sum}.program()
				var fault *Fault
				switch {
				case errors.As(err, &fault) && fault.Kind == WrongChecksum:
					refused++
					continue
				case err != nil: // it was not there for a moment
					continue
				}
				cmd.ExtraFiles = []*os.File{pinned, pinned, pinned} // the last is pinnedFD
				if err := cmd.Run(); err != nil {
					t.Fatalf("the other program ran: %v", err)
				}
				_ = pinned.Close()
				ran++
			}
			t.Logf("ran %d, refused %d", ran, refused)
		})
	}
}

func lookPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(err)
	}
	return path
}

// TestPinnedPluginIsServed: a pinned program is launched, knows its own name, and
// has its lifeline and its locks; a pinned script starts its interpreter, and is
// told to be one.
func TestPinnedPluginIsServed(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "script")
	if err := filestest.WriteProgram(script, []byte("#! /bin/sh -e\nexec "+self+" provider\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, interpreter := range map[string]string{self: "", script: "/bin/sh"} {
		sum, err := checksum(path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := waittest.Context(context.Background(), waittest.Patience)
		defer cancel()
		info, err := Inspect(ctx, Command{Name: "real", Path: path, Args: []string{"provider"}, SHA256: sum})
		if err != nil || info.Description.Version != "v1" || info.Interpreter != interpreter {
			t.Errorf("%s: %+v, %v", path, info, err)
		}
		in, err := Command{Name: "real", Path: path, Args: []string{"provider"}, SHA256: sum}.launch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		comm, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(in.child.pid()), "comm"))
		if name := strings.TrimSpace(string(comm)); err != nil || interpreter == "" && !strings.HasPrefix(filepath.Base(self), name) {
			t.Errorf("the process is called %q, %v", name, err)
		}
		in.End(time.Second)
	}
}

// checksum is the SHA-256 of the file at path in hexadecimal.
func checksum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return Command{}.verify(path, f)
}
