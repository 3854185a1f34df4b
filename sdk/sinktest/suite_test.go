package sinktest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/sinktest"
	"github.com/tokenkeeper/tokenkeeper/sdk/sinktest/folder"
)

// TestMain lets this binary also be the program of a sink.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "sink" {
		sdk.ServeSink(mutant{defect: os.Getenv(defectVariable)})
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestFolder(t *testing.T) {
	t.Parallel()
	s := folderSuite(func() sdk.Sink { return folder.Sink{} })
	s.Program = []string{os.Args[0], "sink"}
	sinktest.Run(t, s)
}

func folderSuite(sink func() sdk.Sink) sinktest.Suite {
	return sinktest.Suite{
		New: sink,
		Settings: func(t *testing.T) sdk.Settings {
			return sdk.Settings{"dir": sdk.NewSecret(t.TempDir())}
		},
		Stored: func(_ *testing.T, s sdk.Settings, account string) string { return folder.Stored(s.Get("dir"), account) },
		Lose: func(t *testing.T, s sdk.Settings) {
			entries, err := os.ReadDir(s.Get("dir"))
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if err := os.Remove(filepath.Join(s.Get("dir"), e.Name())); err != nil {
					t.Fatal(err)
				}
			}
		},
		Missing: func(t *testing.T) sdk.Settings {
			return sdk.Settings{"dir": sdk.NewSecret(filepath.Join(t.TempDir(), "missing"))}
		},
		Hanging: func(t *testing.T) sdk.Settings {
			dir := t.TempDir()
			if err := folder.Break(dir, folder.Hang); err != nil {
				t.Fatal(err)
			}
			return sdk.Settings{"dir": sdk.NewSecret(dir)}
		},
		Secrets: []string{"hunter2-password"},
	}
}
