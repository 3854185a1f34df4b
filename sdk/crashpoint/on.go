//go:build crashpoints

package crashpoint

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The variables that tell a program built with the tag what to do. They do not
// begin as the configuration's do, so that its loader has nothing to say about
// them.
const (
	// LogVariable names a file to which every pass is appended as a line
	// "process<TAB>point". In the order of the lines no pass is before one
	// that it followed, in whatever process.
	LogVariable = "CRASHPOINT_LOG"
	// KillVariable is "process;when;victim". process passes the points:
	// "supervisor", or "provider/" and a name. when is the number of its pass,
	// counted from 1 in each process, or the name of a point. victim is who
	// is killed there: "supervisor", "provider" (every one of them, if the
	// supervisor passes) or "both". It happens once in the life of a log,
	// which notes it as "process<TAB>point<TAB>killed".
	KillVariable = "CRASHPOINT_KILL"
	// spoolVariable is sdk.EnvSpoolDir, by which a provider's process is told
	// from the supervisor's.
	spoolVariable = "TOKENKEEPER_SPOOL_DIR"
)

const killed = "\tkilled\n"

// plan is what this process was told.
type plan struct {
	process string
	log     *os.File
	when    string // "": never
	victim  string

	mu     sync.Mutex
	passes int
}

var order = sync.OnceValue(func() *plan {
	p := &plan{process: "supervisor"}
	if dir := os.Getenv(spoolVariable); dir != "" {
		p.process = "provider/" + filepath.Base(dir)
	}
	name := os.Getenv(LogVariable)
	if name == "" {
		return p
	}
	var err error
	if p.log, err = os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600); err != nil {
		panic(fmt.Sprintf("crashpoint: open the log: %v", err))
	}
	sofar, err := os.ReadFile(name)
	if err != nil {
		panic(fmt.Sprintf("crashpoint: read the log: %v", err))
	}
	kill := strings.Split(os.Getenv(KillVariable), ";")
	if len(kill) == 3 && kill[0] == p.process && !strings.Contains(string(sofar), killed) {
		p.when, p.victim = kill[1], kill[2]
	}
	return p
})

// Here is one pass of the point called name.
func Here(name string) { order().pass(name) }

// Environment returns the variables that a provider's process must inherit.
func Environment() []string {
	var env []string
	for _, name := range []string{LogVariable, KillVariable} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// pass lets one goroutine through at a time: whoever comes after a pass that
// kills never gets on.
func (p *plan) pass(name string) {
	if p.log == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passes++
	if p.when != name && p.when != strconv.Itoa(p.passes) {
		p.note(name + "\n")
		return
	}
	p.note(name + killed)
	p.when = ""
	p.kill()
}

func (p *plan) note(text string) {
	if _, err := p.log.WriteString(p.process + "\t" + text); err != nil {
		panic(fmt.Sprintf("crashpoint: write the log: %v", err))
	}
}

func (p *plan) kill() {
	supervisor := p.process == "supervisor"
	var others []int
	if p.victim != p.role() {
		others = []int{os.Getppid()}
		if supervisor {
			others = children()
		}
	}
	for _, pid := range others {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if p.victim == "both" || p.victim == p.role() {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
	for _, pid := range others {
		awaitDeath(pid)
	}
}

// role is the process as KillVariable names a victim.
func (p *plan) role() string {
	role, _, _ := strings.Cut(p.process, "/")
	return role
}

// children lists the processes that this one has started.
func children() []int {
	all, _ := filepath.Glob("/proc/[0-9]*")
	var pids []int
	for _, proc := range all {
		pid, _ := strconv.Atoi(filepath.Base(proc))
		if _, parent := look(pid); parent == os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// awaitDeath returns when the process runs no more, reaped or not.
func awaitDeath(pid int) {
	for {
		if state, _ := look(pid); state == "" || state == "Z" || state == "X" {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// look reads a process's state and parent (proc(5), stat); "" if it is gone.
func look(pid int) (state string, parent int) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// The name of the program, in parentheses, may hold anything.
	_, rest, _ := strings.Cut(string(b[bytes.LastIndexByte(b, ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return "", 0
	}
	parent, _ = strconv.Atoi(fields[1])
	return fields[0], parent
}
