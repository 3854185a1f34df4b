package client_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/client"
	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
)

// TestOnlyTheSupervisorIsAsked opens the control socket as another user: in a
// folder for everybody he is a stranger, in his own he is the supervisor's user.
func TestOnlyTheSupervisorIsAsked(t *testing.T) {
	usertest.NeedsRoot(t)
	for name, tc := range map[string]struct {
		mode     fs.FileMode
		owner    int
		users    []string
		stranger bool
	}{
		"in a folder for everybody":               {fs.ModeSticky | 0o777, 0, nil, true},
		"in a folder for everybody, and named":    {fs.ModeSticky | 0o777, 0, []string{strconv.Itoa(usertest.Stranger)}, false},
		"in a folder for everybody, others named": {fs.ModeSticky | 0o777, 0, []string{"root", "nobody-of-this-machine", "1"}, true},
		"in his own":                      {0o755, usertest.Stranger, nil, false},
		"in his own, which others change": {0o775, usertest.Stranger, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			// Not in the folder of temporary files, where everybody may write.
			top, err := os.MkdirTemp("/run", "tk-")
			if err != nil {
				t.Skipf("no folder that only root can change: %v", err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(top) })
			dir := filepath.Join(top, "s")
			if err := errors.Join(os.Chmod(top, 0o755), os.Mkdir(dir, 0o700), os.Chown(dir, tc.owner, tc.owner), os.Chmod(dir, tc.mode)); err != nil {
				t.Fatal(err)
			}
			l := usertest.Listen(t, filepath.Join(dir, "c"), usertest.Stranger)
			heard := make(chan int, 1)
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				n, _ := io.ReadAtLeast(conn, make([]byte, 4096), 1)
				_ = conn.Close()
				heard <- n
			}()
			// A link of his own leads nobody anywhere, and he is not even connected to.
			link := filepath.Join(top, "link")
			if err := errors.Join(os.Symlink(dir, link), os.Lchown(link, usertest.Stranger, usertest.Stranger)); err != nil {
				t.Fatal(err)
			}
			led := client.New(filepath.Join(link, "c"))
			defer led.Close()
			if _, err := led.Token(t.Context(), "a"); !errors.Is(err, client.ErrStranger) || !strings.Contains(err.Error(), "realpath") {
				t.Errorf("by a link of his: %v", err)
			}
			c := client.New(filepath.Join(dir, "c"), client.WithUsers(tc.users...))
			defer c.Close()
			_, err = c.Token(t.Context(), "a")
			if errors.Is(err, client.ErrStranger) != tc.stranger || (<-heard == 0) != tc.stranger {
				t.Errorf("the client says: %v", err)
			}
		})
	}
}

// TestFolderOfTheSupervisor: a bot that is neither root nor the supervisor's user asks
// whoever owns the socket's folder, and nobody whom others could have let in there.
func TestFolderOfTheSupervisor(t *testing.T) {
	if socket := os.Getenv("TOKENKEEPER_TEST_SOCKET"); socket != "" { // this is the bot
		_, err := client.New(socket).Token(t.Context(), "a")
		if errors.Is(err, client.ErrStranger) {
			fmt.Println("a stranger")
		}
		return
	}
	usertest.NeedsRoot(t)
	const keeper, bot = usertest.Stranger, usertest.Stranger + 1
	for _, tc := range []struct {
		mode     fs.FileMode
		owner    int
		stranger bool
	}{{0o711, keeper, false}, {0o755, keeper, false}, {0o775, keeper, true}, {0o755, 0, true}, {fs.ModeSticky | 0o777, keeper, true}} {
		top, err := os.MkdirTemp("/run", "tk-")
		if err != nil {
			t.Skipf("no folder that only root can change: %v", err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(top) })
		dir := filepath.Join(top, "s")
		if err := errors.Join(os.Chmod(top, 0o755), os.Mkdir(dir, 0o700), os.Chown(dir, keeper, keeper)); err != nil {
			t.Fatal(err)
		}
		l := usertest.Listen(t, filepath.Join(dir, "c"), keeper)
		if err := errors.Join(os.Chown(dir, tc.owner, tc.owner), os.Chmod(dir, tc.mode), os.Chmod(filepath.Join(dir, "c"), 0o666)); err != nil {
			t.Fatal(err)
		}
		heard := make(chan int, 1)
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			n, _ := io.ReadAtLeast(conn, make([]byte, 4096), 1)
			_ = conn.Close()
			heard <- n
		}()
		cmd := exec.Command("/proc/self/exe", "-test.run", "^TestFolderOfTheSupervisor$")
		cmd.Dir, cmd.Env = "/", []string{"TOKENKEEPER_TEST_SOCKET=" + filepath.Join(dir, "c")}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: bot, Gid: bot}}
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), "a stranger") != tc.stranger || (<-heard == 0) != tc.stranger {
			t.Errorf("%s of user %d: %v\n%s", tc.mode, tc.owner, err, out)
		}
	}
}

// A name is that of the machine's users.
func TestSupervisorsUserByName(t *testing.T) {
	usertest.NeedsRoot(t)
	const nobody = 65534
	u, err := user.LookupId(strconv.Itoa(nobody))
	if err != nil {
		t.Skipf("this machine has no user of that number: %v", err)
	}
	dir, err := os.MkdirTemp("", "tk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, fs.ModeSticky|0o777); err != nil {
		t.Fatal(err)
	}
	l := usertest.Listen(t, filepath.Join(dir, "c"), nobody)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	for name, stranger := range map[string]bool{u.Username: false, "root": true, u.Username + "x": true} {
		c := client.New(filepath.Join(dir, "c"), client.WithUsers(name))
		if _, err := c.Token(t.Context(), "a"); errors.Is(err, client.ErrStranger) != stranger {
			t.Errorf("trusting %q: %v", name, err)
		}
		c.Close()
	}
}
