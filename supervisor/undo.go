package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// This file is the way back from a change that can't be made, once providers were ended
// for it: to the same accounts, shared files and programs as before. Nothing of them is
// looked for again, so that what has gone meanwhile is in nobody's way here: a program
// that is not there any more is its process's trouble, as at any time.

// errBroken is of a change in whose middle something panicked that no way leads back from.
var errBroken = errors.New("the configuration was being read again, and nobody can say who keeps the tokens now: the supervisor ends, for the service manager to start it again")

// ends ends the supervisor if a change panics: those who were ended may have nobody in
// their place, and nobody would see that.
func (c change) ends(why *error) {
	if v := recover(); v != nil {
		*why = fmt.Errorf("%w: %w", errBroken, panicked(c.s.log, v))
		select {
		case c.s.broken <- *why:
		default: // it ends already
		}
		c.kept.drop(c.was)
	}
}

// panicked logs a panic and returns it as an error. The value may hold anything, a token
// too: its type and the stack have to do.
func panicked(log *slog.Logger, v any) error {
	log.Error("a panic while the configuration is read again", "type", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
	return fmt.Errorf("a panic of type %T, which is a defect of Tokenkeeper: please report it with what the log says", v)
}

// back is that way, to who was there and was kept.
func (c change) back() change {
	back := change{builder{c.s, roster.Nobody(c.was.Config)}, c.what, c.was, c.providers, nil, false, kept{}}
	back.keep()
	return back
}

// goOn starts the processes of those who were ended, and not retired, again.
func (c change) goOn() {
	back := c.back()
	for name, m := range back.ended() {
		k, b := c.was.Keepers[name], c.was.Beats[name]
		back.of.Keepers[name], back.of.Beats[name] = k, b
		back.of.Members[name] = m.Again(back.s.observed.work(k), back.beside(name))
	}
	back.s.roster.Replace(back.of)
	back.s.postRestorer()
	back.postProviders(back.of)
}

// ended are the processes of those providers that were ended.
func (c change) ended() map[string]*process.Member {
	all := map[string]*process.Member{}
	for _, name := range c.providers {
		if m, ok := c.was.Members[name]; ok {
			all[name] = m
		}
	}
	return all
}

// undo has others go on in the place of those who were retired, with the files that
// restore brings back, and returns why that was necessary, and who could not.
func (c change) undo(ctx context.Context, why error, restore func()) error {
	back := c.back()
	var failed []string
	for name, m := range back.ended() {
		k, err := refresh.Again(ctx, c.was.Keepers[name])
		if err != nil {
			failed = append(failed, fmt.Sprintf("provider %s: %v", name, err))
			m.Drop()
			continue
		}
		back.of.Keepers[name], back.of.Beats[name] = k, back.newBeats(name, k)
		back.of.Members[name] = m.Again(back.s.observed.work(k), back.beside(name))
	}
	restore()
	back.install(ctx)
	if len(failed) > 0 {
		return fmt.Errorf("%w; and what was ended for it can't begin again, so that nobody keeps its tokens: %s; reload once more when that is mended, or restart the service",
			why, strings.Join(failed, "; "))
	}
	return why
}
