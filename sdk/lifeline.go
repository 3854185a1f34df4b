package sdk

import (
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

// meaningless are the signals that reach a plugin without meaning it: from a
// service manager to everybody in the service (SIGTERM at a stop and after a
// crash of the supervisor, SIGABRT from its watchdog, SIGHUP at a reload), from
// a terminal, and from the kernel at the supervisor's death. A process that died
// of one would take the answer with it that it is waiting for.
var meaningless = [...]os.Signal{
	syscall.SIGTERM, syscall.SIGHUP, syscall.SIGABRT, syscall.SIGINT,
	syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
}

// lifelineEnd is closed when the process should finish and exit: when the
// lifeline, which the supervisor holds, ends. All other signals than SIGKILL
// mean nothing, before that and after it. Under another host of go-plugin,
// which gives no lifeline, SIGTERM and SIGHUP stand in for it.
func lifelineEnd() <-chan struct{} {
	// Caught and not ignored: what is ignored stays so in the programs that a
	// plugin starts.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, meaningless[:]...)
	over := make(chan struct{})
	fd, err := strconv.Atoi(os.Getenv(EnvLifeline))
	go func() {
		defer close(over)
		if err == nil {
			_, _ = io.Copy(io.Discard, os.NewFile(uintptr(fd), "lifeline"))
			return
		}
		for sig := range signals {
			if sig == syscall.SIGTERM || sig == syscall.SIGHUP {
				return
			}
		}
	}()
	return over
}
