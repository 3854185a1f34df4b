package idle

import (
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// drop takes files' pages out of this process's page tables. Its start needed most
// of the program's once; those that are needed again come back from the page cache,
// sixteen at a time, for about a microsecond.
func drop(files []mapping) {
	for _, m := range files {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.length, unix.MADV_DONTNEED)
	}
}

// mapped are the files of which nothing is lost when their pages are dropped at once.
func mapped() []mapping {
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return nil // they stay as they are, which harms nobody
	}
	return unchanged(string(maps))
}

// program are those of the mappings that are the program itself. They alone stay
// where they are for as long as the process lives, and may be dropped later, too.
func program(files []mapping) []mapping {
	here := reflect.ValueOf(program).Pointer()
	ours := slices.IndexFunc(files, func(m mapping) bool { return here-m.start < m.length })
	if ours < 0 {
		return nil
	}
	file := files[ours].file
	return slices.DeleteFunc(slices.Clone(files), func(m mapping) bool { return m.file != file })
}

// mapping is a piece of this process's memory, and the number of the file there.
type mapping struct {
	start, length uintptr
	file          string
}

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
				m.file = strings.Clone(fields[3] + " " + inode)
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
	return mapping{start: uintptr(start), length: uintptr(end - start)}
}
