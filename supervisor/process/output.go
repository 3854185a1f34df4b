package process

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
)

const (
	// longestLine bounds one line of a plugin's output; the rest is dropped.
	longestLine = 8 << 10
	// mostFields bounds the fields of one structured line.
	mostFields = 32
)

// lineWriter hands the lines that are written to it to emit, without their
// ends and cut at longestLine. It keeps no memory between lines.
type lineWriter struct {
	emit func(line []byte, cut bool)

	mu   sync.Mutex
	line []byte
	cut  bool
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range p {
		switch {
		case b == '\n':
			w.flush()
		case len(w.line) < longestLine:
			w.line = append(w.line, b)
		default:
			w.cut = true
		}
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

// outputLog turns a plugin process's output into log records.
type outputLog struct {
	log *slog.Logger
	// panicking: the lines belong to the trace of a Go panic.
	panicking bool
}

// stderr logs a line of the standard error: a structured one (JSON with
// @level and @message, as package sdk and hclog write it) under its level, the
// trace of a panic as errors, any other at info.
func (o *outputLog) stderr(line []byte, cut bool) {
	if len(line) > 0 && line[0] == '{' && !cut {
		if level, text, attrs, ok := structured(line); ok {
			o.log.LogAttrs(context.Background(), level, text, attrs...)
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
	o.plain(level, text, "stderr", cut)
}

// stdout logs a line of the standard output, which carries nothing but the
// handshake, as far as the supervisor is concerned.
func (o *outputLog) stdout(line []byte, cut bool) {
	o.plain(slog.LevelDebug, string(line), "stdout", cut)
}

func (o *outputLog) plain(level slog.Level, text, stream string, cut bool) {
	attrs := []slog.Attr{slog.String("stream", stream)}
	if cut {
		attrs = append(attrs, slog.Bool("cut", true))
	}
	o.log.LogAttrs(context.Background(), level, text, attrs...)
}

// structured reads a JSON log line. What it holds is the plugin's: nothing is
// assumed about the types of its values.
func structured(line []byte) (level slog.Level, text string, attrs []slog.Attr, ok bool) {
	var fields map[string]any
	if json.Unmarshal(line, &fields) != nil {
		return 0, "", nil, false
	}
	text, ok = fields["@message"].(string)
	name, named := fields["@level"].(string)
	if !ok || !named {
		return 0, "", nil, false
	}
	if strings.EqualFold(name, "trace") {
		name = "debug-4"
	}
	if level.UnmarshalText([]byte(name)) != nil {
		level = slog.LevelInfo
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		switch {
		case strings.HasPrefix(key, "@"):
		case len(attrs) == mostFields:
			return level, text, append(attrs, slog.Bool("cut", true)), true
		case key == Provider.String(), key == Sink.String(), key == slog.TimeKey, key == slog.LevelKey, key == slog.MessageKey:
			// These keys are the supervisor's own.
			attrs = append(attrs, attr("plugin_"+key, fields[key]))
		default:
			attrs = append(attrs, attr(key, fields[key]))
		}
	}
	return level, text, attrs, true
}

func attr(key string, value any) slog.Attr {
	switch v := value.(type) {
	case string:
		return slog.String(key, v)
	case bool:
		return slog.Bool(key, v)
	case float64:
		if v == float64(int64(v)) {
			return slog.Int64(key, int64(v))
		}
		return slog.Float64(key, v)
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return slog.String(key, fmt.Sprintf("%T", v))
		}
		return slog.String(key, string(b))
	}
}

// tail keeps the last line of the standard error of a process that has not
// been given any secret yet.
type tail struct {
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
		t.line = clip(text, 300)
	} else {
		t.line = clip(string(line), 300)
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
