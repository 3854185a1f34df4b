package format

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// object is a JSON object whose fields are read as leniently as real files
// need it: a field of the wrong kind counts as missing.
type object map[string]json.RawMessage

func (o object) has(name string) bool { _, ok := o[name]; return ok }

func (o object) hasToken() bool { return o.has("access_token") || o.has("refresh_token") }

func (o object) object(name string) object {
	var v object
	if json.Unmarshal(o[name], &v) != nil {
		return nil
	}
	return v
}

func (o object) text(name string) string {
	var v string
	if json.Unmarshal(o[name], &v) != nil {
		return ""
	}
	return v
}

func (o object) secret(name string) sdk.Secret { return sdk.NewSecret(o.text(name)) }

func (o object) bool(name string) bool {
	var v bool
	return json.Unmarshal(o[name], &v) == nil && v
}

// number reads a JSON number, or one in a string.
func (o object) number(name string) (float64, bool) {
	s := string(o[name])
	if text := o.text(name); text != "" {
		s = strings.TrimSpace(text)
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

// count reads a whole number that is not negative; 0 for everything else.
func (o object) count(name string) uint64 {
	n, err := strconv.ParseUint(string(o[name]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// seconds reads a duration in seconds.
func (o object) seconds(name string) (time.Duration, bool) {
	f, ok := o.number(name)
	if !ok || math.Abs(f) > maxSpan.Seconds() {
		return 0, false
	}
	return time.Duration(f * float64(time.Second)), true
}

// maxSpan is longer than any token lives, and short enough to be added to any
// time.
const maxSpan = 100 * 365 * 24 * time.Hour

// time is [object.moment] for whom the zone does not matter.
func (o object) time(name string, loc *time.Location) time.Time {
	t, _ := o.moment(name, loc)
	return t
}

// moment reads a moment: epoch seconds (or milliseconds, where seconds would be
// beyond all years) as a number or a string, or ISO 8601 with an offset, with
// Z, or naive in loc. Zero if there is none, or none that a token has.
func (o object) moment(name string, loc *time.Location) (at time.Time, naive bool) {
	if f, ok := o.number(name); ok {
		return fromEpoch(f), false
	}
	s := strings.TrimSpace(o.text(name))
	s = strings.Replace(s, " ", "T", 1)
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return moment.Known(t.UTC()), false
		}
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			at := moment.Known(fromWall(t, loc).UTC())
			return at, !at.IsZero()
		}
	}
	return time.Time{}, false
}

// epochMilliseconds: an epoch above it is in milliseconds. As seconds it is in
// the year 5138.
const epochMilliseconds = 1e11

func fromEpoch(f float64) time.Time {
	if f > epochMilliseconds {
		f /= 1000
	}
	if f <= 0 || f > epochMilliseconds {
		return time.Time{}
	}
	whole, fraction := math.Modf(f)
	// A float of this size carries microseconds and little more.
	return moment.Known(time.Unix(int64(whole), int64(fraction*1e6)*1e3).UTC())
}

// fromWall returns the moment at which a wall clock in loc shows what wall
// shows in UTC. Where two moments do (the clock is put back) and where none
// does (it is put forward), it is the earlier of the two in question: a token
// that is thought to die too early is only refreshed too early.
func fromWall(wall time.Time, loc *time.Location) time.Time {
	const beyond = 26 * time.Hour // above any offset, below any two changes
	_, before := wall.Add(-beyond).In(loc).Zone()
	_, after := wall.Add(beyond).In(loc).Zone()
	a := wall.Add(-time.Duration(before) * time.Second)
	b := wall.Add(-time.Duration(after) * time.Second)
	if b.Before(a) {
		a, b = b, a
	}
	if !shows(a, wall, loc) && shows(b, wall, loc) {
		return b
	}
	return a
}

func shows(t, wall time.Time, loc *time.Location) bool {
	_, offset := t.In(loc).Zone()
	return t.Add(time.Duration(offset) * time.Second).Equal(wall)
}

// epoch is t in whole seconds, rounded to the earlier; 0 for the zero time.
func epoch(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
