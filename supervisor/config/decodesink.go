package config

import (
	"io/fs"
)

func decodeSink(o Object, name string) Sink {
	s := Sink{
		Name: name, Type: o.Word("type"),
		Accounts: o.Words("accounts"), Providers: o.Words("providers"), Events: o.events(),
		IncludeRefreshToken: o.Boolean("include_refresh_token"), MaxConcurrent: o.Number("max_concurrent"),
	}
	if s.Type == "" {
		return s
	}
	switch s.Type {
	case SinkFile:
		s.File = &FileSink{
			Path: o.Path("path"), Mode: fs.FileMode(o.Number("mode")), Owner: o.Word("owner"),
			TrustFolder: o.Boolean("trust_folder"), Signal: o.signal(),
		}
	case SinkUnixSocket:
		s.UnixSocket = &UnixSocketSink{
			Path: o.Path("path"), Ack: o.Word("ack"), Timeout: o.Duration("timeout"),
			Attempts: o.Number("attempts"), Interval: o.Duration("interval"), AllowUIDs: o.Users("allow_uids"),
		}
		if o.Word("direction") == directionListen {
			s.UnixSocket.Ack, s.UnixSocket.Listen = "", o.listen()
		}
	case SinkWebhook:
		s.Webhook = o.webhook()
	case SinkExec:
		s.Exec = o.exec()
	case SinkNotify:
		s.Notify = &NotifySink{URLs: o.Secrets("urls", o.l.serviceFault), Timeout: o.Duration("timeout")}
	default:
		s.Plugin = o.pluginSink()
	}
	s.Content = o.content(s)
	return s
}
