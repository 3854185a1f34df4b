package file_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/file"
)

// Whatever fails and whenever the power goes, a consumer reads a whole token, a
// delivery that succeeded stays, and one that failed can be made again.
func TestEveryFault(t *testing.T) {
	delivery := func(version string) sink.Delivery {
		return sink.Delivery{Document: format.Document{
			Account: "main", AccessToken: sdk.NewSecret("access-" + version), RefreshToken: sdk.NewSecret("refresh-" + version),
		}}
	}
	content := func(version string) string { return "access-" + version + "\nrefresh-" + version + "\n" }
	deliver := func(s *file.Sink, version string) error { return s.Deliver(t.Context(), delivery(version)) }
	n := filestest.Everything(t, func(dir string) {
		if err := os.WriteFile(filepath.Join(dir, "main"), []byte(content("1")), 0o600); err != nil {
			t.Fatal(err)
		}
	}, func(d *filestest.Disk, dir string) error {
		s := newSink(t, file.Config{Path: filepath.Join(dir, "{account}")})
		s.On(d)
		err := deliver(s, "2")
		if err != nil && !d.Down() {
			d.Heal()
			if err := deliver(s, "2"); err != nil {
				t.Errorf("it can't be made again: %v\n%s", err, d)
			}
			return nil
		}
		return err
	}, func(c filestest.Case) {
		b, err := os.ReadFile(filepath.Join(c.Dir, "main"))
		isNew := string(b) == content("2")
		switch {
		case !isNew && string(b) != content("1"):
			t.Fatalf("a consumer reads %q, %v: %s", b, err, c.When)
		case c.Err == nil && !isNew:
			t.Fatalf("a delivery that succeeded is lost: %s", c.When)
		case c.Err != nil && !errors.Is(c.Err, filestest.ErrDown) && !errors.Is(c.Err, atomicfile.ErrNotDurable):
			t.Fatalf("it said %v: %s", c.Err, c.When)
		}
	})
	if n < 9 {
		t.Errorf("%d operations", n)
	}
}
