package store

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record/recordtest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
)

// plant makes a state directory that holds values in the given format.
func plant(t *testing.T, format string, values map[string][]byte) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := journal.Create(filepath.Join(dir, FileName), journal.Fresh{Values: values, Sequence: 1, At: time.Now(), Format: format})
	if err != nil {
		t.Fatal(err)
	}
	f.Drop()
	return dir
}

func reach(t *testing.T, dir string) *Journal {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// What a newer program keeps under keys of its own survives changes, and the
// loss of the state file.
func TestKeysOfANewerMinorVersion(t *testing.T) {
	sealed, err := record.Encode(recordtest.Golden())
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]byte{
		recordKey("saxo-live"): sealed,
		"leases/saxo-live":     []byte("no JSON"),
		"meta/cluster":         []byte("one"),
	}
	dir := plant(t, "3.9", values)
	check := func(when string) {
		t.Helper()
		img, err := journal.Read(filepath.Join(dir, FileName))
		if err != nil {
			t.Fatal(err)
		}
		stored := maps.Collect(img.All())
		if img.Err != nil || img.Format != "3.9" || string(stored["leases/saxo-live"]) != "no JSON" || string(stored["meta/cluster"]) != "one" {
			t.Errorf("%s: format %q, %v", when, img.Format, img.Err)
		}
	}
	s := reach(t, dir) // backs up
	if s.Restored() != nil {
		t.Fatalf("restored: %+v", s.Restored())
	}
	if err := errors.Join(s.SaveAlert(t.Context(), goldenAlert()), s.Close()); err != nil {
		t.Fatal(err)
	}
	check("after a change")
	if err := os.Remove(filepath.Join(dir, FileName)); err != nil {
		t.Fatal(err)
	}
	if s = reach(t, dir); s.Restored() == nil {
		t.Error("not restored")
	}
	check("after a restore")
}

// Open alerts come back with a store that is restored; what the ledger says of
// them does not, and they are taken for no account.
func TestAlertsAreRestored(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := reach(t, dir)
	if err := errors.Join(s.Commit(t.Context(), Record{Account: "main"}.Next(recordtest.Golden().Token, OriginLogin, "a", time.Now())),
		s.SaveAlert(t.Context(), goldenAlert()),
		s.MarkDelivered(t.Context(), Delivery{Sink: "chat", Account: goldenAlert().Key, Version: 7}),
		s.Backup(t.Context()), s.Close(), os.Remove(filepath.Join(dir, FileName))); err != nil {
		t.Fatal(err)
	}
	s = reach(t, dir)
	if r := s.Restored(); r == nil || len(r.Missing) > 0 || len(r.Accounts) != 1 {
		t.Errorf("restored: %+v", r)
	}
	alerts, err := s.Alerts(t.Context())
	if err != nil || len(alerts) != 1 || !reflect.DeepEqual(alerts[0], goldenAlert()) {
		t.Errorf("alerts: %+v, %v", alerts, err)
	}
	if line, err := s.Delivery(t.Context(), "chat", goldenAlert().Key); err != nil || line != (Delivery{}) {
		t.Errorf("ledger: %+v, %v", line, err)
	}
}
