package fdstore

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// manager is the service manager's end.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

func newManager(t *testing.T) manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return manager{t, conn}
}

// hears returns one message and the descriptors with it.
func (m manager) hears() (lines []string, fds []int) {
	m.t.Helper()
	text, rights := make([]byte, 512), make([]byte, 256)
	waittest.Limit(m.t, m.conn)
	n, oob, _, _, err := m.conn.ReadMsgUnix(text, rights)
	if err != nil {
		m.t.Fatal(err)
	}
	if messages, err := unix.ParseSocketControlMessage(rights[:oob]); err == nil && len(messages) > 0 {
		if fds, err = unix.ParseUnixRights(&messages[0]); err != nil {
			m.t.Fatal(err)
		}
	}
	return strings.Split(string(text[:n]), "\n"), fds
}

func TestPutAndRemove(t *testing.T) {
	m := newManager(t)
	s := Open()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	name, err := s.Put("lock-main", int(f.Fd()))
	if err != nil || !strings.HasPrefix(name, "lock-main@") {
		t.Fatalf("%q, %v", name, err)
	}
	lines, fds := m.hears()
	if got := strings.Join(lines, " "); got != "FDSTORE=1 FDPOLL=0 FDNAME="+name || len(fds) != 1 {
		t.Errorf("the manager heard %q, with %d descriptors", got, len(fds))
	}
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
	if err := s.Remove(name); err != nil {
		t.Fatal(err)
	}
	if lines, _ := m.hears(); strings.Join(lines, " ") != "FDSTOREREMOVE=1 FDNAME="+name {
		t.Errorf("the manager heard %q", lines)
	}
}

// What the manager passes is had once, with its name and age, and is not left to
// the processes that are started next.
func TestReceived(t *testing.T) {
	m := newManager(t)
	one, err := os.Create(filepath.Join(t.TempDir(), "one"))
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run='^TestReceivedInside$' -test.v`, self)
	cmd.ExtraFiles = []*os.File{one, one}
	cmd.Env = append(os.Environ(), "LISTEN_FDS=2", "LISTEN_FDNAMES=lock-main@1700000000:stored", insideVariable+"="+one.Name())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestReceivedInside") {
		t.Fatalf("%v\n%s", err, out)
	}
	if lines, _ := m.hears(); strings.Join(lines, " ") != "FDSTOREREMOVE=1 FDNAME=stored" {
		t.Errorf("the manager heard %q", lines)
	}
}

const insideVariable = "FDSTORE_TEST_FILE"

// TestReceivedInside is the process that is passed descriptors.
func TestReceivedInside(t *testing.T) {
	path := os.Getenv(insideVariable)
	if path == "" {
		return // it is TestReceived that starts it
	}
	s := Open()
	all := s.Received()
	if len(all) != 2 || len(s.Received()) != 0 {
		t.Fatalf("received %+v", all)
	}
	if f := all[0]; f.Name != "lock-main" || f.At.Unix() != 1700000000 || f.Full() != "lock-main@1700000000" {
		t.Errorf("the first is %+v", f)
	}
	if info, err := all[0].File.Stat(); err != nil || info.Name() == "" {
		t.Error(err)
	}
	out, err := exec.Command("/bin/sh", "-c", "ls -l /proc/self/fd; echo $LISTEN_FDS$LISTEN_PID").CombinedOutput()
	if err != nil || strings.Contains(string(out), path) || !strings.HasSuffix(string(out), "\n\n") {
		t.Errorf("a child has, %v:\n%s", err, out)
	}
	if err := s.Drop(all[1]); err != nil {
		t.Error(err)
	}
}

func TestNobodyKeepsAnything(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	s := Open()
	if s != nil || s.Received() != nil || s.Close() != nil {
		t.Error("there is a store without a service manager")
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	if _, err := Open().Put("x", 0); err == nil {
		t.Error("a manager that has gone was told")
	}
}
