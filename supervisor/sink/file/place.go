package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/atomicfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// inDirectory calls do with the directory of path, which nobody else can have
// put there, and with the attributes that its file shall have.
func (s *Sink) inDirectory(path string, do func(sys files.System, path string, want atomicfile.Attributes) error) error {
	want := atomicfile.Attributes{Mode: s.cfg.Mode, UID: s.owner.uid, GID: s.owner.gid, NeverLoosen: true}
	if s.sys != nil {
		return do(s.sys, path, want)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	rule := trust.Rule{OpenFolder: s.cfg.TrustFolder}
	if s.owner.uid != atomicfile.Unchanged {
		rule.Users = []int{s.owner.uid}
	}
	root, grounds, err := trust.Here().Folder(filepath.Dir(path), rule)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: create it for the user that runs Tokenkeeper", err)
	} else if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	if grounds.Shared && !s.cfg.TrustFolder {
		if want, err = settleOwner(root, path, want, grounds); err != nil {
			return err
		}
	}
	return do(rooted{root}, path, want)
}

// settleOwner is for a directory in which others may create files: nobody
// shall get a token by putting an own file there first.
func settleOwner(root *os.Root, path string, want atomicfile.Attributes, grounds trust.Grounds) (atomicfile.Attributes, error) {
	uid, gid := os.Geteuid(), os.Getegid()
	info, err := root.Lstat(filepath.Base(path))
	if err == nil {
		st := info.Sys().(*syscall.Stat_t)
		theirs := grounds.Owner != nil && grounds.Owner.UID == int(st.Uid)
		if int(st.Uid) != uid && st.Uid != 0 && int(st.Uid) != want.UID && !theirs {
			return want, fmt.Errorf("it belongs to user %d, who may have put it there to get the token, as everybody may write to the directory: remove it, or set owner to that user", st.Uid)
		}
		uid, gid = int(st.Uid), int(st.Gid)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return want, err
	}
	if want.UID == atomicfile.Unchanged {
		want.UID = uid
	}
	if want.GID == atomicfile.Unchanged && err == nil {
		want.GID = gid
	}
	return want, nil
}
