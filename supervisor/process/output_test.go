package process

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

func TestOutputReachesTheLog(t *testing.T) {
	r := runReal(t, "chatter")
	r.await(event.ProviderStarted)
	for _, part := range []string{"structured", "plain x", "out of Stdout", "out of Stderr", "past the handshake", "goroutine 1"} {
		awaitLog(t, r.log, part)
	}
	r.stop()
	for _, c := range []struct{ part, level, field string }{
		{`"msg":"structured"`, "WARN", `"account":"a1","count":3`},
		{`{\"@message\": 7`, "INFO", `"stream":"stderr"`},
		{"plain x", "INFO", `"cut":true`},
		{"out of Stdout", "DEBUG", ""},
		{"past the handshake", "DEBUG", `"cut":true`},
		{"panic: as if", "ERROR", ""},
		{"goroutine 1", "ERROR", ""},
	} {
		line := lineWith(r.log.String(), c.part)
		var fields struct{ Level, Provider string }
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Errorf("%s: %v", c.part, err)
			continue
		}
		if fields.Level != c.level || fields.Provider != "real" || !strings.Contains(line, c.field) {
			t.Errorf("%s: %.300s", c.part, line)
		}
		if len(line) > longestLine+500 {
			t.Errorf("%s: a line of %d bytes", c.part, len(line))
		}
	}
	if s := r.member.Status(); s.Crashes != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestGrandchildDoesNotHideADeath(t *testing.T) {
	r := runReal(t, "grandchild")
	r.await(event.ProviderStarted)
	awaitLog(t, r.log, `"msg":"grandchild"`)
	var fields struct{ PID int }
	if err := json.Unmarshal([]byte(lineWith(r.log.String(), `"msg":"grandchild"`)), &fields); err != nil || fields.PID == 0 {
		t.Fatal("no PID of the grandchild: ", err)
	}
	began := time.Now()
	_ = unix.Kill(r.member.Status().PID, unix.SIGKILL)
	r.await(event.ProviderStopped)
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("the death was noticed after %s", d)
	}
	gone(t, fields.PID, 2*time.Second)
}

func lineWith(log, part string) string {
	for line := range strings.Lines(log) {
		if strings.Contains(line, part) {
			return line
		}
	}
	return ""
}

func FuzzStderr(f *testing.F) {
	f.Add([]byte(`{"@level":"info","@message":"x","a":1.5,"b":[null]}` + "\n"))
	f.Add([]byte(`{"@level":1,"@message":{},"@timestamp":[]}` + "\nplain"))
	f.Add([]byte(`{"@level":"debug+1","@message":"","time":"t","provider":"p","msg":1e300}` + "\n\n\x00\xff"))
	f.Add(bytes.Repeat([]byte("x"), 3*longestLine))
	f.Fuzz(func(t *testing.T, output []byte) {
		var log bytes.Buffer
		o := &outputLog{log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.Level(-100)})).With("provider", "p")}
		lines := 0
		w := &lineWriter{emit: func(line []byte, cut bool) {
			lines++
			o.stderr(line, cut)
		}}
		fmt.Fprintf(w, "%s", output)
		_ = w.Close()
		logged := bytes.Count(log.Bytes(), []byte("\n"))
		want := 0
		for line := range bytes.SplitSeq(output, []byte("\n")) {
			if len(line) > 0 {
				want++
			}
		}
		if lines != want || logged < want {
			t.Errorf("%d lines gave %d calls and %d records", want, lines, logged)
		}
	})
}
