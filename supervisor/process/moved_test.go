package process

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
)

// A provider whose state directory goes while it starts ends at once, as what is
// no provider does. That is not its fault: it is not parked, the reason is told,
// and the next start succeeds.
func TestStateDirectoryGoesDuringAStart(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, replaced := range []bool{false, true} {
		t.Run(fmt.Sprint("replaced ", replaced), func(t *testing.T) {
			dir, err := os.MkdirTemp("", "") // short enough for a socket
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			state, once := filepath.Join(dir, "state"), filepath.Join(dir, "once")
			script := fmt.Sprintf("#!/bin/sh\nif mkdir %q 2>/dev/null; then\n mv %q %q\n", once, state, filepath.Join(dir, "moved"))
			if replaced {
				script += fmt.Sprintf(" mkdir %q\n", state)
			}
			script += fmt.Sprintf("fi\nexec %q provider\n", self)
			path := filepath.Join(dir, "plugin")
			if err := filestest.WriteProgram(path, []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			c := realCommand(state, slog.New(slog.DiscardHandler))
			c.Path, c.Args = path, nil
			_, err = c.Launch(t.Context())
			var fault *Fault
			if err == nil || errors.As(err, &fault) || !strings.Contains(err.Error(), "was moved, removed or replaced") {
				t.Fatalf("got %v", err)
			}
			in, err := c.Launch(t.Context())
			if err != nil {
				t.Fatalf("the next start: %v", err)
			}
			in.End(0)
		})
	}
}
