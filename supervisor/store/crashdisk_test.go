package store_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// crashDisk replays the system calls of a process, as strace(1) tells them, on
// a disk that forgets: what was not synced may be gone after a crash.
type crashDisk struct {
	root string
	// open files by number; a directory has no file.
	open map[int]handle
	// now is what the process sees, durable what has been synced.
	now, durable map[string]*crashFile
	// moves of names since the last sync of their directory.
	moves []nameChange
	// printed is what the process wrote to its standard output.
	printed bytes.Buffer
	// torn counts the writes of which a crash has left a part.
	torn int
	// started are calls that a call of another thread came between.
	started map[string]string
}

type handle struct {
	path string
	file *crashFile
}

type crashFile struct {
	synced, content []byte
	// writes since the last sync.
	writes []crashWrite
}

// crashWrite does to a file what a write does of which the disk has kept those sectors.
type crashWrite func(b []byte, kept func(sector int) bool) []byte

// sector is what a disk writes as a whole, or not.
const sector = 512

func whole(int) bool { return true }

func (f *crashFile) apply(write crashWrite) {
	f.content = write(f.content, whole)
	f.writes = append(f.writes, write)
}

func (f *crashFile) sync() { f.synced, f.writes = bytes.Clone(f.content), nil }

// nameChange gives a file a name, or takes one away (file is nil).
type nameChange struct {
	path string
	file *crashFile
}

func newCrashDisk(root string) *crashDisk {
	return &crashDisk{root: root, open: map[int]handle{}, now: map[string]*crashFile{}, durable: map[string]*crashFile{}, started: map[string]string{}}
}

// crashCalls are those that a trace must hold.
const crashCalls = "openat,pwrite64,write,ftruncate,fsync,fdatasync,linkat,renameat,unlinkat,close"

var (
	lineForm    = regexp.MustCompile(`^(\d+) +(\w+)\((.*)\) += (-?\d+)(?: .*)?$`)
	startedForm = regexp.MustCompile(`^(\d+) +(\w+\(.*) <unfinished \.\.\.>$`)
	resumedForm = regexp.MustCompile(`^(\d+) +<\.\.\. \w+ resumed>(.*)$`)
)

// step replays one line of the trace and says whether it did something.
func (d *crashDisk) step(line string) (bool, error) {
	if m := startedForm.FindStringSubmatch(line); m != nil {
		d.started[m[1]] = m[2]
		return false, nil
	}
	if m := resumedForm.FindStringSubmatch(line); m != nil {
		line = m[1] + " " + d.started[m[1]] + m[2]
	}
	m := lineForm.FindStringSubmatch(line)
	if m == nil || strings.HasPrefix(m[4], "-") {
		return false, nil // a signal, an exit, or a call that failed
	}
	result, err := strconv.Atoi(m[4])
	if err != nil {
		return false, err
	}
	return d.call(m[2], arguments(m[3]), result)
}

// arguments splits what strace -xx prints: no string holds a comma.
func arguments(s string) []string {
	args := strings.Split(s, ", ")
	for n, a := range args {
		if text, ok := strings.CutPrefix(a, `"`); ok {
			text, _, _ = strings.Cut(text, `"`)
			var b strings.Builder
			for _, code := range strings.Split(text, `\x`)[1:] {
				c, _ := strconv.ParseUint(code, 16, 8)
				b.WriteByte(byte(c))
			}
			args[n] = b.String()
		}
	}
	return args
}

