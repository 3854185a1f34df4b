package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/accountfiles"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config/difference"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/programs"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// This file changes what runs into what the configuration's file says by now. Nothing is
// ended before the whole of it was read and all that can be tried was tried, and what does
// not differ is not touched. A provider of which something differs is made anew with its
// accounts, as at a start, from what the store has, and so is a sink; its process goes on
// where its program and settings are the same.

// ErrReload is of a configuration that can't be used while the supervisor runs. Nothing
// was changed.
var ErrReload = errors.New("the configuration was not read again, and the supervisor goes on with the one that it has")

// Reload reads the configuration again and goes on with it, and returns what has changed.
// What was sent is heard out first. One who does not wait changes nothing by that: what
// comes of it stands in the log.
func (s *Supervisor) Reload(ctx context.Context) (difference.Difference, error) {
	return s.reloadUnless(ctx, func(_, _ *config.Config) error { return nil })
}

// reloadUnless is [Supervisor.Reload] unless refused has something against going on from
// what runs to what the file says.
func (s *Supervisor) reloadUnless(ctx context.Context, refused func(was, is *config.Config) error) (difference.Difference, error) {
	done, err := s.alone(ctx)
	if err != nil {
		return difference.Difference{}, err
	}
	defer done()
	if s.opts.Reread == nil {
		return difference.Difference{}, fmt.Errorf("%w: it came from no file", ErrReload)
	}
	d, err := s.reload(ctx, refused)
	if err != nil {
		if gone := ctx.Err(); gone == nil || !errors.Is(err, gone) {
			s.file.Failed(err, len(s.roster.Now().Lacking()) > 0)
		}
		if !errors.Is(err, errBroken) {
			err = fmt.Errorf("%w:%s%w", ErrReload, separator(err), err)
		}
		s.log.Error(err.Error())
	}
	s.events.Nudge() // that one has failed is an alert, until one has not
	return d, err
}

// alone waits until nobody reads the configuration again, or changes what is stored of an
// account that it does not name, and keeps everybody from both until done is called.
func (s *Supervisor) alone(ctx context.Context) (done func(), err error) {
	select {
	case s.reloading <- struct{}{}:
		return func() { <-s.reloading }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("the configuration is being read again, or what is stored of an account is being moved: %w", ctx.Err())
	}
}

// separator is what stands before an error, by its lines.
func separator(err error) string {
	if strings.Contains(err.Error(), "\n") {
		return "\n"
	}
	return " "
}

func (s *Supervisor) reload(ctx context.Context, refused func(was, is *config.Config) error) (_ difference.Difference, err error) {
	defer func() {
		if v := recover(); v != nil { // of who reads, tries or builds: nobody was ended
			err = panicked(s.log, v)
		}
	}()
	cfg, err := s.opts.Reread()
	if err == nil {
		err = refused(s.roster.Now().Config, cfg)
	}
	if err != nil {
		return difference.Difference{}, err
	}
	c, err := s.prepare(ctx, cfg)
	if err != nil {
		return difference.Difference{}, err
	}
	if c.what.IsZero() && len(c.providers)+len(c.sinks) == 0 {
		s.file.Runs(cfg)
		return c.what, nil
	}
	if s.opts.Check != nil {
		if err := s.opts.Check(ctx, cfg); err != nil {
			if gone := ctx.Err(); gone != nil { // and so this was cut off
				err = gone
			}
			return difference.Difference{}, err
		}
	}
	if err := c.make(context.WithoutCancel(ctx)); err != nil {
		return difference.Difference{}, err
	}
	s.noteConfigured()
	s.noteStanding("when it came into the configuration", c.what.Accounts.Added)
	s.log.Info("the configuration was read again", "changes", c.what.String(), "accounts", len(cfg.Accounts), "sinks", len(cfg.Sinks))
	return c.what, nil
}

// change is the way from who is there to who will be.
type change struct {
	builder
	what difference.Difference
	was  *roster.Present
	// providers and sinks are those that are ended, if they are there, and made anew, if
	// they will be. heartbeat: so is that.
	providers, sinks []string
	heartbeat        bool
	// kept are those of them of which nothing differs but their accounts, and what is
	// configured of those: their processes go on.
	kept kept
}

// kept are names of providers and of sinks.
type kept struct{ providers, sinks []string }

// drop ends those of their processes that nobody has.
func (k kept) drop(was *roster.Present) {
	for _, name := range k.providers {
		if m := was.Members[name]; m != nil {
			m.Drop()
		}
	}
	for _, name := range k.sinks {
		if p := was.Plugins[name]; p != nil {
			p.Drop()
		}
	}
}

// prepare builds what can be built while everything runs.
func (s *Supervisor) prepare(ctx context.Context, cfg *config.Config) (change, error) {
	was := s.roster.Now()
	c := change{builder{s, roster.Nobody(cfg)}, difference.Between(was.Config, cfg), was, nil, nil, false, kept{}}
	if len(c.what.Fixed) > 0 {
		return c, fmt.Errorf("%s can't change while it runs: restart the service, or take that back", strings.Join(c.what.Fixed, ", "))
	}
	everything := slices.ContainsFunc(c.what.Keys, func(key string) bool { return !isOwn(key, "alerts") && !isOwn(key, "heartbeat") && key != "reload" })
	c.providers = c.differing(everything)
	c.sinks = c.differingSinks(everything)
	if !everything {
		c.kept = c.keeping()
	}
	c.heartbeat = slices.ContainsFunc(c.what.Keys, func(key string) bool { return isOwn(key, "heartbeat") })
	c.keep()
	for _, name := range c.sinks {
		if w, ok := was.Workers[name]; ok && w.Summary().Hung > 0 {
			return c, fmt.Errorf("sink %s: a delivery that should have ended hangs, and would come after those of a new one: see tokenkeeper sinks list", name)
		}
		if _, there := cfg.Sinks[name]; there {
			if err := c.addSink(name); err != nil {
				return c, err
			}
		}
	}
	if err := c.tryProviders(ctx); err != nil {
		return c, err
	}
	if c.heartbeat {
		return c, c.addHeartbeat()
	}
	return c, nil
}

