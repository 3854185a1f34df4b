package trust

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestUnmappedOwner judges in a user namespace in which a folder's owner has no
// number, as in a rootless container: it is trusted, and told; one who has a number
// is judged as ever.
func TestUnmappedOwner(t *testing.T) {
	const inNamespace = "TRUST_TEST_IN_NAMESPACE"
	if dir := os.Getenv(inNamespace); dir != "" { // the child, which starts nobody
		judge := Here()
		grounds, err := judge.Examine(filepath.Join(dir, "theirs", "f"), Rule{})
		if err != nil || len(grounds.Unknown) == 0 || grounds.Owner != nil {
			t.Errorf("%+v, %v", grounds, err)
		}
		if text := judge.Describe(grounds); !strings.Contains(text, "theirs is not known in this user namespace") {
			t.Errorf("told as %q", text)
		}
		if _, err := judge.Examine(filepath.Join(dir, "theirs", "f"), Rule{Steers: true}); err != nil {
			t.Errorf("what steers: %v", err)
		}
		var refusal *Refusal
		if _, err := judge.Examine(filepath.Join(dir, "open", "f"), Rule{Steers: true}); !errors.As(err, &refusal) {
			t.Errorf("a folder for everybody: %v", err)
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can make folders of other users")
	}
	dir := place(t)
	for _, name := range []string{"theirs", "open"} {
		must(t, errors.Join(os.Mkdir(filepath.Join(dir, name), 0o755), os.WriteFile(filepath.Join(dir, name, "f"), nil, 0o644)))
	}
	must(t, errors.Join(os.Chown(filepath.Join(dir, "theirs"), 34567, 34567), os.Chmod(filepath.Join(dir, "open"), 0o777)))
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestUnmappedOwner$", "-test.v")
	child.Env = append(os.Environ(), inNamespace+"="+dir)
	own := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: own, GidMappings: own}
	out, err := child.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) {
		t.Skipf("this machine lets nobody make a user namespace: %v", err)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: TestUnmappedOwner") {
		t.Errorf("%v\n%s", err, out)
	}
}
