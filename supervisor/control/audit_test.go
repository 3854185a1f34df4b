package control_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

func TestActsAreAudited(t *testing.T) {
	dir, err := os.MkdirTemp("", "tk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ln, err := control.Listen(filepath.Join(dir, "c.sock"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	stop := serveOn(t, ln, control.NewServer(&backend{}, event.NewBus(log, time.Now), log))
	c := control.NewClient(filepath.Join(dir, "c.sock"))
	_, _ = c.Status(t.Context())
	_, _ = c.Token(t.Context(), "main")
	_, _ = c.Refresh(t.Context(), "main", true)
	_, _ = c.Import(t.Context(), control.ImportRequest{Account: "main", Body: []byte("CANARY")})
	_, _ = c.CompleteLogin(t.Context(), "main", "https://x/?code=CANARY")
	c.Close()
	stop()
	exe, _ := os.Executable()
	for _, act := range []string{"token", "refresh", "import", "login/complete"} {
		want := fmt.Sprintf("event=audit act=%s uid=%d pid=%d program=%s account=main", act, os.Geteuid(), os.Getpid(), exe)
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), "event=audit"); n != 4 || strings.Contains(out.String(), "CANARY") || !strings.Contains(out.String(), "force=true") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}
