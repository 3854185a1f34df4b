package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/datafolder"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// openLog opens the file that the log is added to, where nobody has led it
// elsewhere who is not trusted.
func openLog(log config.Log) (*os.File, error) {
	folder, path, own, err := logPlace(log)
	if err != nil || own != nil {
		return own, err
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
	return file, nil
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
