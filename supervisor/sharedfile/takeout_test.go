package sharedfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
)

// The dead refresh token is taken out of the file, and all else stays, its mode, too. Any
// other file stays as it is.
func TestADeadRefreshTokenIsTakenOut(t *testing.T) {
	const whole = `{"app_key": "theirs", "access_token": "a1", "refresh_token": "r1", "token_expiry": "2030-01-02T03:04:05.000006"}`
	for name, tt := range map[string]struct {
		content, want string
		took          bool
	}{
		"the dead one":    {whole, `{"app_key": "theirs", "access_token": "a1", "token_expiry": "2030-01-02T03:04:05.000006"}`, true},
		"a newer one":     {`{"access_token": "a2", "refresh_token": "r2"}`, "", false},
		"none":            {`{"access_token": "a1"}`, "", false},
		"no token":        {`{"app_key": "theirs"}`, "", false},
		"cut off":         {`{"refresh_token": "r1", "acc`, "", false},
		"empty":           {"", "", false},
		"no object":       {`["r1"]`, "", false},
		"nothing of ours": {`{"refresh_token": 1}`, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			f, cfg := newFile(t, sharedfile.Config{AllowUnsafe: true})
			write(t, cfg.Path, tt.content, 0o640)
			took, err := f.TakeOut(sdk.NewSecret("r1"))
			got, readErr := os.ReadFile(cfg.Path)
			info, statErr := os.Stat(cfg.Path)
			if err := errors.Join(err, readErr, statErr); err != nil || took != tt.took || info.Mode().Perm() != 0o640 {
				t.Fatalf("took: %t, mode %v, %v", took, info.Mode(), err)
			}
			want := tt.want
			if !tt.took {
				want = tt.content
			}
			if string(got) != want {
				t.Errorf("it holds %s, want %s", got, want)
			}
			// A new token comes back to what is theirs.
			if err := f.Write(document("a3", "r3")); err != nil {
				t.Fatal(err)
			}
			if d, err := f.Read(); err != nil || d.RefreshToken.Reveal() != "r3" || tt.took && d.ClientID != "theirs" {
				t.Errorf("after a login: %+v, %v", d, err)
			}
		})
	}
	f, cfg := newFile(t, sharedfile.Config{AllowUnsafe: true})
	if took, err := f.TakeOut(sdk.NewSecret("r1")); took || err != nil {
		t.Errorf("of a file that is gone: %t, %v", took, err)
	}
	if _, err := os.Stat(cfg.Path); err == nil {
		t.Error("it was made")
	}
	if err := os.Mkdir(cfg.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	if took, err := f.TakeOut(sdk.NewSecret("r1")); took || err == nil {
		t.Errorf("of one that can't be read: %t, %v", took, err)
	}
}

// Whatever fails and whenever the power goes, readers see the file with the dead token or
// without it, and what is said of it is so.
func TestEveryFaultOfATakingOut(t *testing.T) {
	prepare := func(dir string) {
		write(t, filepath.Join(dir, "token.json"), `{"access_token": "a1", "refresh_token": "r1", "note": "theirs"}`, 0o640)
	}
	seen := map[bool]int{}
	filestest.Everything(t, prepare, func(d *filestest.Disk, dir string) error {
		took, err := fileOn(t, d, dir).TakeOut(sdk.NewSecret("r1"))
		if took != (err == nil || errors.Is(err, atomicfile.ErrNotDurable)) {
			t.Errorf("took: %t, %v", took, err)
		}
		return err
	}, func(c filestest.Case) {
		d, err := fileOn(t, nil, c.Dir).Read()
		out := d.RefreshToken.IsZero()
		if err != nil || d.AccessToken.Reveal() != "a1" || c.Err == nil && !out {
			t.Fatalf("a reader sees %q: %v: %s", d.RefreshToken.Reveal(), err, c.When)
		}
		seen[out]++
	})
	if seen[true] == 0 || seen[false] == 0 {
		t.Errorf("seen %v", seen)
	}
}
