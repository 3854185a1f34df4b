package spool

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
)

var everything = flag.Bool("disk.everything", false, "lose power twice at every pair of points, and let every operation fail in every way")

func TestPowerLoss(t *testing.T) {
	t.Parallel()
	points, images, outcomes := 0, 0, outcomes{}
	stride := shortly(7)
	for at := 1; ; at += stride {
		down := false
		lives(t, func(d *filestest.Disk) { d.Crash(at) }, func(l *life) {
			l.live(t, aLife(), nil)
			if down = l.disk.Down(); !down {
				return
			}
			for _, s := range filestest.Survivals() {
				images++
				outcomes.hold(t, l, s, fmt.Sprintf("power loss before operation %d, %+v", at, s))
			}
		})
		if !down {
			break
		}
		points++
	}
	t.Logf("%d points, %d images, %d of them different", points, images, len(outcomes))
	if points*stride < 50 {
		t.Errorf("only %d points", points)
	}
}

// shortly is how far apart the points are at which a short run fails.
func shortly(stride int) int {
	if testing.Short() && !*everything {
		return stride
	}
	return 1
}

// TestPowerLossInRecovery loses power in a life, and then again in the start
// after it.
func TestPowerLossInRecovery(t *testing.T) {
	t.Parallel()
	// Every point of every life takes minutes.
	stride := 9
	if *everything {
		stride = 1
	} else if testing.Short() {
		stride = 23
	}
	images, turn, outcomes := 0, 0, outcomes{}
	recovery := []step{opens, func(l *life) error {
		if l.spool == nil {
			return nil
		}
		for _, e := range l.spool.Unsettled() {
			if slot, _, err := l.spool.Begin(e.Header); err == nil {
				l.slots[e.Attempt] = slot
			}
			if err := settles(e.Attempt, false)(l); err != nil {
				return err
			}
		}
		return nil
	}, begins("z", "x"), records("z", "Z")}
	for at := 1; ; at += stride {
		down := false
		lives(t, func(d *filestest.Disk) { d.Crash(at) }, func(l *life) {
			l.live(t, aLife(), nil)
			if down = l.disk.Down(); !down {
				return
			}
			for again := 1; again > 0; again++ {
				for _, first := range filestest.Survivals() {
					// One of them, and one after it, in turn.
					if turn++; !*everything && turn%len(filestest.Survivals()) != again%len(filestest.Survivals()) {
						continue
					}
					second := filestest.Survivals()[turn/7%len(filestest.Survivals())]
					l.disk.Image(t, first, func(root string) {
						next := l.reborn(t, root)
						defer func() { _ = closes(next) }()
						next.disk.Crash(again)
						next.live(t, recovery, nil)
						if !next.disk.Down() {
							again = -1
							return
						}
						images++
						outcomes.hold(t, next, second, fmt.Sprintf("power loss before operation %d, %+v, and then %d of the recovery, %+v", at, first, again, second))
					})
					if again < 0 {
						break
					}
				}
			}
		})
		if !down {
			break
		}
	}
	t.Logf("%d images, %d of them different", images, len(outcomes))
}

func TestDiskFaults(t *testing.T) {
	t.Parallel()
	// Every operation fails, but each in half of the ways, in turn.
	points, stride, first, outcomes := 0, 2, 0, outcomes{}
	if *everything {
		stride = 1
	} else if testing.Short() {
		stride = 7
	}
	for _, fault := range []error{syscall.EIO, syscall.ENOSPC} {
		for _, forever := range []bool{false, true} {
			first = first%stride + 1
			for at := first; ; at += stride {
				name := fmt.Sprintf("operation %d fails with %v, and all that follow: %t", at, fault, forever)
				operations := lives(t, func(d *filestest.Disk) { d.Fail(at, fault, forever) }, func(l *life) {
					l.live(t, aLife(), func() {
						if len(l.disk.Log()) < at || l.spool == nil {
							return
						}
						s := filestest.Survivals()[len(l.disk.Log())%len(filestest.Survivals())]
						outcomes.hold(t, l, s, fmt.Sprintf("%s, then power loss, %+v", name, s))
					})
					l.disk.Heal()
					l.goesOn(t, name)
				})
				if operations < at {
					break
				}
				points++
			}
		}
	}
	t.Logf("%d points, %d different images", points, len(outcomes))
	if points*stride < 200 {
		t.Errorf("only %d points", points)
	}
}

// What waits in the spool can be read on a disk that takes nothing more.
func TestRecoveryNeedsNoSpace(t *testing.T) {
	dir := t.TempDir()
	record(t, begin(t, open(t, dir, 1), "a", "main"), "the answer")
	left := image(t, dir)
	for at, seen := 1, 0; ; at++ {
		disk := filestest.New(t, left)
		disk.Fail(at, syscall.ENOSPC, false)
		s, err := openOn(t.Context(), disk, 2, left)
		if err == nil {
			wantAnswer(t, s, "a", "main", "the answer")
			_ = s.Close()
		}
		op := disk.Log()[min(at, len(disk.Log()))-1]
		switch verb, _, _ := strings.Cut(op, " "); verb {
		case "create", "write", "sync", "syncdir":
			if err != nil {
				t.Errorf("%s: %v", op, err)
			}
			seen++
		}
		if err := errors.Join(os.RemoveAll(filepath.Join(left, "slot-001")), os.RemoveAll(filepath.Join(left, "slot-002"))); err != nil {
			t.Fatal(err)
		}
		if len(disk.Log()) < at {
			if seen < 4 {
				t.Errorf("only %d operations failed", seen)
			}
			break
		}
	}
}

// An attempt costs one sync, and beside it writes into its slot and looks
// whether that is still in its place.
func TestOperationsOfAnAttempt(t *testing.T) {
	dir := t.TempDir()
	disk := filestest.New(t, dir)
	s, err := openOn(t.Context(), disk, 1, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	before := len(disk.Log())
	slot := begin(t, s, "a", "main")
	if err := errors.Join(slot.Advance(Ready), slot.Advance(Sent)); err != nil {
		t.Fatal(err)
	}
	record(t, slot, "the answer")
	if err := s.Settle("a", false); err != nil {
		t.Fatal(err)
	}
	const inPlace = "fstat slot-000, lstat slot-000, write slot-000, "
	const want = "fstat lock, lstat lock, " + inPlace + inPlace + inPlace + inPlace + "datasync slot-000, write slot-000"
	if got := strings.Join(disk.Log()[before:], ", "); got != want {
		t.Errorf("an attempt does %s; want %s", got, want)
	}
}
