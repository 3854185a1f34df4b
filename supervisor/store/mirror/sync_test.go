package mirror

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
)

// told counts what a mirror tells.
type told struct {
	mu                           sync.Mutex
	faults, recovered, displaced int
}

func (n *told) add(t Trouble) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case t.Displaced:
		n.displaced++
	case t.Recovered:
		n.recovered++
	default:
		n.faults++
	}
}

func (n *told) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return fmt.Sprintf("%d faults, %d ends, %d displaced", n.faults, n.recovered, n.displaced)
}

// A fresh file whose directory was not synced is not gone on in, and neither is the one
// before, of which a power loss may bring either back: another is written, until the
// directory is synced. Nobody is said to have put it there.
func TestDirectoryThatIsNotSynced(t *testing.T) {
	for fails, want := range map[int]string{1: "1 faults, 1 ends, 0 displaced", 3: "1 faults, 1 ends, 0 displaced"} {
		t.Run(fmt.Sprint(fails), func(t *testing.T) {
			n := &told{}
			m := begin(t, Options{Trouble: n.add})
			synctest.Test(t, func(t *testing.T) {
				left := fails
				m.at.syncDir = func(dir string) error {
					if left--; left >= 0 {
						return unix.EIO
					}
					return syncDir(dir)
				}
				m.Smallest = 1
				value := []byte("0")
				for left == fails { // until it is made shorter
					value = append(value, '1')
					if err := m.Update(map[string][]byte{"key": value}); err != nil {
						t.Fatal(err)
					}
				}
				if (m.Fault() == nil) != (fails == 1) {
					t.Errorf("fault: %v", m.Fault())
				}
				m.Smallest = 1 << 30
				for left > 0 {
					if err := m.Update(map[string][]byte{"key": []byte("refused")}); !errors.Is(err, ErrDisk) {
						t.Errorf("where nothing is durable: %v", err)
					}
					time.Sleep(RetryAfter)
				}
				value = append(value, '2')
				if err := m.Update(map[string][]byte{"key": value}); err != nil || m.Fault() != nil || m.displaced() != nil {
					t.Errorf("%v, fault: %v, displaced: %v", err, m.Fault(), m.displaced())
				}
				if n.String() != want {
					t.Errorf("told %s, want %s", n, want)
				}
				if err := m.Close(); err != nil {
					t.Fatal(err)
				}
				img, err := journal.Read(m.at.file())
				if err != nil || !img.Good() {
					t.Fatal(err, img.Err)
				}
				defer img.Close()
				for key, stored := range img.All() {
					if key != "key" || !bytes.Equal(stored, value) {
						t.Errorf("%s: %s, want %s", key, stored, value)
					}
				}
				if failed, _ := filepath.Glob(m.at.file() + ".failed-*"); len(failed) == 0 {
					t.Error("what was in the place is not kept")
				}
			})
		})
	}
}

