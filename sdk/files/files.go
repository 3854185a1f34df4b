// Package files is the few operations on files that the durability of tokens
// rests on: those of the spool, of shared files and of the file sink. They
// stand behind an interface so that tests can make any of them fail, and lose
// what was not synced; package filestest does.
package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// System is a file system. Its methods are the functions of package os with
// the same names, but for SyncDir.
type System interface {
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	Stat(name string) (fs.FileInfo, error)
	Lstat(name string) (fs.FileInfo, error)
	ReadDir(name string) ([]fs.DirEntry, error)
	Mkdir(name string, perm fs.FileMode) error
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes durable which files the directory holds under which names.
	SyncDir(name string) error
}

// File is an open file. Its methods are those of [os.File], but for Datasync.
type File interface {
	io.ReadWriteCloser
	io.WriterAt
	Name() string
	Stat() (fs.FileInfo, error)
	Chmod(mode fs.FileMode) error
	Chown(uid, gid int) error
	Fd() uintptr
	// Sync makes the content and the attributes durable, not the name.
	Sync() error
	// Datasync makes the content durable (fdatasync(2)).
	Datasync() error
	// Reserve makes room for n bytes of content, and leaves the content as it
	// is. See [Reserve].
	Reserve(n int64) error
}

// OS is the operating system's.
type OS struct{}

var _ System = OS{}

// osFile implements [File].
type osFile struct{ *os.File }

func (f osFile) Datasync() error { return Datasync(f.File) }

func (f osFile) Reserve(n int64) error { return Reserve(f.File, n) }

// call makes a system call with the descriptor of f, which nobody can close meanwhile:
// its number would be another file's then.
func call(f *os.File, with func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if conn.Control(func(fd uintptr) {
		for failed = with(int(fd)); errors.Is(failed, unix.EINTR); {
			failed = with(int(fd))
		}
	}) != nil {
		return os.ErrClosed // it refuses nothing else
	}
	return failed
}

// Datasync makes the content of f durable (fdatasync(2)).
func Datasync(f *os.File) error { return os.NewSyscallError("fdatasync", call(f, unix.Fdatasync)) }

// Reserve makes room on the disk for the first n bytes of f, so that to write
// them can't fail for want of it; neither content nor size change
// (fallocate(2)). A file system that can't reserve is content with less: what
// is missing shows when it is written.
func Reserve(f *os.File, n int64) error {
	err := call(f, func(fd int) error { return unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, n) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return os.NewSyscallError("fallocate", err)
}

// OpenFile implements [System].
func (OS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Stat implements [System].
func (OS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

// Lstat implements [System].
func (OS) Lstat(name string) (fs.FileInfo, error) { return os.Lstat(name) }

// ReadDir implements [System].
func (OS) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }

// Mkdir implements [System].
func (OS) Mkdir(name string, perm fs.FileMode) error { return os.Mkdir(name, perm) }

// Rename implements [System].
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements [System].
func (OS) Remove(name string) error { return os.Remove(name) }

// SyncDir implements [System].
func (OS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// MakeDir creates a directory with mode perm less the umask, and those above
// it, and makes it durable that they are there. One that is there already
// stays as it is.
func MakeDir(sys System, dir string, perm fs.FileMode) error {
	if info, err := sys.Stat(dir); err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: unix.ENOTDIR}
		}
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	up := filepath.Dir(dir)
	if up != dir {
		if err := MakeDir(sys, up, perm); err != nil {
			return err
		}
	}
	if err := sys.Mkdir(dir, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return sys.SyncDir(up)
}
