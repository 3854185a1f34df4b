package control

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

const (
	// readPause is the least time between two lines about one reader and account.
	readPause = time.Minute
	// mostReadings are so many readers and accounts whose reads are joined at a time; of
	// more each read is told.
	mostReadings = 10_000
)

// readings tells what readers read: the first read at once, and those that follow within
// a minute together, when it is over. Every read is counted in one line.
type readings struct {
	events *event.Bus

	mu sync.Mutex
	// open are the readers and accounts of whom a line was told less than a minute ago;
	// nil: the server does not serve, and nothing is joined that nobody would tell.
	open map[reading]*joined
}

// reading is who reads, and of which account; "": of one that there is not.
type reading struct {
	uid     uint32
	account string
}

// read is what came of one read: a version, or the code of why there is none.
type read struct {
	act     string
	version uint64
	code    string
}

// joined are the reads since the last line.
type joined struct {
	count  map[read]int
	newest told
	timer  *time.Timer
}

// told is a read as it is told.
type told struct {
	read
	account string
	caller  event.Caller
}

// begin joins reads from now on, until end.
func (s *readings) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = map[reading]*joined{}
}

// add tells of a read, or counts it for the next line.
func (s *readings) add(account string, r read, by event.Caller) {
	one, of := told{r, account, by}, reading{by.UID, account}
	if r.code == CodeNotFound { // there are as many such names as somebody makes up
		of.account = ""
	}
	if !s.joins(of, one) {
		s.tell(one, map[read]int{r: 1}, 0)
	}
}

// joins counts a read, if another one was told of late.
func (s *readings) joins(of reading, one told) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.open[of]
	if j != nil {
		j.count[one.read]++
		j.newest = one
		return true
	}
	if s.open != nil && len(s.open) < mostReadings {
		s.open[of] = &joined{count: map[read]int{}, timer: time.AfterFunc(readPause, func() { s.minute(of) })}
	}
	return false
}

// minute tells of what has come since the last line; of nothing, the next one is told at
// once again.
func (s *readings) minute(of reading) {
	s.mu.Lock()
	j := s.open[of]
	if j == nil {
		s.mu.Unlock()
		return
	}
	count := j.count
	if len(count) == 0 {
		delete(s.open, of)
	} else {
		j.count = map[read]int{}
		j.timer.Reset(readPause)
	}
	newest := j.newest
	s.mu.Unlock()
	s.tellJoined(newest, count)
}

// end tells of everything that was not told yet.
func (s *readings) end() {
	s.mu.Lock()
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for _, j := range open { // which nobody changes any more
		j.timer.Stop()
		s.tellJoined(j.newest, j.count)
	}
}

func (s *readings) tellJoined(newest told, count map[read]int) {
	times := 0
	for _, n := range count {
		times += n
	}
	if times > 0 {
		s.tell(newest, count, times)
	}
}

// tell is one line, about so many reads that follow another line; 0: about one read.
func (s *readings) tell(newest told, count map[read]int, times int) {
	text := "the reader " + trust.Here().User(int(newest.caller.UID)) + " " + textOf(count)
	if times > 0 {
		text += fmt.Sprintf("; %d more within a minute", times)
	}
	version := uint64(0)
	for r := range count {
		version = max(version, r.version)
	}
	s.events.Publish(slog.LevelInfo, event.Event{
		Type: event.Audit, Message: text, Version: version, Account: newest.account,
		Act: &event.Act{Name: newest.act, Times: times, Caller: newest.caller},
	})
}

// textOf says what came of reads.
func textOf(count map[read]int) string {
	var parts []string
	for _, r := range slices.SortedFunc(maps.Keys(count), func(x, y read) int {
		return cmp.Or(cmp.Compare(x.act, y.act), cmp.Compare(x.version, y.version), cmp.Compare(x.code, y.code))
	}) {
		switch {
		case len(count) == 1 && r.code == "":
			return "gets a token over the control API"
		case len(count) == 1:
			return "gets no token over the control API (" + r.code + ")"
		case r.code == "":
			parts = append(parts, fmt.Sprintf("%s: version %d (%d)", r.act, r.version, count[r]))
		default:
			parts = append(parts, fmt.Sprintf("%s: %s (%d)", r.act, r.code, count[r]))
		}
	}
	return "asks for tokens over the control API, " + strings.Join(parts, ", ")
}
