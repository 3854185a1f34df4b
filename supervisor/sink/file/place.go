package file

import (
	"path/filepath"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/datafolder"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
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
	folder, err := datafolder.Open(path, rule)
	if err != nil {
		return err
	}
	defer folder.Close()
	return do(folder, path, want)
}
