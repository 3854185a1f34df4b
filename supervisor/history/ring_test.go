package history

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// put brings one event to the disk.
func put(r ring, e event.Event) error {
	line, err := Line{Event: e}.marshal()
	if err == nil {
		err = r.add(line)
	}
	return err
}

// What stands in the place of one file of the ring costs that part, which is named with what
// to do, and holds up nobody; what goes on being written has its own room.
func TestPartThatIsNoFile(t *testing.T) {
	for what, stand := range map[string]func(path string) error{
		"a named pipe": func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a folder":     func(path string) error { return os.MkdirAll(filepath.Join(path, "inner"), 0o700) },
		"a link":       func(path string) error { return os.Symlink("/dev/zero", path) },
	} {
		for _, name := range []string{beforeName, fileName} {
			t.Run(name+" is "+what, func(t *testing.T) {
				dir := t.TempDir()
				r := ring{dir, 8 << 10}
				line, err := Line{Event: refreshed(1)}.marshal()
				if err == nil {
					err = os.WriteFile(r.path(map[string]string{beforeName: fileName, fileName: beforeName}[name]), line, 0o600)
				}
				if err = errors.Join(err, stand(r.path(name))); err != nil {
					t.Fatal(err)
				}
				past, err := Read(dir, nil)
				if err != nil || len(past.Lines) != 1 || past.Cut != (name == fileName) || len(past.Unread) != 1 ||
					!strings.Contains(past.Unread[0].Error(), r.path(name)+" is "+what+" and no history: move it away") {
					t.Errorf("%+v, %v", past, err)
				}
				taken := r.add(line)
				if name == fileName {
					if taken == nil || !strings.Contains(taken.Error(), what) {
						t.Errorf("it takes a line: %v", taken)
					}
					return
				}
				if err := put(r, event.Event{Time: day, Type: event.Paused, Account: "side", Message: "paused"}); err != nil {
					t.Fatal(err)
				}
				for version := range uint64(100) { // it turns, or can't
					if err := put(r, refreshed(version+2)); err != nil {
						t.Fatal(err)
					}
					if info, err := os.Stat(r.path(fileName)); err != nil || info.Size() > r.half {
						t.Fatalf("%v, %v", info, err)
					}
				}
				past, err = Read(dir, nil)
				if err != nil || past.Lines[len(past.Lines)-1].Version != 101 || !slices.ContainsFunc(past.Lines, func(l Line) bool { return l.Type == event.Paused }) {
					t.Errorf("%d lines, %v", len(past.Lines), err)
				}
			})
		}
	}
}