func (d *crashDisk) call(name string, args []string, result int) (bool, error) {
	number, _ := strconv.Atoi(args[0])
	h := d.open[number]
	switch name {
	case "openat":
		return d.openat(args[1], args[2], result), nil
	case "close":
		delete(d.open, number)
		return false, nil
	case "write":
		if number == 1 {
			d.printed.WriteString(args[1])
		}
		return number == 1, nil
	case "fsync", "fdatasync":
		if h.file != nil {
			h.file.sync()
		} else if h.path != "" {
			d.syncNames(h.path)
		}
		return h.path != "", nil
	case "pwrite64":
		at, err := strconv.Atoi(args[3])
		if h.file == nil || err != nil || len(args[1]) != result {
			return false, fmt.Errorf("pwrite64 to file %d at %s of %d bytes, of which the trace has %d: %w", number, args[3], result, len(args[1]), err)
		}
		h.file.apply(func(b []byte, kept func(int) bool) []byte {
			end := at + len(args[1])
			b = append(bytes.Clone(b), make([]byte, max(0, end-len(b)))...)
			for n := at; n < end; n = (n/sector + 1) * sector {
				if kept(n / sector) {
					copy(b[n:min((n/sector+1)*sector, end)], args[1][n-at:])
				}
			}
			return b
		})
	case "ftruncate":
		size, err := strconv.Atoi(args[1])
		if h.file == nil || err != nil {
			return false, fmt.Errorf("ftruncate of file %d: %w", number, err)
		}
		h.file.apply(func(b []byte, _ func(int) bool) []byte {
			return append(bytes.Clone(b[:min(size, len(b))]), make([]byte, max(0, size-len(b)))...)
		})
	case "linkat":
		d.rename(nameChange{args[3], d.now[args[1]]})
	case "renameat":
		d.rename(nameChange{args[3], d.now[args[1]]}, nameChange{args[1], nil})
	case "unlinkat":
		d.rename(nameChange{args[1], nil})
	}
	return true, nil
}

func (d *crashDisk) openat(path, flags string, number int) bool {
	if !strings.HasPrefix(path, d.root) {
		return false
	}
	file := d.now[path]
	created := file == nil && strings.Contains(flags, "O_CREAT")
	if created {
		file = &crashFile{}
		d.rename(nameChange{path, file})
	}
	if file != nil && strings.Contains(flags, "O_TRUNC") {
		file.apply(func([]byte, func(int) bool) []byte { return nil })
	}
	d.open[number] = handle{path, file}
	return created
}

func (d *crashDisk) rename(changes ...nameChange) {
	for _, c := range changes {
		if c.file == nil {
			delete(d.now, c.path)
		} else {
			d.now[c.path] = c.file
		}
	}
	d.moves = append(d.moves, changes...)
}

// syncNames makes the names in one directory durable.
func (d *crashDisk) syncNames(dir string) {
	d.moves = slices.DeleteFunc(d.moves, func(c nameChange) bool {
		if filepath.Dir(c.path) != dir {
			return false
		}
		setName(d.durable, c)
		return true
	})
}

func setName(names map[string]*crashFile, c nameChange) {
	if c.file == nil {
		delete(names, c.path)
	} else {
		names[c.path] = c.file
	}
}

// crash is what is on the disk when the machine dies now: of the writes that
// were not synced a part (0, 0.5, 1), any of them, and of every other one of those only
// some of its sectors; of the names that were not synced a part, the first of them, as
// journals have it.
func (d *crashDisk) crash(writes, names float64, random *rand.Rand) map[string][]byte {
	left := maps.Clone(d.durable)
	kept := int(names * float64(len(d.moves)))
	// The old name goes together with the new one.
	if kept > 0 && kept < len(d.moves) && d.moves[kept].file == nil && d.moves[kept-1].file != nil {
		kept++
	}
	for _, c := range d.moves[:kept] {
		setName(left, c)
	}
	contents := map[*crashFile][]byte{}
	files := map[string][]byte{}
	for _, path := range slices.Sorted(maps.Keys(left)) {
		f := left[path]
		if _, ok := contents[f]; !ok {
			b := f.synced
			for _, write := range f.writes {
				switch {
				case writes == 1:
					b = write(b, whole)
				case random.Float64() >= writes: // it is lost
				case random.IntN(2) == 0:
					b = write(b, whole)
				default:
					b = write(b, func(int) bool { return random.IntN(2) == 0 })
					d.torn++
				}
			}
			contents[f] = b
		}
		files[path] = contents[f]
	}
	return files
}

// restoreTo writes what a crash left into another directory.
func restoreTo(root, dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for path, b := range files {
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, rel)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			return err
		}
	}
	return nil
}