// Whoever removes the directory of a store goes on for a moment: what is written meanwhile
// is removed, too. It is written again at once, and no change is refused because of that.
func TestFreshFileThatIsRemovedToo(t *testing.T) {
	for removed := range mostRemoved {
		t.Run(fmt.Sprint(removed), func(t *testing.T) {
			n := &told{}
			m := begin(t, Options{Trouble: n.add})
			left := removed
			m.at.syncDir = func(dir string) error {
				if left--; left >= 0 {
					if err := os.RemoveAll(dir); err != nil {
						t.Error(err)
					}
				}
				return syncDir(dir)
			}
			if err := os.RemoveAll(m.at.dir); err != nil {
				t.Fatal(err)
			}
			if err := m.Update(map[string][]byte{"key": []byte("value")}); err != nil || m.Fault() != nil {
				t.Errorf("%v, fault: %v", err, m.Fault())
			}
			if want := "0 faults, 0 ends, 1 displaced"; n.String() != want {
				t.Errorf("told %s, want %s", n, want)
			}
			if err := journal.Verify(m.at.file(), m.last); err != nil {
				t.Error(err)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Of a write that is over nothing stays told, though it ended in the very moment in which
// it would have been called one that hangs.
func TestNothingStaysToldOfAWriteThatIsOver(t *testing.T) {
	n := &told{}
	m := begin(t, Options{Trouble: n.add})
	synctest.Test(t, func(t *testing.T) {
		for range 500 {
			end := m.watch(hangsAfter)
			time.Sleep(hangsAfter)
			end()
			synctest.Wait()
			if m.Fault() != nil || n.faults != n.recovered {
				t.Fatalf("fault: %v, told %s", m.Fault(), n)
			}
		}
	})
}

// A look that does not come back keeps everybody from writing, and is told like a write: a
// second after it began, and once it is over.
func TestALookThatHangsIsTold(t *testing.T) {
	n := &told{}
	m := begin(t, Options{Trouble: n.add})
	synctest.Test(t, func(t *testing.T) {
		m.at.syncDir = func(dir string) error { time.Sleep(5 * time.Second); return syncDir(dir) }
		if err := os.Remove(m.at.file()); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { defer close(done); m.Look() }()
		time.Sleep(hangsAfter + 100*time.Millisecond)
		if want := "1 faults, 0 ends, 0 displaced"; !errors.Is(m.Fault(), ErrDisk) || n.String() != want {
			t.Errorf("fault: %v, told %s, want %s", m.Fault(), n, want)
		}
		<-done
		if want := "1 faults, 1 ends, 1 displaced"; m.Fault() != nil || n.String() != want {
			t.Errorf("fault: %v, told %s, want %s", m.Fault(), n, want)
		}
		m.at.syncDir = syncDir
	})
}

// mute is a state that can't be laid out for a while, and says how often and for how long
// that was tried.
type mute struct {
	values
	fails bool
	takes time.Duration
	tries int
}

func (s *mute) Values() (map[string][]byte, error) {
	s.tries++
	time.Sleep(s.takes)
	if s.fails {
		return nil, errors.New("it can't be laid out")
	}
	return s.values.Values()
}

// Where there is no file because what was to be in it could not be laid out, that is a fault
// as any other: it is told, and nothing is said to be durable before there is one again.
func TestFileThatCanNotBeLaidOut(t *testing.T) {
	n := &told{}
	m := begin(t, Options{Trouble: n.add})
	synctest.Test(t, func(t *testing.T) {
		s := &mute{values: values{}}
		m.state = s
		harm := func() {
			m.Harm(func(f *journal.File) { f.Fdatasync = func(int) error { return unix.EIO } })
		}
		update := func(value string) error { return m.Update(map[string][]byte{"key": []byte(value)}) }
		// A fault of the disk that is over within a second.
		m.at.syncDir = func(string) error { return unix.EIO }
		harm()
		if err := update("1"); !errors.Is(err, ErrDisk) {
			t.Errorf("no file can be written: %v", err)
		}
		m.at.syncDir = syncDir
		m.Look()
		if err := m.Fault(); err != nil {
			t.Errorf("it can: %v", err)
		}
		harm()
		s.fails = true
		for range 2 {
			if err := update("2"); !errors.Is(err, ErrDisk) || !errors.Is(m.Fault(), ErrDisk) {
				t.Errorf("it can't be laid out: %v, fault: %v", err, m.Fault())
			}
		}
		s.fails = false
		time.Sleep(RetryAfter)
		if err := update("3"); err != nil || m.Fault() != nil || string(s.values["key"]) != "3" {
			t.Errorf("it can: %v, fault: %v, %q", err, m.Fault(), s.values["key"])
		}
	})
	if want := "2 faults, 2 ends, 0 displaced"; n.String() != want {
		t.Errorf("told %s, want %s", n, want)
	}
}

// While the disk takes nothing, the longer a try takes the rarer it is: whoever wants to
// write is refused at once in between.
func TestPauseBetweenTriesGrowsWithThem(t *testing.T) {
	for takes, want := range map[time.Duration]int{0: 60, 500 * time.Millisecond: 12, 2 * time.Second: 4, time.Minute: 2} {
		m := begin(t, Options{})
		synctest.Test(t, func(t *testing.T) {
			s := &mute{values: values{}, fails: true, takes: takes}
			m.state = s
			m.Harm(func(f *journal.File) { f.Fdatasync = func(int) error { return unix.EIO } })
			for began := time.Now(); time.Since(began) < max(time.Minute, 2*takes); {
				if err := m.Update(map[string][]byte{"key": []byte("1")}); !errors.Is(err, ErrDisk) {
					t.Fatalf("it is taken: %v", err)
				}
				time.Sleep(100 * time.Millisecond)
			}
			if s.tries < want-2 || s.tries > want+1 {
				t.Errorf("%d tries of %v each, want %d", s.tries, takes, want)
			}
			s.fails, s.takes = false, 0
		})
	}
}
