package format

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The programs that read these files are written in Python. The script does
// what they do: compare token_expiry with a naive local now, and refuse a
// schwab file without a creation_timestamp.
const reader = `
import datetime, json, sys
saxo, schwab = (json.load(open(p)) for p in sys.argv[1:3])
library = json.load(open(sys.argv[3]))
early = datetime.datetime.fromisoformat(saxo["token_expiry"])
assert early.tzinfo is None
print(repr(early.timestamp()))
assert isinstance(schwab["creation_timestamp"], int) and isinstance(schwab["token"]["expires_at"], int)
print(schwab["token"]["expires_at"])
assert json.dumps(schwab, indent=4) == open(sys.argv[2]).read()
assert json.dumps(library) == open(sys.argv[3]).read() and library == schwab
assert json.dumps(saxo, indent=2) == open(sys.argv[1]).read()
`

func TestPythonReadsIt(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 here to read the files as the bots do")
	}
	const name = "Europe/Copenhagen"
	if _, err := os.Stat("/usr/share/zoneinfo/" + name); err != nil {
		t.Skip("Python has no time zones here: install tzdata")
	}
	for _, nanoseconds := range []int{0, 654321000} {
		d := full()
		d.Expiry = time.Date(2026, 7, 1, 12, 30, 0, nanoseconds, time.UTC)
		args := []string{"-c", reader}
		for _, name := range []string{SaxoCache, Schwab, SchwabPy} {
			b, err := Encode(name, d, Options{Location: zone(t, "Europe/Copenhagen")})
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			args = append(args, path)
		}
		cmd := exec.CommandContext(t.Context(), python, args...)
		cmd.Env = append(os.Environ(), "TZ="+name)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var early float64
		var expires int64
		if _, err := fmt.Sscan(strings.TrimSpace(string(out)), &early, &expires); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		want := float64(d.Expiry.Add(-time.Minute).UnixMicro()) / 1e6
		if early != want || expires != d.Expiry.Unix() {
			t.Errorf("Python read %f and %d, want %f and %d", early, expires, want, d.Expiry.Unix())
		}
	}
}
