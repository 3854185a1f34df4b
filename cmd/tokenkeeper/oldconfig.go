package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// oldConfig says that the supervisor goes on with what its configuration file
// said once, what it says by now, how that comes into use, and why that has failed; "": it
// says the same.
func oldConfig(s control.Status, now time.Time) string {
	failed := ""
	if s.ConfigReloadError != "" {
		failed = "failed (" + moment.Text(s.ConfigReloadFailedAt, now, false) + ")"
	}
	switch {
	case !s.ConfigChanged && failed == "":
		return ""
	case !s.ConfigChanged:
		return fmt.Sprintf("The last reload of %s %s: %s. To try again: %s", s.Config, failed, s.ConfigReloadError, control.ToUse)
	}
	text := fmt.Sprintf("%s has changed since the supervisor (PID %d) read it: all that runs goes on with the old one. ", s.Config, s.PID)
	written := ""
	if !s.ConfigWrittenAt.IsZero() {
		written = " (written " + moment.Text(s.ConfigWrittenAt, now, false) + ")"
	}
	switch {
	case failed != "" && s.ConfigReloadError == s.ConfigProblem:
		return text + fmt.Sprintf("The last reload %s, and so would a start with the new one%s: %s", failed, written, s.ConfigProblem)
	case failed != "":
		text += fmt.Sprintf("The last reload %s: %s. ", failed, s.ConfigReloadError)
	}
	switch {
	case s.ConfigProblem != "":
		return text + fmt.Sprintf("A start with the new one%s would fail: %s", written, s.ConfigProblem)
	case s.ConfigDifference != "":
		text += fmt.Sprintf("In the new one%s: %s; \"tokenkeeper diff\" shows it. ", written, s.ConfigDifference)
	}
	if failed != "" && !s.ConfigWrittenAt.After(s.ConfigReloadFailedAt) {
		return text + "Mend that, and then: " + control.ToUse
	}
	return text + "To use the new one: " + control.ToUse
}

// oldProgram says that the supervisor goes on with a program in whose place there is
// another one; "": there is none.
func oldProgram(s control.Status, now time.Time) string {
	if !s.ProgramReplaced {
		return ""
	}
	return fmt.Sprintf("%s is another program than the one that the supervisor (PID %d) was started with, %s: that one (%s) goes on, and its providers with it; "+
		"to use the new one, stop the supervisor and start it again (systemctl restart tokenkeeper)",
		s.Program, s.PID, moment.Relative(s.StartedAt, now), s.Version)
}

// outOfDate is what the supervisor does not use yet of what is there.
func outOfDate(s control.Status, now time.Time) (lines []string) {
	for _, line := range []string{oldConfig(s, now), oldProgram(s, now)} {
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// warnOfOldConfig is for a verb that has done what it was asked, or did not find
// what it was asked for. Nothing is said if it can't be found out.
func (e *env) warnOfOldConfig(ctx context.Context, c *control.Client) {
	if s, err := c.Status(ctx); err == nil {
		for _, text := range outOfDate(s, e.now()) {
			e.warn("%s", text)
		}
	}
}

// warnOfOldNames is for a verb that failed: what is not known may stand in the
// file already, unless the error says so.
func (e *env) warnOfOldNames(ctx context.Context, err error) {
	refused := (*control.Error)(nil)
	if !errors.As(err, &refused) || refused.Code != control.CodeNotFound || refused.InFile {
		return
	}
	c, err := e.client()
	if err != nil {
		return
	}
	defer c.Close()
	e.warnOfOldConfig(ctx, c)
}
