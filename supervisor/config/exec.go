package config

import "time"

// signals that can be sent are those of supervisor/sink/command.
func signals() []string { return []string{"HUP", "INT", "TERM", "USR1", "USR2"} }

func (o objectReader) exec() *ExecSink {
	s := &ExecSink{Command: o.words("command"), Timeout: o.duration("timeout")}
	if len(s.Command) > 0 {
		s.Command[0] = o.executable(s.Command[0])
	}
	s.Signal = o.signal()
	return s
}

// signal is nil if nothing was written about one.
func (o objectReader) signal() *Signal {
	if !o.wantsSignal() {
		return nil
	}
	signal := o.down("signal")
	return &Signal{PIDFile: signal.pathOf("pidfile"), Name: signal.word("signal"), TrustFolder: signal.boolean("trust_folder")}
}

func (o objectReader) wantsSignal() bool {
	return o.given("signal") || o.down("signal").given("pidfile") || o.down("signal").given("signal")
}

func (o objectReader) validateExec(s *ExecSink) {
	atLeast(o, "timeout", s.Timeout, time.Millisecond)
	switch {
	case o.broken[o.dotted("command")] || o.broken[o.dotted("signal")]:
	case o.given("command") && s.Signal != nil:
		o.report(o.at("signal"), "a sink has either a command or a signal", "make two sinks of them")
	case s.Signal != nil:
		o.validateSignal(s.Signal)
		for _, key := range append(contentKeys(), "timeout") {
			if o.given(key) {
				o.report(o.at(key), "has no effect with a signal", "remove the line")
			}
		}
		o.withoutToken("sends a signal, and no token")
	case !o.given("command"):
		o.report(o.at("command"), "the sink has no command", "write command: [program, argument, …], or signal: {pidfile: …, signal: HUP}")
	case len(s.Command) == 0 || s.Command[0] == "":
		o.report(o.at("command"), "is empty", "write [program, argument, …]")
	default:
		o.steeredProgram(s.Command, "/", false)
	}
}

func (o objectReader) validateSignal(s *Signal) {
	if s == nil {
		return
	}
	signal := o.down("signal")
	signal.choice("signal", signals()...)
	if !signal.given("pidfile") && !signal.broken[signal.dotted("pidfile")] {
		o.report(signal.at("pidfile"), "the signal has no pidfile", "write pidfile: /run/bot.pid")
	}
}
