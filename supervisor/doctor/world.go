package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lockholder"
)

// World is what is seen of the machine and of what is beyond it. Tests see another one.
type World struct {
	// Look asks a token endpoint, without anything of the account.
	Look func(ctx context.Context, a sdk.Account, address string) (oauth.Sight, error)
	// Synchronized says whether something keeps the clock right.
	Synchronized func() (bool, error)
	// Room is what is left of the file system of a path.
	Room    func(path string) (Room, error)
	Holders func(path string) lockholder.Holders
	// Service are the properties of a service that systemd knows; none: there is no
	// systemd, or no such service.
	Service func(ctx context.Context, name string) (map[string]string, error)
	// Features are what the kernel is asked for, each with its answer.
	Features func() []Feature
}

// Room is what is left of a file system.
type Room struct {
	Bytes uint64
	// Inodes is how many files can be made; -1: the file system does not count them.
	Inodes int64
}

// Feature is something that the code asks of the kernel, and what it is for.
type Feature struct {
	Name, For string
	Err       error
}

// Here is the world as it is.
func Here() World {
	return World{
		Look: (&oauth.Client{}).Look, Synchronized: synchronized, Room: room, Holders: lockholder.Find,
		Service: service, Features: features,
	}
}

// synchronized asks the kernel, which chrony, ntpd and systemd tell (adjtimex(2)), and
// looks for the file that systemd-timesyncd(8) writes.
func synchronized() (bool, error) {
	if _, err := os.Stat("/run/systemd/timesync/synchronized"); err == nil {
		return true, nil
	}
	var t unix.Timex // asks, and sets nothing
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, os.NewSyscallError("adjtimex", err)
	}
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, nil
}

func room(path string) (Room, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return Room{}, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	r := Room{Bytes: st.Bavail * uint64(st.Bsize), Inodes: -1}
	if st.Files > 0 {
		r.Inodes = int64(st.Ffree)
	}
	return r, nil
}

// properties that are asked for (systemctl(1), "show").
const properties = "LoadState,UnitFileState,ActiveState,SubState,Result,ExecMainStatus,NRestarts,KillMode,TimeoutStopUSec,MainPID,NeedDaemonReload,ExecStart"

func service(ctx context.Context, name string) (map[string]string, error) {
	if info, err := os.Stat("/run/systemd/system"); err != nil || !info.IsDir() { // sd_booted(3)
		return nil, nil
	}
	out, err := exec.CommandContext(ctx, "systemctl", "show", "--no-pager", "--property="+properties, "--", name).Output()
	if err != nil {
		return nil, fmt.Errorf("systemd does not tell of the service %s: %w", name, err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			all[key] = value
		}
	}
	if all["LoadState"] == "not-found" {
		return nil, nil
	}
	return all, nil
}

func features() []Feature {
	try := func(name, what string, call func() (int, error)) Feature {
		fd, err := call()
		if err == nil {
			_ = unix.Close(fd)
		}
		return Feature{name, what, err}
	}
	all := []Feature{
		try("pidfd_open", "the processes of plugins are watched and ended by it", func() (int, error) { return unix.PidfdOpen(os.Getpid(), 0) }),
		try("memfd_create", "exec --fd gives a program its token in such a file", func() (int, error) { return unix.MemfdCreate("tokenkeeper", unix.MFD_CLOEXEC) }),
		try("inotify_init1", "files of sinks and shared files are watched by it", func() (int, error) { return unix.InotifyInit1(unix.IN_CLOEXEC) }),
	}
	_, err := os.Stat("/proc/self/exe")
	if err != nil && errors.Is(err, os.ErrNotExist) {
		err = errors.New("/proc is not mounted")
	}
	return append(all, Feature{"/proc", "built-in providers are started from it, and who holds a lock stands in it", err})
}
