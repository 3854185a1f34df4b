package process

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	provider "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/hearsay"
)

// ends stops the member, as one who keeps its process, and returns when it has ended.
func (r *rig) ends() {
	r.member.Keep()
	r.stop()
	<-r.done
}

// goesOn runs next in the member's place.
func (r *rig) goesOn(next *Member) {
	ctx, stop := context.WithCancel(r.t.Context())
	done := make(chan struct{})
	r.member, r.stop, r.done = next, stop, done
	go func() {
		defer close(done)
		_ = next.Run(ctx)
	}()
	synctest.Wait()
}

func TestAProcessGoesOnWithASuccessor(t *testing.T) {
	for name, test := range map[string]struct {
		before    func(r *rig)               // the first member ends
		meanwhile func(r *rig, next *Member) // nobody runs
		process   int                        // of all that were started, the one that runs then
		crashes   int
		inTheEnd  bool // nobody runs, and the process has ended
	}{
		"as it is": {process: 1},
		"once what is in flight has finished": {process: 1, before: func(r *rig) {
			land := r.work.attempt(30 * time.Second)
			go func() {
				time.Sleep(10 * time.Second)
				land()
			}()
		}},
		"that counts on where a crash was": {process: 2, crashes: 1, before: func(r *rig) {
			r.launcher.newest().exit(errors.New("exit status 2"))
			r.after(time.Second)
		}},
		"which starts another, as it died meanwhile": {process: 2, crashes: 1, meanwhile: func(r *rig, _ *Member) {
			r.launcher.newest().exit(errors.New("exit status 2"))
		}},
		"which starts another, as somebody waits for one": {process: 2, meanwhile: func(r *rig, next *Member) {
			go func() { _, _ = next.Restart(r.t.Context()) }()
			synctest.Wait()
		}},
		"after a connection that was lost": {process: 2, crashes: 1, before: func(r *rig) {
			r.launcher.newest().exit(errors.New("exit status 2")) // it waits for its next start
			synctest.Wait()
		}},
		"that others could have been": {process: 1, meanwhile: func(r *rig, _ *Member) {
			r.member.Again(Refreshing(&memWork{}), nil) // which never runs
		}},
		"nobody, and ends": {process: 0, inTheEnd: true},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, r *rig) {
				synctest.Wait()
				if test.before != nil {
					test.before(r)
				}
				was := r.member
				r.ends()
				if r.work.InFlight() > 0 {
					t.Error("something is in flight")
				}
				next := was.Again(Refreshing(&memWork{}), nil)
				if test.meanwhile != nil {
					test.meanwhile(r, next)
				}
				first := r.launcher.launched[0]
				if test.inTheEnd {
					next.Drop()
					if s := next.Status(); !first.ended || s.PID != 0 || s.State != Stopped {
						t.Errorf("it ended: %t; %+v", first.ended, s)
					}
					return
				}
				r.told()
				r.goesOn(next)
				r.after(time.Second) // a death that was found out is backed off from
				s, told := next.Status(), r.told()
				if s.State != Running || s.PID != r.launcher.newest().PID() || s.Generation != test.process || s.Crashes != test.crashes || r.launcher.count() != test.process {
					t.Errorf("process %d of %d: %+v", r.launcher.newest().PID(), r.launcher.count(), s)
				}
				select {
				case <-next.Ready():
				default:
					t.Error("it is not ready")
				}
				if started := told[event.ProviderStarted]; started != 0 && test.process == 1 {
					t.Errorf("it was told %d times that it started", started)
				}
				// It is watched as any: what becomes of it is the successor's trouble.
				n := r.launcher.count()
				r.launcher.newest().exit(errors.New("exit status 2"))
				r.after(3 * time.Second)
				if s := next.Status(); s.State != Running || s.Crashes != test.crashes+1 || r.launcher.count() != n+1 {
					t.Errorf("after it died: %+v", s)
				}
				r.stop()
				<-r.done
				if newest := r.launcher.newest(); !newest.ended {
					t.Error("it outlives a member that does not keep it")
				}
			})
		})
	}
}

// A process that seemed to hang is not handed on as one that is well; nor is one that does
// without anybody having noticed taken for that for long.
func TestAProcessThatHangsIsNotHandedOn(t *testing.T) {
	for name, test := range map[string]struct {
		hang  func(in *memInstance)
		after time.Duration // the successor has begun
	}{
		"it was stopped":     {hang: func(in *memInstance) { in.stops <- true }},
		"nobody has noticed": {hang: (*memInstance).hang, after: 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, r *rig) {
				synctest.Wait()
				was, in := r.member, r.launcher.newest()
				test.hang(in)
				synctest.Wait()
				r.ends()
				r.goesOn(was.Again(Refreshing(&memWork{}), nil))
				r.after(test.after)
				if s := r.member.Status(); s.State != Running || s.PID == in.PID() || s.Generation != 2 {
					t.Errorf("%+v", s)
				}
				r.stop()
				<-r.done
			})
		})
	}
}

