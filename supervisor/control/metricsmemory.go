package control

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// running is a process of the supervisor's, or itself.
type running struct {
	kind, name string
	pid        int
}

// ofMemory is how much of the machine's memory each of the processes has; left out of one that
// does not run, or of which the kernel does not tell.
func (all *families) ofMemory(s Status, sinks []Sink) {
	processes := []running{{"supervisor", "", s.PID}}
	for _, p := range s.Providers {
		processes = append(processes, running{"provider", p.Name, p.PID})
	}
	for _, k := range sinks {
		if k.Process != nil {
			processes = append(processes, running{"sink", k.Name, k.Process.PID})
		}
	}
	held := map[running]float64{}
	var told []running
	for _, p := range processes {
		if bytes, ok := resident(p.pid); ok {
			held[p] = bytes
			told = append(told, p)
		}
	}
	process := family[running]{all, told, func(p running) []string { return []string{"kind", p.kind, "name", p.name} }}
	process.gauge("tokenkeeper_process_resident_memory_bytes", "Resident memory of the supervisor's process, and of each provider's and sink's; what they share is in each.",
		func(p running) float64 { return held[p] })
}

// resident is the resident memory of a process (proc_pid_statm(5)); ok is false if nobody knows.
func resident(pid int) (bytes float64, ok bool) {
	if pid <= 0 {
		return 0, false
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	return float64(pages) * float64(os.Getpagesize()), err == nil && pages > 0
}
