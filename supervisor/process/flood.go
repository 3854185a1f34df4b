package process

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// What is kept of the output of one process. A trace of a panic, or a burst of
// debugging, fits; a loop that writes as fast as it can does not fill the disk
// of the log.
const (
	linesEachSecond, mostLines = 100, 1000
	bytesEachSecond, mostBytes = 64 << 10, 1 << 20
	// floodTold is how often it is said how much was dropped.
	floodTold = 10 * time.Second
	// Whoever writes more than that is read no faster, so that reading it takes
	// no processor: 32 KiB each 10 ms.
	pacedBytes, pacedPause = 32 << 10, 10 * time.Millisecond
)

// flood counts what a process writes, on all of its streams, and drops what is
// too much. It is safe for concurrent use.
type flood struct {
	log *slog.Logger

	mu           sync.Mutex
	lines, bytes float64 // what may still be kept now
	at           time.Time
	dropped      int // lines that nobody was told of
	lost         int // their bytes
	teller       *time.Timer
	ahead        int // bytes read since the last pause
}

func newFlood(log *slog.Logger) *flood {
	return &flood{log: log, lines: mostLines, bytes: mostBytes, at: time.Now()}
}

// admit says whether a line is kept.
func (f *flood) admit(size int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	passed := now.Sub(f.at).Seconds()
	f.at = now
	f.lines = min(f.lines+passed*linesEachSecond, mostLines)
	f.bytes = min(f.bytes+passed*bytesEachSecond, mostBytes)
	if f.lines >= 1 && f.bytes >= float64(size) {
		f.lines--
		f.bytes -= float64(size)
		return true
	}
	f.dropped++
	f.lost += size
	if f.teller == nil {
		f.teller = time.AfterFunc(floodTold, f.tell)
	}
	return false
}

// pace holds up the reader of a process that writes too much.
func (f *flood) pace(read int) {
	f.mu.Lock()
	if f.dropped == 0 {
		f.ahead = 0
	} else {
		f.ahead += read
	}
	pause := f.ahead >= pacedBytes
	if pause {
		f.ahead = 0
	}
	f.mu.Unlock()
	if pause {
		time.Sleep(pacedPause)
	}
}

// tell says how much was dropped since it was last said.
func (f *flood) tell() {
	f.mu.Lock()
	dropped, lost := f.dropped, f.lost
	f.dropped, f.lost = 0, 0
	if f.teller != nil {
		f.teller.Stop()
		f.teller = nil
	}
	f.mu.Unlock()
	if dropped > 0 {
		f.log.LogAttrs(context.Background(), slog.LevelWarn, "the process writes more than is kept of it; lines were dropped",
			slog.Int("lines", dropped), slog.Int("bytes", lost))
	}
}
