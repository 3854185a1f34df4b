package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// TestWhereTheLogGoes: check and run say the same of each file, and nothing but the
// log's own is added to.
func TestWhereTheLogGoes(t *testing.T) {
	usertest.NeedsRoot(t)
	const stranger = usertest.Stranger
	for name, tc := range map[string]struct {
		mode    fs.FileMode // of the folder
		owner   int
		make    func(log, other string) error // other is a file of root's
		trusted bool
		refused string
	}{
		"ours":                         {mode: 0o755},
		"one that is there":            {mode: 0o755, make: func(log, _ string) error { return os.WriteFile(log, nil, 0o600) }},
		"our link":                     {mode: 0o755, make: func(log, _ string) error { return os.Symlink("elsewhere", log) }},
		"in a sticky folder":           {mode: 0o777 | fs.ModeSticky},
		"another user's folder":        {mode: 0o755, owner: stranger},
		"his folder, a second name":    {mode: 0o755, owner: stranger, make: func(log, other string) error { return os.Link(other, log) }, refused: "has a second name"},
		"his link":                     {mode: 0o755, owner: stranger, make: linkBy(stranger), refused: "is a symbolic link of user 34567"},
		"a link in a sticky folder":    {mode: 0o777 | fs.ModeSticky, make: linkBy(stranger), refused: "who may have put it there"},
		"a file in a sticky folder":    {mode: 0o777 | fs.ModeSticky, make: fileBy(stranger), refused: "who may have put it there"},
		"a folder for everybody":       {mode: 0o777, refused: "can be changed by everybody"},
		"such a folder, with the line": {mode: 0o777, trusted: true, make: fileBy(stranger)},
		"a link there, with the line":  {mode: 0o777, trusted: true, make: linkBy(stranger), refused: "is a symbolic link of user 34567"},
		"a pipe that nobody reads":     {mode: 0o755, make: func(log, _ string) error { return syscall.Mkfifo(log, 0o600) }, refused: "is a pipe (FIFO) and no file that lines could be added to"},
		"a folder":                     {mode: 0o755, make: func(log, _ string) error { return os.Mkdir(log, 0o700) }, refused: "is no file that lines could be added to"},
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			dir, other := filepath.Join(top, "log"), filepath.Join(top, "other")
			log := filepath.Join(dir, "log")
			if err := errors.Join(os.WriteFile(other, nil, 0o600), os.Mkdir(dir, 0o700), os.Chown(dir, tc.owner, tc.owner), os.Chmod(dir, tc.mode)); err != nil {
				t.Fatal(err)
			}
			if tc.make != nil {
				if err := tc.make(log, other); err != nil {
					t.Fatal(err)
				}
			}
			cfg := config.Log{Level: "info", Format: "text", File: log, TrustFolder: tc.trusted}
			told := logRefusal(cfg)
			logger, closer, err := newLogger(cfg, &strings.Builder{})
			if err == nil {
				logger.Info("a line")
				_ = closer.Close()
			}
			for when, err := range map[string]error{"check": told, "run": err} {
				if (err != nil) != (tc.refused != "") || err != nil && !strings.Contains(err.Error(), tc.refused) {
					t.Errorf("%s: %v", when, err)
				}
			}
			if got, err := os.ReadFile(other); err != nil || len(got) > 0 {
				t.Errorf("another file was written to: %q, %v", got, err)
			}
			if tc.refused != "" {
				return
			}
			if got, err := os.ReadFile(log); !strings.Contains(string(got), "a line") {
				t.Errorf("the log holds %q, %v", got, err)
			}
		})
	}
}

func linkBy(uid int) func(log, other string) error {
	return func(log, other string) error { return errors.Join(os.Symlink(other, log), os.Lchown(log, uid, uid)) }
}

func fileBy(uid int) func(log, other string) error {
	return func(log, _ string) error { return errors.Join(os.WriteFile(log, nil, 0o600), os.Chown(log, uid, uid)) }
}
