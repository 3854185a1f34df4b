package machine

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// BootID identifies this run of the kernel; "" where it can't be had, which
// makes every open attempt count as ambiguous.
func BootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// Uptime reads how long the machine has been up, its sleep included; nil: its kernel
// does not say.
func Uptime() func() time.Duration {
	read := func() (time.Duration, error) {
		var t unix.Timespec
		err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t)
		return time.Duration(t.Nano()), err
	}
	if _, err := read(); err != nil {
		return nil
	}
	return func() time.Duration {
		up, _ := read() // a clock that is there stays
		return up
	}
}
