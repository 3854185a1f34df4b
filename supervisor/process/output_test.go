package process

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/hearsay"
)

func TestOutputReachesTheLog(t *testing.T) {
	t.Parallel()
	r := runReal(t, "chatter")
	r.await(event.ProviderStarted)
	for _, part := range []string{"structured", "plain x", "out of Stdout", "out of Stderr", "past the handshake", "goroutine 1"} {
		awaitLog(t, r.log, part)
	}
	r.stop()
	for _, c := range []struct{ part, level, field string }{
		{`"msg":"structured"`, "WARN", `"stream":"stderr","plugin":{"account":"a1","count":3}`},
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
	t.Parallel()
	r := runReal(t, "grandchild")
	r.await(event.ProviderStarted)
	awaitLog(t, r.log, `"msg":"grandchild"`)
	var fields struct{ Plugin struct{ PID int } }
	if err := json.Unmarshal([]byte(lineWith(r.log.String(), `"msg":"grandchild"`)), &fields); err != nil || fields.Plugin.PID == 0 {
		t.Fatal("no PID of the grandchild: ", err)
	}
	_ = unix.Kill(r.member.Status().PID, unix.SIGKILL)
	r.await(event.ProviderStopped) // the grandchild holds its output open for as long as it lives
	gone(t, fields.Plugin.PID, 8)
}

// A daemon that a plugin has started ends with it, however it ends, and is told.
func TestDaemonOfAPluginEndsWithIt(t *testing.T) {
	t.Parallel()
	r := runReal(t, "daemon")
	for range 2 {
		r.await(event.ProviderStarted)
		awaitLog(t, r.log, `"msg":"daemon"`)
		var fields struct{ Plugin struct{ PID int } }
		if err := json.Unmarshal([]byte(lineWith(r.log.String(), `"msg":"daemon"`)), &fields); err != nil || fields.Plugin.PID == 0 {
			t.Fatal("no PID of the daemon: ", err)
		}
		r.log.reset()
		_ = unix.Kill(r.member.Status().PID, unix.SIGKILL)
		awaitLog(t, r.log, "a process that the plugin left behind was killed")
		if line := lineWith(r.log.String(), "left behind"); !strings.Contains(line, fmt.Sprintf(`"pid":%d,"program":"sleep"`, fields.Plugin.PID)) {
			t.Errorf("told as %s", line)
		}
		gone(t, fields.Plugin.PID, 8)
	}
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
		o := newOutputLog(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.Level(-100)})).With("provider", "p"), hearsay.New())
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

// What a line says of itself can't be taken for the supervisor's word.
func TestForgedLines(t *testing.T) {
	var log bytes.Buffer
	o := newOutputLog(slog.New(slog.NewTextHandler(&log, nil)).With("provider", "p"), hearsay.New())
	o.stderr([]byte(`{"@level":"error","@message":"token refreshed\nlevel=INFO msg=forged","event":"refreshed","provider":"other",`+
		`"account":"a2","kind":"x","level":"INFO","msg":"m","time":"t","stream":"none","plugin.x":1,"a=b c":"\u001b[31m"}`), false)
	o.stderr([]byte(`time=2026-01-01T00:00:00Z level=INFO msg="token refreshed" event=refreshed account=a2`), false)
	for line := range strings.Lines(log.String()) {
		before, said, _ := strings.Cut(line, "msg=")
		if strings.Contains(before, "refreshed") || !strings.Contains(said, " provider=p stream=stderr") {
			t.Errorf("%s", line)
		}
		for _, key := range []string{"event", "account", "kind", "level", "provider", "time", "stream"} {
			if outside := unquotedText(said); strings.Contains(outside, " "+key+"=") && key != "provider" && key != "stream" || strings.Count(outside, " "+key+"=") > 1 {
				t.Errorf("%s passes for ours in %s", key, line)
			}
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("two lines became %d:\n%s", n, log.String())
	}
}

// unquotedText is line without what stands in quotation marks.
func unquotedText(line string) (out string) {
	for i, part := range strings.Split(strings.ReplaceAll(line, `\"`, ""), `"`) {
		if i%2 == 0 {
			out += part
		}
	}
	return out
}

// A process that writes without end does not fill the log, and what was dropped
// is counted.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o := newOutputLog(slog.New(slog.NewJSONHandler(&log, nil)), hearsay.New())
		w := o.writer(o.stderr)
		const minute = 60
		written := 0
		for began := time.Now(); time.Since(began) < minute*time.Second; {
			n, _ := fmt.Fprintf(w, "%s\n", strings.Repeat("line ", 20))
			written++
			if n != 101 {
				t.Fatal(n)
			}
			if written%1000 == 0 { // 20,000 a second
				time.Sleep(50 * time.Millisecond)
			}
		}
		time.Sleep(2 * floodTold)
		synctest.Wait()
		_ = w.Close()
		kept := strings.Count(log.String(), `"stream":"stderr"`)
		if most := mostLines + minute*linesEachSecond; kept > most || kept < most-linesEachSecond {
			t.Errorf("%d lines are kept, %d expected", kept, most)
		}
		dropped, said := 0, 0
		for line := range strings.Lines(log.String()) {
			var told struct{ Lines int }
			if strings.Contains(line, "lines were dropped") && json.Unmarshal([]byte(line), &told) == nil {
				dropped += told.Lines
				said++
			}
		}
		if dropped+kept != written || said < 5 || said > 8 {
			t.Errorf("of %d lines %d are kept and %d counted as dropped, said %d times", written, kept, dropped, said)
		}
		// The reader was held up: this is not gigabytes.
		if bytes := written * 101; bytes > minute*4<<20 {
			t.Errorf("%d bytes were read in a minute", bytes)
		}

		// Bytes count, too.
		log.Reset()
		time.Sleep(time.Hour)
		for range 500 {
			fmt.Fprintf(w, "%s\n", strings.Repeat("x", heldLine))
		}
		if kept := log.Len(); kept > mostBytes+bytesEachSecond {
			t.Errorf("%d bytes are kept", kept)
		}
		o.flood.tell()
	})
}

