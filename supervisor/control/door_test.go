package control

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// The control socket is opened again wherever it has gone, and who connects
// reaches the same listener; what is somebody else's is left alone.
func TestDoor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "control.sock")
	d, err := openDoor(func() (net.Listener, error) { return Listen(path, config.Control{}) })
	if err != nil {
		t.Fatal(err)
	}
	came := make(chan struct{})
	ended := make(chan error)
	go func() {
		for {
			conn, err := d.Accept()
			if err != nil {
				ended <- err
				return
			}
			_ = conn.Close()
			came <- struct{}{}
		}
	}()
	connects := func() {
		t.Helper()
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		<-came
		_ = conn.Close()
	}
	connects()
	if reopened, err := d.reopen(); reopened || err != nil {
		t.Errorf("opened again in its place: %t, %v", reopened, err)
	}
	for _, meddle := range []func() error{
		func() error { return os.Remove(path) },
		func() error { return os.Rename(path, path+".old") },
		func() error { return os.RemoveAll(filepath.Dir(path)) },
		func() error { return os.Rename(filepath.Dir(path), filepath.Dir(path)+"-old") },
	} {
		if err := meddle(); err != nil {
			t.Fatal(err)
		}
		if reopened, err := d.reopen(); !reopened || err != nil {
			t.Fatalf("opened again: %t, %v", reopened, err)
		}
		connects()
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if reopened, err := d.reopen(); reopened || err == nil {
		t.Errorf("opened over a file: %t, %v", reopened, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	<-ended
	if b, err := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("the file of somebody else: %q, %v", b, err)
	}
	if reopened, err := d.reopen(); reopened || err != nil {
		t.Errorf("opened after its end: %t, %v", reopened, err)
	}
}
