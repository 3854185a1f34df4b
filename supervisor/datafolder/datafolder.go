// Package datafolder opens the folder of a file that holds tokens and that
// other programs read or write. It goes by the rule of package trust for data.
package datafolder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// Folder is an open directory that nobody can have put there who is not
// trusted. It is a [files.System] of that one directory: of each path only the
// last part counts, so that it does not matter what becomes of the directories
// above meanwhile. Where others may put entries of their own into it, theirs
// are refused with a [*trust.Refusal].
type Folder struct {
	root    *os.Root
	dir     *os.File
	judge   trust.Judge
	rule    trust.Rule
	grounds trust.Grounds
}

// Open examines and opens the folder of the file at path, which need not be
// there. The error is a [*trust.Refusal] if somebody else could have put the
// folder there, and wraps [fs.ErrNotExist] if it is missing; it says what to do.
func Open(path string, rule trust.Rule) (*Folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f := &Folder{judge: trust.Here(), rule: rule}
	f.root, f.grounds, err = f.judge.Folder(filepath.Dir(path), rule)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: create it for the user that runs Tokenkeeper", err)
	} else if err != nil {
		return nil, err
	}
	if f.dir, err = f.root.Open("."); err != nil {
		return nil, errors.Join(err, f.root.Close())
	}
	return f, nil
}

// Owner is the other user who is trusted with what lies in the folder, which he can
// name as he likes, also what is not his; ok is false if there is none.
func (f *Folder) Owner() (uid int, ok bool) {
	if f.grounds.Owner == nil {
		return 0, false
	}
	return f.grounds.Owner.UID, true
}

// Close lets the directory go.
func (f *Folder) Close() { _, _ = f.dir.Close(), f.root.Close() }

// Link returns where a symbolic link in the folder leads; "": name is none. A
// link of anybody but root and our own user is refused.
func (f *Folder) Link(name string) (target string, err error) {
	info, err := f.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink == 0 {
		return "", nil
	}
	if err == nil {
		err = f.judge.Link(name, info)
	}
	if err == nil {
		target, err = f.root.Readlink(filepath.Base(name))
	}
	if err == nil && !filepath.IsAbs(target) {
		// By the directory's own name: name may have led here by another link.
		target = filepath.Join(f.root.Name(), target)
	}
	return target, err
}

// vet refuses an entry that a stranger may have put into the folder.
func (f *Folder) vet(name string, info fs.FileInfo, err error) (fs.FileInfo, error) {
	if err == nil {
		err = f.judge.Entry(name, info, f.rule, f.grounds)
	}
	if err != nil {
		return nil, err
	}
	return info, nil
}