// A client_id or a PIN may be a number, and be logged as one.
func TestSecretThatIsANumber(t *testing.T) {
	var log bytes.Buffer
	secrets := hearsay.New()
	hears := hearsay.Conn{To: silent{}, Secrets: secrets}
	if err := hears.Invoke(t.Context(), "", &pb.RefreshRequest{Account: &pb.Account{ClientSecret: "482913774655"}}, &pb.TokenResponse{}); err != nil {
		t.Fatal(err)
	}
	o := newOutputLog(slog.New(slog.NewTextHandler(&log, nil)), secrets)
	o.stderr([]byte(`{"@level":"info","@message":"m","client":482913774655,"size":48291,"part":0.5,"list":[482913774655]}`), false)
	if said := log.String(); strings.Contains(said, "482913774655") || !strings.Contains(said, "size=48291") || !strings.Contains(said, "part=0.5") {
		t.Error(said)
	}
}

// Of a structured line the fields, the keys and what lies in lists are read one after
// the other, and so may be the lines.
func TestSecretThatIsSplitOverFields(t *testing.T) {
	const secret = "Q7Z9X8Q6Z5X4"
	for name, lines := range map[string][]string{
		"the message and a field":         {`{"@level":"info","@message":"m Q7Z9X","a":"8Q6Z5X4"}`},
		"fields":                          {`{"@level":"info","@message":"m","a":"Q7Z9X","b":"8Q6Z","c":"5X4"}`},
		"fields in another order":         {`{"@level":"info","@message":"m","b":"8Q6Z5X4","a":"Q7Z9X"}`},
		"keys":                            {`{"@level":"info","@message":"m","Q7Z9X":1,"XQ":2}`, `{"@level":"info","@message":"m","Q7Z9X8Q6Z5X4":1}`},
		"a list":                          {`{"@level":"info","@message":"m","a":["Q7Z9X","8Q6Z5X4"]}`},
		"an object":                       {`{"@level":"info","@message":"m","a":{"x":"Q7Z9X","y":{"z":"8Q6Z5X4"}}}`},
		"two lines' messages":             {`{"@level":"info","@message":"m Q7Z9X8","k":"v"}`, `{"@level":"info","@message":"Q6Z5X4","k":"v"}`},
		"the same field of the next line": {`{"@level":"info","@message":"m","k":"Q7Z9X8"}`, `{"@level":"info","@message":"n","j":"v","k":"Q6Z5X4"}`},
		"the same field of three":         {`{"@level":"info","@message":"m","k":"Q7Z9"}`, `{"@level":"info","@message":"n","k":"X8"}`, `{"@level":"info","@message":"o","k":"Q6Z5X4"}`},
		"the same list of the next line":  {`{"@level":"info","@message":"m","k":["v","Q7Z9X8"]}`, `{"@level":"info","@message":"n","k":["v","Q6Z5X4"]}`},
		"a field and the next one":        {`{"@level":"info","@message":"m","k":"Q7Z9X8"}`, `{"@level":"info","@message":"Q6Z5X4","k":"v"}`},
		"a field and a plain line":        {`{"@level":"info","@message":"m","k":"Q7Z9X8"}`, `Q6Z5X4`},
	} {
		var log bytes.Buffer
		secrets := hearsay.New()
		hears := hearsay.Conn{To: silent{}, Secrets: secrets}
		if err := hears.Invoke(t.Context(), "", &pb.RefreshRequest{Account: &pb.Account{ClientSecret: secret}}, &pb.TokenResponse{}); err != nil {
			t.Fatal(err)
		}
		o := newOutputLog(slog.New(slog.NewTextHandler(&log, nil)), secrets)
		for _, line := range lines {
			o.stderr([]byte(line), false)
		}
		if said := log.String(); strings.Contains(said, "Q6Z5X4") || strings.Contains(said, "8Q6Z") || strings.Contains(said, "5X4") {
			t.Errorf("%s: %s", name, said)
		}
	}
}

// What a usual line says stays as it is.
func TestFieldsStay(t *testing.T) {
	var log bytes.Buffer
	o := newOutputLog(slog.New(slog.NewTextHandler(&log, nil)), hearsay.New())
	o.stderr([]byte(`{"@level":"warn","@message":"slow","took":1.5,"n":3,"ok":true,"none":null,"list":["a",2],"of":{"x":"y"}}`), false)
	const want = `msg=slow stream=stderr plugin.list="[\"a\",2]" plugin.n=3 plugin.none=null plugin.of="{\"x\":\"y\"}" plugin.ok=true plugin.took=1.5`
	if !strings.Contains(log.String(), want) {
		t.Errorf("%s, want %s", log.String(), want)
	}
}