// A process counts as healthy by its own time, however often it is handed on.
func TestHandingOnIsNoHindranceToHealth(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		synctest.Wait()
		for range 5 { // and so it crashes again and again
			r.launcher.newest().exit(errors.New("exit status 2"))
			for n := r.launcher.count(); r.launcher.count() == n; {
				r.after(100 * time.Millisecond)
			}
		}
		r.nudged()
		healthy := false
		for range 8 {
			was := r.member
			r.ends()
			r.goesOn(was.Again(Refreshing(&memWork{}), nil))
			r.after(15 * time.Second)
			healthy = healthy || r.nudged()
		}
		if !healthy || r.launcher.count() != 6 {
			t.Errorf("healthy after two minutes: %t; processes: %d", healthy, r.launcher.count())
		}
		r.stop()
		<-r.done
	})
}

// Whoever waits for a restart while a process is handed on gets another one, also if he had
// asked before that; and is told if none comes.
func TestARestartIsHandedOn(t *testing.T) {
	for name, comes := range map[string]bool{"to a successor": true, "to nobody": false} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, r *rig) {
				synctest.Wait()
				was := r.member
				land := r.work.attempt(30 * time.Second)
				got, failed := Restarted{}, errors.New("not answered")
				go func() { got, failed = was.Restart(t.Context()) }()
				was.Keep()
				r.stop()
				r.after(time.Second)
				land()
				<-r.done
				next := was.Again(Refreshing(&memWork{}), nil)
				if comes {
					r.goesOn(next)
				} else {
					next.Drop()
				}
				synctest.Wait()
				switch {
				case !comes && (failed == nil || !strings.Contains(failed.Error(), "was not restarted")):
					t.Errorf("who waits is told: %v", failed)
				case comes && (failed != nil || got.OldPID != 1000 || got.PID != 1001 || got.Generation != 2 || !r.launcher.launched[0].ended):
					t.Errorf("%+v, %v", got, failed)
				}
				if comes {
					r.stop()
					<-r.done
				}
			})
		})
	}
}

// A successor that has ended before it could begin leaves nothing behind.
func TestASuccessorThatNeverBeganLeavesNoProcess(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		synctest.Wait()
		was := r.member
		r.ends()
		over, end := context.WithCancel(t.Context())
		end()
		_ = was.Again(Refreshing(&memWork{}), nil).Run(over)
		if in := r.launcher.newest(); !in.ended {
			t.Error("the process was left behind")
		}
	})
}

// A process whose work is not finished is in no state to be kept.
func TestAProcessThatLostItsConnectionIsNotKept(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		synctest.Wait()
		in := r.launcher.newest()
		land := r.work.attempt(30 * time.Second)
		r.member.Keep()
		r.stop()
		r.after(time.Second)
		in.exit(errors.New("exit status 2"))
		synctest.Wait()
		land()
		<-r.done
		if _, kept := r.member.succession.take(); kept {
			t.Error("it was kept")
		}
	})
}

// saysAll is a plugin that fails with all that it was told.
type saysAll struct{ grpc.ClientConnInterface }

func (saysAll) Invoke(_ context.Context, _ string, request, _ any, _ ...grpc.CallOption) error {
	return errors.New("it says " + request.(*provider.RefreshRequest).GetAccount().GetSettings()["phrase"])
}

// What another configuration calls a secret is one of a process that was started before.
func TestSecretsOfASuccessorAreKeptFromAKeptProcess(t *testing.T) {
	member := func(secret string) *Member {
		return New(Config{
			Name: "fake", Work: Refreshing(&memWork{}), Events: event.NewBus(slog.New(slog.DiscardHandler), time.Now),
			Launcher: Command{Name: "fake", Secrets: hearsay.NewDeclared([]string{secret})},
		})
	}
	was, next := member("other"), member("phrase")
	next.Succeed(was)
	had, has := was.cfg.Launcher.(Command).Secrets, next.cfg.Launcher.(Command).Secrets
	if had != has {
		t.Error("what the process was told before is forgotten with its next generation")
	}
	err := hearsay.Conn{To: saysAll{}, Secrets: had}.Invoke(t.Context(), "Refresh",
		&provider.RefreshRequest{Account: &provider.Account{Name: "main", Settings: map[string]string{"phrase": "plain words"}}}, &provider.TokenResponse{})
	if err == nil || strings.Contains(err.Error(), "plain words") {
		t.Errorf("it says: %v", err)
	}
}

// slowOnce is a launcher whose next process does not come before ctx ends, if it is slow.
type slowOnce struct {
	*memLauncher
	slow atomic.Bool
}

func (l *slowOnce) Launch(ctx context.Context) (Instance, error) {
	if l.slow.Swap(false) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return l.memLauncher.Launch(ctx)
}

// Whoever waits for a process that is being started when its member ends has it of the
// successor.
func TestARestartUnderWayIsHandedOn(t *testing.T) {
	simulate(t, func(t *testing.T, r *rig) {
		l := &slowOnce{memLauncher: r.launcher}
		c := r.member.cfg
		c.Launcher = l
		was := New(c)
		r.stop()
		<-r.done
		r.goesOn(was)
		l.slow.Store(true)
		got, failed := Restarted{}, errors.New("not answered")
		go func() { got, failed = was.Restart(t.Context()) }()
		synctest.Wait()
		r.ends()
		synctest.Wait()
		if failed == nil || failed.Error() != "not answered" {
			t.Errorf("before another one has begun: %v", failed)
		}
		r.goesOn(was.Again(Refreshing(&memWork{}), nil))
		if failed != nil || got.PID != r.launcher.newest().PID() || got.Generation != 3 {
			t.Errorf("%+v, %v", got, failed)
		}
		r.stop()
		<-r.done
	})
}
