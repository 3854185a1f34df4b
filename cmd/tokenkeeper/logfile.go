package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/datafolder"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// logFile is the file that the log is added to. It is opened anew at the next line
// when somebody has moved it away, as logrotate does, and moves itself away when it
// has become as large or as old as it may. One goroutine uses it.
type logFile struct {
	log  config.Log
	file *os.File
	path string // behind links; "": it is our own output, which nobody moves
	info fs.FileInfo
	size int64
	// began is when its first line was written, as far as that is known.
	began time.Time
}

// openLog opens the file, where nobody has led it elsewhere who is not trusted.
func openLog(log config.Log) (*logFile, error) {
	folder, path, own, err := logPlace(log)
	if err != nil {
		return nil, err
	}
	if own != nil {
		return &logFile{log: log, file: own}, nil
	}
	defer folder.Close()
	file, err := folder.OpenAppended(path)
	if errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.EISDIR) {
		return nil, noLogFile(path)
	} else if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil {
		err = fitForLog(folder, path, info)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &logFile{log: log, file: file, path: path, info: info, size: info.Size(), began: bornAt(file)}, nil
}

// Write adds a line. What keeps it from going on in another file is tried again at the
// next line, and the log goes on where it is.
func (f *logFile) Write(line []byte) (int, error) {
	if f.moved() || f.isFull(len(line)) && f.moveAway() == nil {
		if next, err := openLog(f.log); err == nil {
			_ = f.file.Close()
			*f = *next
		}
	}
	n, err := f.file.Write(line)
	f.size += int64(n)
	return n, err
}

// moved says whether another file, or none, is at the path now.
func (f *logFile) moved() bool {
	if f.path == "" {
		return false
	}
	there, err := os.Lstat(f.path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return !os.SameFile(f.info, there)
}

// isFull says whether one more line is too much for it.
func (f *logFile) isFull(more int) bool {
	if f.path == "" || !f.info.Mode().IsRegular() || f.size == 0 {
		return false
	}
	return f.log.MaxMegabytes > 0 && f.size+int64(more) > int64(f.log.MaxMegabytes)<<20 ||
		f.log.MaxAge > 0 && time.Since(f.began) >= f.log.MaxAge
}

// moveAway makes it the first of those that are kept, and the last of them goes.
func (f *logFile) moveAway() error {
	folder, path, own, err := logPlace(f.log)
	if err != nil || own != nil {
		return errors.Join(err, errors.ErrUnsupported)
	}
	defer folder.Close()
	kept := func(n int) string { return fmt.Sprintf("%s.%d", path, n) }
	// Up to the first number that is free: after a try that failed in between, no more
	// of them goes.
	free := 1
	for free < f.log.Keep {
		if _, err := folder.Lstat(kept(free)); err != nil {
			break
		}
		free++
	}
	for n := free - 1; n > 0; n-- {
		if err := folder.Rename(kept(n), kept(n+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if f.log.Keep == 0 {
		return folder.Remove(path)
	}
	return folder.Rename(path, kept(1))
}

// bornAt is when a file was made; the time now, where its file system does not tell.
func bornAt(file *os.File) time.Time {
	var st unix.Statx_t
	if err := unix.Statx(int(file.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &st); err == nil && st.Mask&unix.STATX_BTIME != 0 {
		return time.Unix(st.Btime.Sec, int64(st.Btime.Nsec))
	}
	return time.Now()
}

// logRefusal is what openLog would say, without making a file. That its folder is
// missing is for openLog to tell: it may be made at the start.
func logRefusal(log config.Log) error {
	if log.File == "" {
		return nil
	}
	folder, path, own, err := logPlace(log)
	if errors.Is(err, fs.ErrNotExist) || own != nil {
		return nil
	} else if err != nil {
		return err
	}
	defer folder.Close()
	info, err := folder.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return fitForLog(folder, path, info)
}

// ownOutput is what we write to already, by the names that the system gives it; nil: it
// is another file.
func ownOutput(path string) *os.File {
	switch filepath.Clean(path) {
	case os.Stdout.Name(), "/dev/fd/1", "/proc/self/fd/1":
		return os.Stdout
	case os.Stderr.Name(), "/dev/fd/2", "/proc/self/fd/2":
		return os.Stderr
	}
	return nil
}

// logPlace opens the folder of the log, behind links of root and our own user, or
// finds that they lead to our own output.
func logPlace(log config.Log) (folder *datafolder.Folder, path string, own *os.File, err error) {
	path, err = filepath.Abs(log.File)
	const mostLinks = 40
	for range mostLinks {
		if err != nil {
			return nil, "", nil, err
		}
		if own = ownOutput(path); own != nil {
			return nil, "", own, nil
		}
		_, private := trust.Here().Private(filepath.Dir(path))
		if folder, err = datafolder.Open(path, trust.Rule{OpenFolder: log.TrustFolder || private == nil}); err != nil {
			return nil, "", nil, err
		}
		var target string
		if target, err = folder.Link(path); err == nil && target == "" {
			return folder, path, nil, nil
		}
		folder.Close()
		path = target
	}
	return nil, "", nil, fmt.Errorf("%s: too many symbolic links", log.File)
}

// fitForLog refuses what only looks like a file of its own: in the folder of another
// user, it may be a second name of one that is not his.
func fitForLog(folder *datafolder.Folder, path string, info fs.FileInfo) error {
	if info.Mode()&^(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky|fs.ModeDevice|fs.ModeCharDevice) != 0 {
		return noLogFile(path)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if uid, other := folder.Owner(); other && ok && st.Nlink > 1 {
		return fmt.Errorf("%s has a second name, and %s, who owns its folder, may have made it: choose a file in another folder", path, trust.Here().User(uid))
	}
	return nil
}

func noLogFile(path string) error {
	what := "no file"
	if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		what = files.Kind(info.Mode())
	}
	return fmt.Errorf("%s is %s that lines could be added to: name another one, or let another program read our standard error", path, what)
}
