package store

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// plant makes a state directory that holds values in the given format.
func plant(t *testing.T, format string, values map[string][]byte) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	j, err := createJournal(filepath.Join(dir, FileName), fresh{values: values, sequence: 1, at: time.Now(), format: format})
	if err := errors.Join(err, j.file.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func planted(t *testing.T, dir string) *image {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	return readImage(file)
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
	sealed, err := seal(golden())
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
		img := planted(t, dir)
		if img.err != nil || img.format != "3.9" || string(img.values["leases/saxo-live"].value) != "no JSON" || string(img.values["meta/cluster"].value) != "one" {
			t.Errorf("%s: format %q, %v", when, img.format, img.err)
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
	if err := errors.Join(s.Commit(t.Context(), Record{Account: "main"}.Next(golden().Token, OriginLogin, "a", time.Now())),
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
	if ledger, err := s.Deliveries(t.Context(), "chat"); err != nil || len(ledger) > 0 {
		t.Errorf("ledger %v, %v", ledger, err)
	}
}
