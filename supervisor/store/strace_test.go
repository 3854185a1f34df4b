package store_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// strace runs a scenario in a child under strace(1) and returns what the child
// printed and what strace did.
func strace(t *testing.T, dir, scenario string, args ...string) (out, trace string, err error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(fastDir(t), "trace")
	cmd := exec.Command("strace", append(append([]string{"-f", "-qq", "-o", log}, args...), self)...)
	// strace counts the calls of each thread for itself.
	cmd.Env = append(os.Environ(), childDir+"="+dir, childScenario+"="+scenario, "GOMAXPROCS=1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("%w: %s", err, stderr.String())
	}
	b, _ := os.ReadFile(log)
	return stdout.String(), string(b), err
}

// needStrace skips where no process may be traced.
func needStrace(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("a process for every fault takes a while: not with -short")
	}
	if out, err := exec.Command("strace", "-qq", "-o", "/dev/null", "true").CombinedOutput(); err != nil {
		t.Skipf("system calls can't be made to fail: install strace, and allow ptrace (%v %s)", err, out)
	}
}

const someVersions = 4

// commitSome goes on from what the store has: some versions, a backup, and
// says what became of each. While a write is refused, what was acknowledged
// must be served, and what was not may be held.
func commitSome(dir string) error {
	runtime.LockOSThread()
	ctx := context.Background()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		return err
	}
	r, err := s.Load(ctx, "main")
	if err != nil {
		return err
	}
	fmt.Println("acked", r.Version)
	for range someVersions {
		rec := next("main", r.Version+1)
		fmt.Println("tried", rec.Version)
		switch err := s.Commit(ctx, rec); {
		case err == nil:
			r = rec
			fmt.Println("acked", r.Version)
		case !errors.Is(err, store.ErrDisk):
			return err
		default:
			got, lerr := s.Load(ctx, "main")
			if lerr != nil || got.Version != r.Version && (!got.Held || got.Version != r.Version+1) {
				return fmt.Errorf("version %d is served while %d is the last that was acknowledged (%v)", got.Version, r.Version, lerr)
			}
			herr := s.Hold(ctx, rec)
			if got, lerr = s.Load(ctx, "main"); herr != nil || lerr != nil || !got.Held {
				return fmt.Errorf("holding version %d: %v %v", rec.Version, herr, lerr)
			}
			fmt.Println("refused", rec.Version)
		}
	}
	if err := s.Backup(ctx); err != nil {
		fmt.Println("unbacked 0")
	}
	if err := s.Close(); err != nil && !errors.Is(err, store.ErrDisk) {
		return err
	}
	fmt.Println("done", r.Version)
	return nil
}

// said counts the words that a child printed and returns the last number
// after each.
func said(t *testing.T, out string) (count map[string]int, last map[string]uint64) {
	t.Helper()
	count, last = map[string]int{}, map[string]uint64{}
	lines := bufio.NewScanner(strings.NewReader(out))
	for lines.Scan() {
		var word string
		var n uint64
		if _, err := fmt.Sscan(lines.Text(), &word, &n); err != nil {
			t.Fatalf("the child printed %q", lines.Text())
		}
		count[word]++
		last[word] = n
	}
	return count, last
}

// Every single system call that makes something durable fails, once and from
// then on, with the errors that disks give. A fault that passes costs no
// commit; one that stays lets nothing be acknowledged that is not durable.
func TestEverySystemCallFails(t *testing.T) {
	needStrace(t)
	calls := "pwrite64,fdatasync,fsync,ftruncate,fallocate,linkat,renameat,unlinkat,mkdirat"
	base := filepath.Join(fastDir(t), "state")
	s, err := store.Open(base, store.Options{})
	must(t, err)
	commit(t, s, "main", 1, 2)
	must(t, s.Close())
	fresh := func() string {
		dir := filepath.Join(fastDir(t), "state")
		must(t, errors.Join(os.CopyFS(dir, os.DirFS(base)), os.Chmod(dir, 0o700), os.Chmod(filepath.Join(dir, store.FileName), 0o600)))
		return dir
	}
	_, trace, err := strace(t, fresh(), "faults", "-e", "trace="+calls)
	must(t, err)
	points, refused := 0, 0
	for call, faults := range map[string][]string{
		"pwrite64": {"ENOSPC", "EIO", "EROFS"}, "fdatasync": {"EIO", "ENOSPC"}, "fsync": {"EIO"}, "ftruncate": {"ENOSPC", "EROFS"},
		"fallocate": {"EOPNOTSUPP"}, "linkat": {"EPERM"}, "renameat": {"EIO"}, "unlinkat": {"EROFS"}, "mkdirat": {"ENOSPC"},
	} {
		n := strings.Count(trace, " "+call+"(")
		for at := 1; at <= n; at++ {
			for _, fault := range faults {
				for _, stays := range []string{"", "+"} {
					points++
					inject := fmt.Sprintf("%s:error=%s:when=%d%s", call, fault, at, stays)
					refused += checkFault(t, fresh(), inject, stays == "")
				}
			}
		}
	}
	t.Logf("%d faults, %d commits refused", points, refused)
	if points < 50 || refused < 50 {
		t.Error("hardly any system call was hit")
	}
}

// checkFault returns how many commits the child was refused.
func checkFault(t *testing.T, dir, inject string, passes bool) int {
	t.Helper()
	out, _, err := strace(t, dir, "faults", "-e", "trace="+strings.Split(inject, ":")[0], "-e", "inject="+inject)
	if err != nil {
		t.Errorf("%s: %v", inject, err)
		return 0
	}
	count, last := said(t, out)
	if count["done"] != 1 || passes && count["refused"] > 0 {
		t.Errorf("%s: %s", inject, strings.ReplaceAll(out, "\n", "; "))
	}
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Errorf("%s: reopened: %v", inject, err)
		return 0
	}
	defer func() { _ = s.Close() }()
	r, err := s.Load(t.Context(), "main")
	if err != nil || r.Version < last["acked"] || r.Version > last["tried"] || s.Restored() != nil {
		t.Errorf("%s: version %d is stored (%v), %d was acknowledged and %d tried; restored: %+v",
			inject, r.Version, err, last["acked"], last["tried"], s.Restored())
	}
	wantVersion(t, s, "main", r.Version)
	return count["refused"]
}
