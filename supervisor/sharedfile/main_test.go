package sharedfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile/sharedfiletest"
)

func TestMain(m *testing.M) {
	sharedfiletest.Main()
	os.Exit(m.Run())
}

// newFile is a shared file in a folder of its own.
func newFile(t *testing.T, cfg sharedfile.Config) (*sharedfile.File, sharedfile.Config) {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = filepath.Join(t.TempDir(), "token.json")
	}
	if cfg.Format == "" {
		cfg.Format = format.SaxoCache
	}
	f, err := sharedfile.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Lock == "" {
		cfg.Lock = cfg.Path + ".lock"
	}
	return f, cfg
}

func document(access, refresh string) format.Document {
	now := time.Now().Truncate(time.Second)
	return format.Document{
		Account: "main", AccessToken: sdk.NewSecret(access), RefreshToken: sdk.NewSecret(refresh),
		IssuedAt: now, Expiry: now.Add(20 * time.Minute),
	}
}

func write(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, []byte(content), 0o600), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}