// trying is how long a disk may take to say whether a provider can be made.
const trying = 10 * time.Second

// tryProviders finds what would keep them from being made. On a disk that is dead it
// leaves behind who looks.
func (c change) tryProviders(ctx context.Context) error {
	tried := make(chan error, 1)
	go func() {
		for _, name := range c.providers {
			if err := c.try(name); err != nil {
				tried <- err
				return
			}
		}
		tried <- nil
	}()
	select {
	case err := <-tried:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(trying):
		return fmt.Errorf("a disk with a program or a shared file has not answered for %s", trying)
	}
}

// try finds what would keep a provider from being made.
func (c change) try(name string) error {
	accounts := c.of.Config.AccountsOf(name)
	if len(accounts) == 0 {
		return nil
	}
	if c.s.opts.Seams.Launcher == nil {
		if _, err := programs.OfProvider(c.of.Config, name, c.s.opts.Builtin); err != nil {
			return err
		}
	}
	for _, a := range accounts {
		if a.SharedFile != nil {
			if _, err := accountfiles.Open(*a.SharedFile); err != nil {
				return fmt.Errorf("account %s: %w", a.Name, err)
			}
		}
	}
	return nil
}

// make ends who is made anew, and has the others begin.
func (c change) make(ctx context.Context) (err error) {
	defer c.ends(&err)
	c.endProviders()
	if open := c.open(); len(open) > 0 {
		c.goOn()
		return fmt.Errorf("what an attempt has brought account %s is not stored yet: try again once the disk takes it", strings.Join(open, ", "))
	}
	for _, name := range c.providers {
		if k, ok := c.was.Keepers[name]; ok {
			k.Retire()
		}
	}
	files := c.s.shared.Remember()
	if err := c.addProviders(ctx); err != nil {
		return c.undo(ctx, err, files)
	}
	c.endSinks()
	c.install(ctx)
	c.s.file.Runs(c.of.Config)
	return nil
}

func (c change) endProviders() {
	ending := []post{restorePost}
	for _, name := range c.kept.providers {
		c.was.Members[name].Keep()
	}
	for _, name := range c.providers {
		ending = append(ending, providerPost(name))
		for _, a := range c.was.Config.AccountsOf(name) {
			ending = append(ending, sharedPost(a.Name))
		}
	}
	c.s.crew.end(ending...)
}

// open are the accounts of which only their keeper knows what an attempt has brought.
func (c change) open() (names []string) {
	for _, name := range c.providers {
		if k, ok := c.was.Keepers[name]; ok {
			names = append(names, k.Open()...)
		}
	}
	return names
}

func (c change) addProviders(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicked(c.s.log, v)
		}
	}()
	for _, name := range c.providers {
		if len(c.of.Config.AccountsOf(name)) == 0 {
			continue
		}
		if err := c.addProvider(ctx, name); err != nil {
			return fmt.Errorf("provider %s: %w", name, err)
		}
		if was, ok := c.was.Keepers[name]; ok {
			c.of.Keepers[name].TakeOver(was)
		}
		if slices.Contains(c.kept.providers, name) {
			c.of.Members[name].Succeed(c.was.Members[name])
		}
	}
	return nil
}

func (c change) endSinks() {
	var workers, processes []post
	for _, name := range c.kept.sinks {
		c.was.Plugins[name].Keep()
	}
	for _, name := range c.sinks {
		workers, processes = append(workers, sinkPost(name)), append(processes, sinkProcessPost(name))
	}
	c.s.crew.end(workers...)
	c.s.crew.end(processes...)
	for _, name := range c.kept.sinks {
		c.of.Plugins[name].Succeed(c.was.Plugins[name])
	}
	if c.heartbeat {
		c.s.crew.end(heartbeatPost)
	}
}

// install has everybody who was made be there, and begin.
func (c change) install(ctx context.Context) {
	c.s.roster.Replace(c.of)
	c.s.roster.Hold(c.s.ownership.Hold()) // it may have changed while some were made
	c.s.alerts.Follow(alertPolicy(c.s.roster.Now().Config.Alerts), c.s.audience().Some())
	c.s.postRestorer()
	for _, name := range c.sinks {
		if w, there := c.of.Workers[name]; there {
			c.stayDisabled(name, w)
			c.s.postSink(c.of, name)
		}
	}
	if c.heartbeat {
		c.s.postHeartbeat(c.of)
	}
	c.postProviders(c.of)
	c.s.events.Nudge()
	if err := dropStrayLogins(ctx, c.of.Config, c.s.dir.Store(), c.s.log); err != nil {
		c.s.log.Warn("open logins of accounts that are not configured any more could not be dropped; the next start does it", "error", err)
	}
	tellLeft(ctx, c.of.Config, c.s.dir.Store(), c.s.opts.Seams.Wall(), c.s.log)
}

// stayDisabled keeps everything from a sink that was disabled and is the same.
func (c change) stayDisabled(name string, w *sink.Worker) {
	if was, ok := c.was.Workers[name]; ok && !c.changes(c.what.Sinks, name) {
		if is := was.Summary(); is.Disabled {
			w.Disable(is.DisabledBy)
		}
	}
}

func (c change) postProviders(there *roster.Present) {
	for _, name := range c.providers {
		if _, stays := there.Members[name]; stays {
			c.s.postProvider(there, name)
		}
	}
}
