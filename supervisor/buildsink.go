package supervisor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/programs"
	"github.com/tokenkeeper/tokenkeeper/supervisor/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/command"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/file"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/notify"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/plugin"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/unixsocket"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/webhook"
)

// This file turns each sink of the configuration into a destination and its
// worker.

func (s *Supervisor) newWorker(c config.Sink) (*sink.Worker, error) {
	destination, policy, err := s.newSink(c)
	if err != nil {
		return nil, err
	}
	w := sink.WorkerConfig{
		Name: c.Name, Type: c.Type, Sink: destination, Policy: policy, MaxConcurrent: c.MaxConcurrent,
		Accounts: roster.Names(s.opts.Config.SinkAccounts(c)), IncludeRefreshToken: c.IncludeRefreshToken,
		WantsAlert: func(a event.Alert) bool { return s.audience().Concerns(c, a) },
		Store:      s.dir.Store(), Credentials: s.roster.Credentials, Events: s.events, Wall: s.opts.Seams.Wall,
		ReadBack: s.elsewhere.ReadBack(c),
	}
	for _, kind := range c.Events {
		w.Kinds = append(w.Kinds, sink.Kind(kind))
	}
	if s.alerts != nil {
		w.Alerts = s.alerts.For(s.audience().Accounts(c))
	}
	if err := sink.CheckWorker(w); err != nil {
		return nil, err
	}
	return sink.NewWorker(w), nil
}

// newSink makes the destination. A worker's own limit of a try must not be the
// shorter one, so each policy's is beyond that of the sink.
func (s *Supervisor) newSink(c config.Sink) (sink.Sink, sink.RetryPolicy, error) {
	switch c.Type {
	case config.SinkFile:
		d, err := newFile(c)
		return d, sink.RetryPolicy{}, err
	case config.SinkUnixSocket:
		return newUnixSocket(c)
	case config.SinkWebhook:
		d, err := newWebhook(c)
		return d, longerThan(c.Webhook.Timeout), err
	case config.SinkExec:
		d, err := newExec(c, s.opts.Config.Trust)
		return d, longerThan(c.Exec.Timeout), err
	case config.SinkNotify:
		d, err := notify.New(notify.Config{URLs: c.Notify.URLs, Timeout: c.Notify.Timeout})
		return d, longerThan(c.Notify.Timeout), err
	default:
		d, err := s.newPlugin(c)
		return d, longerThan(c.Plugin.Timeout), err
	}
}

func longerThan(timeout time.Duration) sink.RetryPolicy {
	return sink.RetryPolicy{Timeout: timeout + time.Second}
}

func newFile(c config.Sink) (sink.Sink, error) {
	encode, err := encoder(c.Content, 0)
	if err != nil {
		return nil, err
	}
	f, err := file.New(file.Config{
		Path: c.File.Path, Mode: c.File.Mode, Owner: c.File.Owner, TrustFolder: c.File.TrustFolder,
		Encode: encode, Keep: keeper(c.Content), Decode: decoder(c.Content),
	})
	if err != nil || c.File.Signal == nil {
		return f, err
	}
	program, err := newSignaller(*c.File.Signal)
	return signalledFile{f, program}, err
}

func newSignaller(c config.Signal) (*command.Signaller, error) {
	return command.NewSignaller(command.SignalConfig{PIDFile: c.PIDFile, Signal: c.Name, TrustFolder: c.TrustFolder})
}

// signalledFile is a file whose reader is told by a signal, once the file has
// been written.
type signalledFile struct {
	*file.Sink
	program *command.Signaller
}

// Deliver implements [sink.Sink]. That nobody reads the file at the moment is
// no failure: whoever comes finds it.
func (f signalledFile) Deliver(ctx context.Context, d sink.Delivery) error {
	if err := f.Sink.Deliver(ctx, d); err != nil {
		return err
	}
	if err := f.program.Deliver(ctx, d); err != nil && !errors.Is(err, sink.ErrAbsent) {
		return fmt.Errorf("the file is written, but the program that reads it could not be told: %w", err)
	}
	return nil
}

