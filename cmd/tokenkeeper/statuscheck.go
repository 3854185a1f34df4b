package main

import (
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/verdict"
)

// checkStatus prints one line of s, or of why there is none, and says by its exit code
// how everything stands. That nothing answers is an answer too.
func (e *env) checkStatus(s control.Status, failed error) error {
	v := verdict.Of(s, e.now())
	if failed != nil {
		v = verdict.Unanswered(failed)
	}
	var err error
	if e.json {
		err = e.printJSON(v)
	} else {
		err = e.write(v.Line() + "\n")
	}
	if err != nil {
		return &exitError{verdict.Critical, err}
	}
	if v.Code != exitOK {
		return &exitError{v.Code, errSaid}
	}
	return nil
}
