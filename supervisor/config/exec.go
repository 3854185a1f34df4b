package config

import "time"

// signals that can be sent are those of supervisor/sink/command.
func signals() []string { return []string{"HUP", "INT", "TERM", "USR1", "USR2"} }

func (o Object) exec() *ExecSink {
	s := &ExecSink{Command: o.Words("command"), Timeout: o.Duration("timeout")}
	if len(s.Command) > 0 {
		s.Command[0] = o.executable(s.Command[0])
	}
	s.Signal = o.signal()
	return s
}

// signal is nil if nothing was written about one.
func (o Object) signal() *Signal {
	if !o.wantsSignal() {
		return nil
	}
	signal := o.Down("signal")
	return &Signal{PIDFile: signal.Path("pidfile"), Name: signal.Word("signal"), TrustFolder: signal.Boolean("trust_folder")}
}

func (o Object) wantsSignal() bool {
	return o.Given("signal") || o.Down("signal").Given("pidfile") || o.Down("signal").Given("signal")
}

func (o Object) validateExec(s *ExecSink) {
	AtLeast(o, "timeout", s.Timeout, time.Millisecond)
	switch {
	case o.Broken("command") || o.Broken("signal"):
	case o.Given("command") && s.Signal != nil:
		o.Report(o.At("signal"), "a sink has either a command or a signal", "make two sinks of them")
	case s.Signal != nil:
		o.validateSignal(s.Signal)
		for _, key := range append(contentKeys(), "timeout") {
			if o.Given(key) {
				o.Report(o.At(key), "has no effect with a signal", "remove the line")
			}
		}
		o.withoutToken("sends a signal, and no token")
	case !o.Given("command"):
		o.Report(o.At("command"), "the sink has no command", "write command: [program, argument, …], or signal: {pidfile: …, signal: HUP}")
	case len(s.Command) == 0 || s.Command[0] == "":
		o.Report(o.At("command"), "is empty", "write [program, argument, …]")
	default:
		SteeredProgram(o, s.Command, "/", false)
	}
}

func (o Object) validateSignal(s *Signal) {
	if s == nil {
		return
	}
	signal := o.Down("signal")
	Choice(signal, "signal", signals()...)
	if !signal.Given("pidfile") && !signal.Broken("pidfile") {
		o.Report(signal.At("pidfile"), "the signal has no pidfile", "write pidfile: /run/bot.pid")
	}
}
