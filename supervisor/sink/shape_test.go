package sink_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// shaped is a receiver that puts what it gets there in a way of its own.
type shaped struct {
	receiver
	mode string
}

func (s *shaped) Shape() []string { return []string{s.mode} }

func TestShapeOf(t *testing.T) {
	one := config.Sink{Name: "one", Content: config.Content{Format: "json"}}
	for name, c := range map[string]struct {
		change func(*config.Sink)
		same   bool
	}{
		"the same":      {func(*config.Sink) {}, true},
		"another name":  {func(s *config.Sink) { s.Name, s.MaxConcurrent = "two", 9 }, true},
		"format":        {func(s *config.Sink) { s.Content.Format = "schwab" }, false},
		"template":      {func(s *config.Sink) { s.Content.Template = "{{.}}" }, false},
		"timezone":      {func(s *config.Sink) { s.Content.Timezone = "UTC" }, false},
		"refresh token": {func(s *config.Sink) { s.IncludeRefreshToken = true }, false},
	} {
		other := one
		c.change(&other)
		if same := slices.Equal(sink.ShapeOf(one), sink.ShapeOf(other)); same != c.same {
			t.Errorf("%s: the same shape: %t", name, same)
		}
	}
}

// A sink that is configured to get tokens in another shape gets the one that it has in
// that, once, and one that is left alone gets nothing.
func TestASinkWithAnotherShapeGetsWhatItHasAnew(t *testing.T) {
	for name, c := range map[string]struct {
		shape []string // after the restart
		mode  string
		older bool // the ledger was written by a program that noted no shape
		want  []uint64
	}{
		"the same":                   {[]string{"json"}, "0600", false, []uint64{1}},
		"another format":             {[]string{"schwab"}, "0600", false, []uint64{1, 1}},
		"another mode":               {[]string{"json"}, "0640", false, []uint64{1, 1}},
		"the same after an upgrade":  {[]string{"json"}, "0600", true, []uint64{1}},
		"another, after an upgrade":  {[]string{"schwab"}, "0600", true, []uint64{1}},
		"nothing is said of a shape": {nil, "0600", false, []uint64{1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, to := newRecords(), &shaped{mode: "0600"}
				b := start(t, sink.WorkerConfig{Sink: to, Shape: []string{"json"}}, r)
				b.refresh("a")
				pass(time.Minute)
				b.stop()
				if c.older {
					r.set(func(r *records) {
						line := r.ledger["bot"]["a"]
						line.Shape = ""
						r.ledger["bot"]["a"] = line
					})
				}
				to.mode = c.mode
				for range 2 { // another start delivers nothing once more
					b = start(t, sink.WorkerConfig{Sink: to, Shape: c.shape}, r)
					b.looking(time.Hour)
					pass(time.Hour)
					b.stop()
				}
				if got := to.versions("a"); !slices.Equal(got, c.want) {
					t.Errorf("versions %v came, want %v", got, c.want)
				}
			})
		})
	}
}

// It goes on until the sink has taken it, also over one more restart.
func TestAnotherShapeIsTriedUntilItIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, to := newRecords(), &shaped{}
		b := start(t, sink.WorkerConfig{Sink: to, Shape: []string{"json"}}, r)
		b.refresh("a")
		pass(time.Minute)
		to.set(func(context.Context, sink.Delivery) error { return errors.New("no such door") })
		for range 2 {
			b.stop()
			b = start(t, sink.WorkerConfig{Sink: to, Shape: []string{"schwab"}}, r)
			pass(time.Minute)
			if st := b.Status("a"); st.LastError == "" {
				t.Errorf("%+v", st)
			}
		}
		to.set(nil)
		b.looking(time.Hour)
		if got := to.versions("a"); !slices.Equal(got, []uint64{1, 1}) {
			t.Errorf("versions %v came", got)
		}
		b.stop()
	})
}

// What stands there in the old shape is not taken for damaged; but what another program has
// put there, or what can't be read, is nothing that we have written.
func TestOnlyWhatIsOursIsReshaped(t *testing.T) {
	for name, c := range map[string]struct {
		holds string
		rest  bool
		blind error
		want  bool
	}{
		"nothing":            {"", false, nil, true},
		"ours":               {"refresh-a-1", false, nil, true},
		"ours, in another":   {"refresh-a-1", true, nil, true},
		"another's":          {"theirs", false, nil, false},
		"another's, cut off": {"theirs", true, nil, false},
		"what can't be read": {"", false, errors.New("the disk fails"), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, out := newRecords(), &shelf{}
				b := start(t, sink.WorkerConfig{Sink: out, Shape: []string{"json"}}, r)
				b.refresh("a")
				pass(time.Minute)
				b.stop()
				out.see(c.holds, c.blind)
				out.rest = c.rest
				b = start(t, sink.WorkerConfig{Sink: out, Shape: []string{"schwab"}}, r)
				pass(time.Minute)
				b.stop()
				out.mu.Lock()
				defer out.mu.Unlock()
				if n := len(out.got); n < 2 || out.got[0].Reshaped || out.got[1].Reshaped != c.want {
					t.Errorf("%d deliveries: %+v", n, out.got)
				}
			})
		})
	}
}
