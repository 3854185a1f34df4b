package format

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// restyle writes t as old is written: epoch seconds or milliseconds, as a
// number or as text, or ISO 8601. It returns nil if old is none of these. What
// can't be written so exactly is rounded to the earlier.
func restyle(old json.RawMessage, t time.Time, loc *time.Location) json.RawMessage {
	if isNumber(old) {
		return json.RawMessage(epochLike(string(old), t))
	}
	s, ok := text(old)
	if !ok {
		return nil
	}
	if s = strings.TrimSpace(s); isNumber([]byte(s)) {
		return quote(epochLike(s, t))
	}
	if iso := isoLike(s, t, loc); iso != "" {
		return quote(iso)
	}
	return nil
}

func epochLike(old string, t time.Time) string {
	f, err := strconv.ParseFloat(old, 64)
	inMilliseconds := err == nil && f > epochMilliseconds
	switch {
	case strings.ContainsAny(old, ".eE"):
		v := float64(t.UnixMicro()) / 1e6
		if inMilliseconds {
			v *= 1000
		}
		s := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	case inMilliseconds:
		return strconv.FormatInt(t.UnixMilli(), 10)
	}
	return strconv.FormatInt(t.Unix(), 10)
}

var isoTime = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\d{4}-\d\d-\d\d([T ])\d\d:\d\d(?::\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d|[+-]\d{4})?$`)
})

// isoLike returns "" if old is no time in ISO 8601.
func isoLike(old string, t time.Time, loc *time.Location) string {
	m := isoTime().FindStringSubmatch(old)
	if m == nil {
		return ""
	}
	separator, fraction, offset := m[1], m[2], m[3]
	layout := "2006-01-02" + separator + "15:04:05"
	switch {
	case fraction == "":
	case len(fraction) == len(".000000") && t.Nanosecond() < int(time.Microsecond):
		// Python's isoformat leaves out microseconds that are zero.
	default:
		layout += "." + strings.Repeat("0", len(fraction)-1)
	}
	switch {
	case offset == "":
		return t.In(loc).Format(layout)
	case offset == "Z":
		return t.UTC().Format(layout) + "Z"
	case offset[3] == ':':
		layout += "-07:00"
	default:
		layout += "-0700"
	}
	return t.In(zoneOf(old, offset, loc)).Format(layout)
}

// zoneOf is loc if old has loc's offset at its own time, so that the offset
// goes along with the clock changes; else the fixed offset that old has.
func zoneOf(old, offset string, loc *time.Location) *time.Location {
	fixed, err := time.Parse("-0700", strings.Replace(offset, ":", "", 1))
	if err != nil {
		return time.UTC
	}
	_, seconds := fixed.Zone()
	value, _ := json.Marshal(old)
	at := object{"at": value}.time("at", loc)
	if _, local := at.In(loc).Zone(); !at.IsZero() && local == seconds {
		return loc
	}
	return time.FixedZone("", seconds)
}
