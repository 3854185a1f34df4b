package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// obstacle says what would let the last step fail, the rename over path,
// although a file can be made beside it. What it can't find out is none.
func obstacle(path string) error {
	dir := filepath.Dir(path)
	folder, err := look(dir)
	if err != nil {
		return nil // what is tried next words it better
	}
	if folder.Attributes&unix.STATX_ATTR_APPEND != 0 {
		return fmt.Errorf("the directory %s only lets files be added (chattr +a): nothing in it can be replaced until chattr -a %s", dir, dir)
	}
	file, err := look(path)
	if err != nil {
		return nil
	}
	switch {
	case mounted(path, file):
		return errMounted(dir)
	case file.Attributes&unix.STATX_ATTR_IMMUTABLE != 0:
		return fmt.Errorf("it is immutable (chattr +i): it can't be replaced until chattr -i %s", path)
	case file.Attributes&unix.STATX_ATTR_APPEND != 0:
		return fmt.Errorf("it can only be appended to (chattr +a): it can't be replaced until chattr -a %s", path)
	case folder.Mode&unix.S_ISVTX != 0 && !mayReplaceAnothers(file.Uid, folder.Uid):
		return fmt.Errorf("it belongs to user %d, and the directory %s is sticky, so that only that user may replace it: "+
			"give the file to the user that runs Tokenkeeper, or move it into a directory of its own", file.Uid, dir)
	}
	return nil
}

func look(path string) (st unix.Statx_t, err error) {
	err = unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW|unix.AT_STATX_DONT_SYNC, unix.STATX_BASIC_STATS, &st)
	return st, err
}

// errMounted is about a file that has been mounted by itself.
func errMounted(dir string) error {
	return fmt.Errorf("it is mounted as a single file, which can't be replaced (a rename over it fails with EBUSY): "+
		"mount the folder, not the file (with Docker: -v DIR:%s)", dir)
}

// mounted says whether something is mounted on the file at path, here. Neither
// its device nor its mount's number would tell for certain: on overlayfs files
// have another device than their folder.
func mounted(path string, st unix.Statx_t) bool {
	if st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
	}
	// Before Linux 5.8 only the list of mounts tells (proc_pid_mountinfo(5)).
	path, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	list, err := os.ReadFile("/proc/self/mountinfo")
	return err == nil && inMounts(string(list), path)
}

// inMounts looks for a mount point, in which the list writes spaces and the
// like as octal numbers.
func inMounts(list, path string) bool {
	const at = 4
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		if len(f) <= at {
			continue
		}
		for _, c := range []string{" ", "\t", "\n", `\`} {
			f[at] = strings.ReplaceAll(f[at], `\`+fmt.Sprintf("%03s", strconv.FormatInt(int64(c[0]), 8)), c)
		}
		if f[at] == path {
			return true
		}
	}
	return false
}

// mayReplaceAnothers says whether we may replace a file in a sticky folder.
func mayReplaceAnothers(owner, folders uint32) bool {
	if us := uint32(os.Geteuid()); us == owner || us == folders {
		return true
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData // of 32 capabilities each
	err := unix.Capget(&head, &sets[0])
	return err == nil && sets[0].Effective&(1<<unix.CAP_FOWNER) != 0
}

// isMounted says whether err is the rename's over a mounted file.
func isMounted(err error) bool { return errors.Is(err, unix.EBUSY) }
