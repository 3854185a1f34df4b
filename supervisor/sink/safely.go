package sink

import (
	"fmt"
	"runtime"
)

// safely calls into a sink. A sink that panics has failed.
func safely(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return call()
}

// panicked tells where the sink panicked, and not with what: the value could
// hold a token.
func panicked(p any) error {
	at := "an unknown place"
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for seen := false; ; {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			seen = true
		case seen && f.Function != "runtime.panicmem" && f.Function != "runtime.sigpanic":
			at = fmt.Sprintf("%s:%d", f.Function, f.Line)
			more = false
		}
		if !more {
			break
		}
	}
	return fmt.Errorf("the sink's code panicked (%T) in %s; please report it", p, at)
}
