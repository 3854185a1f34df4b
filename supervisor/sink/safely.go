package sink

import (
	"fmt"
	"runtime"
)

// safely calls into a sink. A sink that panics has failed.
func safely(call func() error) error { return protect("sink", call) }

// protect makes an error of a panic in somebody's code, so that it is felt
// where the call was made and nowhere else.
func protect(whose string, call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(whose, p)
		}
	}()
	return call()
}

// panicked tells where the code panicked, and not with what: the value could
// hold a token.
func panicked(whose string, p any) error {
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
	return fmt.Errorf("the %s's code panicked (%T) in %s; please report it", whose, p, at)
}
