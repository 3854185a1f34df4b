package filestest

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// Case is one way in which things have gone wrong.
type Case struct {
	// When says what went wrong, for the message of a test that fails.
	When string
	// Dir is what is left of the directory.
	Dir string
	// Err is what the work returned.
	Err error
	// PowerLost: the work has not come to its end, or its end was followed by
	// a loss of power.
	PowerLost bool
	// Disk is the one that failed.
	Disk *Disk
}

// Everything does the same work again and again, each time in a directory that
// prepare has filled, and lets everything go wrong in turn: each operation fails,
// alone or with all that follow, and before each and after the last the power is
// lost, so that any part of what was not synced survives. check judges each
// case, and of those that a loss of power leaves equal the first. It returns how many operations the work has.
func Everything(t testing.TB, prepare func(dir string), work func(d *Disk, dir string) error, check func(Case)) (operations int) {
	t.Helper()
	run := func(fault func(*Disk), after func(d *Disk, dir string, err error)) (operations int) {
		dir := Scratch(t)
		defer func() { _ = os.RemoveAll(dir) }()
		prepare(dir)
		d := New(t, dir)
		fault(d)
		err := work(d, dir)
		after(d, dir, err)
		return len(d.Log())
	}
	lose := func(d *Disk, when string, err error) {
		seen := map[uint64]bool{}
		for _, s := range Survivals() {
			if print := d.Fingerprint(s); seen[print] {
				continue
			} else {
				seen[print] = true
			}
			d.Image(t, s, func(dir string) {
				check(Case{When: fmt.Sprintf("%s, %+v\n%s", when, s, d), Dir: dir, Err: err, PowerLost: true, Disk: d})
			})
		}
	}
	for at := 1; ; at++ {
		n := run(func(d *Disk) { d.Crash(at) }, func(d *Disk, _ string, err error) {
			lose(d, fmt.Sprintf("power loss before operation %d", at), err)
		})
		if n < at {
			break
		}
		operations = n
	}
	for _, fault := range []error{syscall.EIO, syscall.ENOSPC} {
		for _, forever := range []bool{false, true} {
			for at := 1; ; at++ {
				when := fmt.Sprintf("operation %d fails with %v, and all that follow: %t", at, fault, forever)
				n := run(func(d *Disk) { d.Fail(at, fault, forever) }, func(d *Disk, dir string, err error) {
					check(Case{When: when + "\n" + d.String(), Dir: dir, Err: err, Disk: d})
					lose(d, when+", then power loss", err)
				})
				if n < at {
					break
				}
			}
		}
	}
	return operations
}