func newUnixSocket(c config.Sink) (sink.Sink, sink.RetryPolicy, error) {
	u := c.UnixSocket
	policy := sink.RetryPolicy{Attempts: u.Attempts, Interval: u.Interval, Timeout: u.Timeout + time.Second}
	encode, err := encoder(c.Content, oneLine)
	if err != nil {
		return nil, policy, err
	}
	l := u.Listen
	if l == nil {
		d, err := unixsocket.New(unixsocket.Config{Path: u.Path, Ack: u.Ack, Timeout: u.Timeout, AllowUIDs: u.AllowUIDs, Encode: encode})
		return d, policy, err
	}
	// A delivery may wait for a consumer's greeting before its own write.
	policy.Timeout += u.Timeout
	d, err := unixsocket.NewListener(unixsocket.ListenConfig{
		Path: u.Path, Timeout: u.Timeout, Mode: l.Mode, TrustFolder: l.TrustFolder, AllowUIDs: u.AllowUIDs, MaxConsumers: l.MaxConsumers, Encode: encode,
	})
	return d, policy, err
}

func newWebhook(c config.Sink) (sink.Sink, error) {
	w := webhook.Config{
		URL: c.Webhook.URL, Secret: c.Webhook.Secret, Headers: c.Webhook.Headers, Timeout: c.Webhook.Timeout,
		CAFile: c.Webhook.CAFile, CertFile: c.Webhook.CertFile, KeyFile: c.Webhook.KeyFile, Proxy: c.Webhook.Proxy,
	}
	if c.Content.Format != "" {
		var err error
		if w.Encode, err = encoder(c.Content, 0); err != nil {
			return nil, err
		}
		w.ContentType = format.ContentType(c.Content.Format)
		for name, value := range c.Webhook.Headers {
			if strings.EqualFold(name, "Content-Type") { // whoever wrote the template knows better
				w.ContentType = value.Reveal()
			}
		}
	}
	return webhook.New(w)
}

func newExec(c config.Sink, trusted []int) (sink.Sink, error) {
	if c.Exec.Signal != nil {
		return newSignaller(*c.Exec.Signal)
	}
	encode, err := encoder(c.Content, 0)
	if err != nil {
		return nil, err
	}
	return command.New(command.Config{Command: c.Exec.Command, Timeout: c.Exec.Timeout, Trust: trusted, Encode: encode})
}

// newPlugin makes a sink whose process the Supervisor runs too.
func (s *Supervisor) newPlugin(c config.Sink) (sink.Sink, error) {
	encode, err := encoder(c.Content, 0)
	if err != nil {
		return nil, err
	}
	p := plugin.Config{
		Name: c.Name, Type: c.Type, Settings: c.Plugin.Settings, Timeout: c.Plugin.Timeout, Encode: encode,
		Events: s.events, Log: s.log, Now: s.opts.Seams.Wall,
	}
	if c.Plugin.Restore {
		p.Decode = decoder(c.Content)
	}
	if p.Command, err = programs.OfSink(s.opts.Config, c); err != nil {
		return nil, err
	}
	d, err := plugin.New(p)
	if err != nil {
		return nil, err
	}
	s.roster.Plugins[c.Name] = d
	return d, nil
}

// keeper returns what [file.Config] wants as Keep; nil for a format that is no
// JSON object. [encoder] has found the location.
func keeper(c config.Content) func([]byte, format.Document) ([]byte, error) {
	if !format.Keeps(c.Format) {
		return nil
	}
	o, err := options(c, 0)
	if err != nil {
		return nil
	}
	return func(existing []byte, d format.Document) ([]byte, error) { return format.Keep(c.Format, existing, d, o) }
}

// oneLine is the indentation of JSON that stands in one line; 0 is what the
// format's own programs write.
const oneLine = -1

func options(c config.Content, indent int) (o format.Options, err error) {
	o = format.Options{Location: time.Local, Indent: indent}
	if c.Timezone != "" {
		if o.Location, err = time.LoadLocation(c.Timezone); err != nil {
			return o, fmt.Errorf("timezone: %w", err)
		}
	}
	return o, nil
}

func encoder(c config.Content, indent int) (func(format.Document) ([]byte, error), error) {
	o, err := options(c, indent)
	if err != nil {
		return nil, err
	}
	if c.Format == format.TemplateName {
		t, err := format.ParseTemplate(c.Template)
		if err != nil {
			return nil, err
		}
		return func(d format.Document) ([]byte, error) { return t.Encode(d, o) }, nil
	}
	return func(d format.Document) ([]byte, error) { return format.Encode(c.Format, d, o) }, nil
}
