package process

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/hearsay"
)

const (
	// longestLine bounds one line of a plugin's output; the rest is dropped.
	longestLine = hearsay.Line
	// heldLine is more, so that a secret that begins in what is kept is seen
	// whole.
	heldLine = 2 * longestLine
)

// lineWriter hands the lines that are written to it to emit, without their
// ends and cut at heldLine; cut says that a line was longer than longestLine. It
// keeps no memory between lines.
type lineWriter struct {
	emit func(line []byte, cut bool)
	// pace slows down who writes too much; nil: nobody.
	pace func(bytes int)

	mu   sync.Mutex
	line []byte
	cut  bool
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for rest := p; ; {
		before, after, ended := bytes.Cut(rest, []byte{'\n'})
		w.line = append(w.line, before[:min(len(before), heldLine-len(w.line))]...)
		w.cut = w.cut || len(w.line) > longestLine
		if !ended {
			break
		}
		w.flush()
		rest = after
	}
	if w.pace != nil {
		w.pace(len(p))
	}
	return len(p), nil
}

// Close emits a last line that has no end.
func (w *lineWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
	return nil
}

func (w *lineWriter) flush() {
	if len(w.line) > 0 {
		w.emit(w.line, w.cut)
	}
	w.line, w.cut = nil, false
}

// copyLines copies until r ends, with a buffer that fits an idle process.
func copyLines(w io.WriteCloser, r io.Reader) {
	buf := make([]byte, 1<<10)
	for {
		n, err := r.Read(buf)
		_, _ = w.Write(buf[:n])
		if err != nil {
			_ = w.Close()
			return
		}
	}
}

// outputLog turns a plugin process's output into log records. Each of them has
// the field "stream", and whatever a line says of itself is in the group
// "plugin": no line of a plugin can be taken for one of the supervisor's.
type outputLog struct {
	log     *slog.Logger
	secrets *hearsay.Secrets
	flood   *flood
	// at is when the line was written that is logged now.
	at time.Time
	// panicking: the lines belong to the trace of a Go panic.
	panicking bool
	// said is the end of the messages before, and ended that of all that was said
	// with them: a secret may go on in the next line.
	said, ended string
	// fieldsSaid are the ends of the values of the last structured line's fields,
	// which people read below each other.
	fieldsSaid map[string][]string
}

func newOutputLog(log *slog.Logger, secrets *hearsay.Secrets) *outputLog {
	return &outputLog{log: log, secrets: secrets, flood: newFlood(log)}
}

// beside is for another stream of the same process.
func (o *outputLog) beside() *outputLog {
	return &outputLog{log: o.log, secrets: o.secrets, flood: o.flood}
}

// writer hands the lines that are written to it to emit, which is a method of
// o, as far as they are not too many.
func (o *outputLog) writer(emit func(line []byte, cut bool)) *lineWriter {
	return &lineWriter{pace: o.flood.pace, emit: func(line []byte, cut bool) {
		if !o.flood.admit(len(line)) {
			return
		}
		at := time.Now()
		o.secrets.WhenKnown(func() {
			o.at = at
			emit(line, cut)
		})
	}}
}

// stderr logs a line of the standard error: a structured one (JSON with
// @level and @message, as package sdk and hclog write it) under its level, the
// trace of a panic as errors, any other at info.
func (o *outputLog) stderr(line []byte, cut bool) {
	if len(line) > 0 && line[0] == '{' && !cut {
		if level, text, fields, ok := structured(line); ok {
			o.structured(level, text, fields)
			return
		}
	}
	level := slog.LevelInfo
	text := string(line)
	if strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: ") {
		o.panicking = true
	}
	if o.panicking {
		level = slog.LevelError
	}
	o.record(level, text, "stderr", cut)
}

// stdout logs a line of the standard output, which carries nothing but the
// handshake, as far as the supervisor is concerned.
func (o *outputLog) stdout(line []byte, cut bool) {
	o.record(slog.LevelDebug, string(line), "stdout", cut)
}

func (o *outputLog) record(level slog.Level, text, stream string, cut bool) {
	if !o.log.Enabled(context.Background(), level) {
		return
	}
	clean := o.secrets.CleanTogether([]string{o.said, o.ended}, []string{text}, longestLine)[0]
	o.said = hearsay.End(o.said + "\n" + text)
	o.ended = o.said
	o.tell(level, clean, stream, cut)
}

// structured logs a line that says its own level.
func (o *outputLog) structured(level slog.Level, text string, fields map[string]any) {
	if !o.log.Enabled(context.Background(), level) {
		return
	}
	clean, attrs := o.fields(text, fields)
	o.said = hearsay.End(o.said + "\n" + text)
	o.tell(level, clean, "stderr", false, attrs...)
}

// tell logs what is clean.
func (o *outputLog) tell(level slog.Level, text, stream string, cut bool, fields ...slog.Attr) {
	r := slog.NewRecord(o.at, level, text, 0)
	r.AddAttrs(slog.String("stream", stream))
	if cut {
		r.AddAttrs(slog.Bool("cut", true))
	}
	if len(fields) > 0 {
		r.AddAttrs(slog.GroupAttrs("plugin", fields...))
	}
	_ = o.log.Handler().Handle(context.Background(), r)
}

// structured reads a JSON log line. What it holds is the plugin's: nothing is
// assumed about the types of its values.
func structured(line []byte) (level slog.Level, text string, fields map[string]any, ok bool) {
	if json.Unmarshal(line, &fields) != nil {
		return 0, "", nil, false
	}
	text, ok = fields["@message"].(string)
	name, named := fields["@level"].(string)
	if !ok || !named {
		return 0, "", nil, false
	}
	const trace = slog.LevelDebug - 4
	if strings.EqualFold(name, "trace") {
		level = trace
	} else if level.UnmarshalText([]byte(name)) != nil {
		level = slog.LevelInfo
	}
	return min(max(level, trace), slog.LevelError), text, fields, true
}

// tail keeps the last line of the standard error of a process that has not
// been given any secret yet. An earlier process of the plugin has, so it is
// cleaned all the same.
type tail struct {
	secrets *hearsay.Secrets

	mu   sync.Mutex
	off  bool
	line string
}

func (t *tail) add(line []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// The first line of a panic says more than the last of its trace.
	if t.off || strings.HasPrefix(t.line, "panic: ") {
		return
	}
	if _, text, _, ok := structured(line); ok {
		t.line = t.secrets.Clean(text, 300)
	} else {
		t.line = t.secrets.Clean(string(line), 300)
	}
}

// stop forgets the line and keeps no further one.
func (t *tail) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.off, t.line = true, ""
}

func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.line
}
