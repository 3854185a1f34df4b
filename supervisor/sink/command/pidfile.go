package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/datafolder"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// pidfile is where a program notes its number.
type pidfile struct {
	path string
	rule trust.Rule
}

// read returns the number, and whose word it is: the file's owner's, or, of a file
// of root in a folder of another user, that one's, who may have brought it there
// under this name.
func (p pidfile) read() (pid int, owner uint32, err error) {
	f, folder, err := p.open()
	var refusal *trust.Refusal
	switch {
	case errors.As(err, &refusal):
		return 0, 0, fmt.Errorf("the pidfile is not believed: %w", err)
	case errors.Is(err, fs.ErrNotExist):
		return 0, 0, fmt.Errorf("%w: there is no pidfile %s", sink.ErrAbsent, p.path)
	case err != nil:
		return 0, 0, fmt.Errorf("the pidfile can't be read: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, fmt.Errorf("the pidfile can't be read: %w", err)
	}
	if err := p.irregular(info.Mode()); err != nil {
		return 0, 0, err
	}
	b, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return 0, 0, fmt.Errorf("the pidfile can't be read: %w", err)
	}
	text := strings.TrimSpace(string(b))
	if text == "" { // it is being written
		return 0, 0, fmt.Errorf("%w: the pidfile %s is empty", sink.ErrAbsent, p.path)
	}
	pid, err = strconv.Atoi(text)
	if err != nil || pid <= 1 || pid == os.Getpid() {
		return 0, 0, fmt.Errorf("the pidfile %s does not hold the number of a program that may be signalled", p.path)
	}
	if owner = info.Sys().(*syscall.Stat_t).Uid; owner == 0 {
		owner = folder
	}
	return pid, owner, nil
}

// irregular refuses what is no file.
func (p pidfile) irregular(mode fs.FileMode) error {
	if mode.IsRegular() {
		return nil
	}
	return fmt.Errorf("the pidfile %s is no file but %s: name the file into which the program writes its number",
		p.path, strings.TrimSuffix(files.Kind(mode), " and no file"))
}

// mostLinks from the pidfile's path to the file.
const mostLinks = 40

// open follows no link of a stranger: whose file it leads to would count as
// whose word it is, and root has files that hold any number. It returns whose the
// folder is, too; 0: nobody's but root's and our own user's.
func (p pidfile) open() (f *os.File, owner uint32, err error) {
	path := p.path
	for range mostLinks {
		folder, err := datafolder.Open(path, p.rule)
		if err != nil {
			return nil, 0, err
		}
		target, err := folder.Link(path)
		if uid, ok := folder.Owner(); ok {
			owner = uint32(uid)
		}
		if err == nil && target == "" {
			f, err := folder.OpenUnchanged(path)
			folder.Close()
			return f, owner, err
		}
		folder.Close()
		if err != nil {
			return nil, 0, err
		}
		path = target
	}
	return nil, 0, fmt.Errorf("too many symbolic links lead from %s to it", p.path)
}
