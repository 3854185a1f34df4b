package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// goesOn tells a person at a terminal that work goes on which takes long, on a line of
// stderr that is gone when ended is called. wanted: it is worth telling.
func (e *env) goesOn(work string, wanted bool) (ended func()) {
	if !wanted || e.json || !isTerminal(e.stderr) || e.getenv("TERM") == "dumb" {
		return func() {}
	}
	begun, over := time.Now(), make(chan struct{})
	show := func() { showWork(e.stderr, work, time.Since(begun)) }
	show()
	var telling sync.WaitGroup
	telling.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				show()
			}
		}
	})
	return sync.OnceFunc(func() {
		close(over)
		telling.Wait()
		_, _ = io.WriteString(e.stderr, "\r\x1b[K")
	})
}

// showWork writes the line anew, with how long it has taken as soon as that is worth
// telling.
func showWork(w io.Writer, work string, taken time.Duration) {
	line := work + " …"
	if seconds := int(taken.Seconds()); seconds > 0 {
		line += fmt.Sprintf(" %d s", seconds)
	}
	_, _ = io.WriteString(w, "\r\x1b[K"+shortened(line, widthOf(w)-1))
}

// isLarge says whether a file takes long to read as a configuration.
func isLarge(path string) bool {
	const much = 64 << 10
	info, err := os.Stat(path)
	return err == nil && info.Size() > much
}
