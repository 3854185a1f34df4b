package plugin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/sinktest/folder"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
)

// A plugin's sink keeps the contract of every sink, over a real process.
func TestContract(t *testing.T) {
	t.Parallel()
	const elsewhere = "the plugin alone knows its destination; its own suite asks for it"
	sinktest.Run(t, sinktest.Suite{
		New: func(t *testing.T) sinktest.Destination {
			var dir string
			r := start(t, folder.Type, func(c *Config) {
				dir = filepath.Join(t.TempDir(), "destination")
				c.Settings = sdk.Settings{"dir": sdk.NewSecret(dir)}
				c.Timeout = 2 * time.Second
			}, "sink").serving(t)
			r.dir = dir
			set := func(f folder.Fault) func(*testing.T) { return func(t *testing.T) { r.breaks(t, f) } }
			return sinktest.Destination{
				Sink: r.Sink,
				Appear: func(t *testing.T) {
					if err := os.MkdirAll(dir, 0o700); err != nil {
						t.Fatal(err)
					}
				},
				Lose: func(t *testing.T) {
					if err := os.Remove(filepath.Join(dir, "acct")); err != nil {
						t.Fatal(err)
					}
				},
				Received: func(t *testing.T) []string { return documents(t, dir) },
				Hang:     set(folder.Hang), Timeout: 2 * time.Second,
				Mend: func(t *testing.T) {
					r.breaks(t, "")
					r.serving(t)
				},
				Faults: map[string]sinktest.Fault{
					"the process ends":         {Case: sinktest.ResetInAnswer, Set: set(folder.Exit)},
					"no answer":                {Case: sinktest.LateAnswer, Set: set(folder.Hang)},
					"the directory is full":    {Case: sinktest.FullDisk, Set: set(folder.Failing)},
					"the plugin panics":        {Set: set(folder.Panic)},
					"the consumer is absent":   {Set: set(folder.Absent), Want: sink.ErrAbsent},
					"the destination is gone":  {Set: set(folder.Gone), Want: sink.ErrGone},
					"the document is refused":  {Set: set(folder.Refused), Want: sink.ErrRefused},
					"the destination is tired": {Set: set(folder.Slow), RetryAfter: 90 * time.Second},
				},
			}
		},
		Never: map[sinktest.Case]string{
			sinktest.HTTPRedirect: elsewhere, sinktest.HTTPClientError: elsewhere, sinktest.HTTPServerError: elsewhere,
			sinktest.SlowReader: elsewhere, sinktest.NoAck: elsewhere, sinktest.WrongAck: elsewhere,
		},
	})
}

func documents(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			all = append(all, folder.Stored(dir, e.Name()))
		}
	}
	return all
}
