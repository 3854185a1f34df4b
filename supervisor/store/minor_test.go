package store

import (
	"errors"
	"log/slog"
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
	o := Options{Timeout: time.Second, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	b := &boltBackend{}
	file := filepath.Join(dir, FileName)
	err := errors.Join(prepareDir(dir), b.open(file, o.Timeout))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.fill(fresh{values, newTotal(1, sumOf(values)), format}), b.close()); err != nil {
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

func reach(t *testing.T, dir string) *Bolt {
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
	dir := plant(t, "2.9", values)
	check := func(when string) {
		t.Helper()
		img := planted(t, dir)
		if img.err != nil || img.format != "2.9" || string(img.values["leases/saxo-live"]) != "no JSON" || string(img.values["meta/cluster"]) != "one" {
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

	// In a format that this program knows, it knows every key.
	if img := planted(t, plant(t, formatVersion, values)); !errors.Is(img.err, ErrDamaged) {
		t.Errorf("a key that nobody wrote: %v", img.err)
	}
}

// A store of an older minor version is of today's from the first change on.
func TestOlderMinorVersion(t *testing.T) {
	sealed, err := seal(golden())
	if err != nil {
		t.Fatal(err)
	}
	dir := plant(t, "2.0", map[string][]byte{recordKey("saxo-live"): sealed})
	s := reach(t, dir)
	if s.Restored() != nil {
		t.Fatalf("restored: %+v", s.Restored())
	}
	if img := planted(t, dir); img.err != nil || img.format != "2.0" {
		t.Errorf("format %q (%v) before a change", img.format, img.err)
	}
	if err := s.SaveAlert(t.Context(), goldenAlert()); err != nil {
		t.Fatal(err)
	}
	if img := planted(t, dir); img.err != nil || img.format != formatVersion {
		t.Errorf("format %q (%v) after a change", img.format, img.err)
	}
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
