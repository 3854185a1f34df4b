package idle

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// dropText takes the program's pages out of this process's page tables. Its
// start needed most of them once; those that are needed again come back from
// the page cache, sixteen at a time, for about a microsecond.
func dropText() {
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return // it stays as it is, which harms nobody
	}
	for _, m := range unchanged(string(maps)) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.length, unix.MADV_DONTNEED)
	}
}

// mapping is a piece of this process's memory.
type mapping struct{ start, length uintptr }

// unchanged returns the mapped files that can't be written and of which no page
// was ever copied (proc_pid_smaps(5)). Nothing can be lost there; elsewhere it
// might be: in a position-independent program even constants were relocated.
func unchanged(smaps string) (found []mapping) {
	var m mapping
	for line := range strings.Lines(smaps) {
		fields := strings.Fields(line)
		switch {
		case len(fields) >= 5 && !strings.HasSuffix(fields[0], ":"):
			m = mapping{}
			if perms, inode := fields[1], fields[4]; strings.HasPrefix(perms[1:], "-") && inode != "0" {
				m = parseMapping(fields[0])
			}
		case len(fields) >= 2 && fields[0] == "Anonymous:" && fields[1] == "0" && m.length > 0:
			found = append(found, m)
		}
	}
	return found
}

// parseMapping reads two hexadecimal addresses; the length is 0 if they are
// none.
func parseMapping(addresses string) mapping {
	from, to, _ := strings.Cut(addresses, "-")
	start, err := strconv.ParseUint(from, 16, strconv.IntSize)
	end, err2 := strconv.ParseUint(to, 16, strconv.IntSize)
	if err != nil || err2 != nil || end <= start {
		return mapping{}
	}
	return mapping{uintptr(start), uintptr(end - start)}
}
