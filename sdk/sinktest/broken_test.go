package sinktest_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/sinktest"
	"github.com/tokenkeeper/tokenkeeper/sdk/sinktest/folder"
)

// mutant is the folder sink with one defect.
type mutant struct {
	folder.Sink
	defect string
}

func (m mutant) DescribeSink(ctx context.Context) (sdk.SinkDescription, error) {
	if m.defect == "dies of signals" {
		signal.Reset()
	}
	d, err := m.Sink.DescribeSink(ctx)
	if m.defect == "hides a setting" {
		d.Settings = nil
	}
	return d, err
}

func (m mutant) Deliver(ctx context.Context, r sdk.DeliverRequest) error {
	switch m.defect {
	case "delivers nothing":
		return nil
	case "keeps the first":
		if folder.Stored(r.Settings.Get("dir"), r.Account) != "" {
			return nil
		}
	case "ignores the context":
		ctx = context.WithoutCancel(ctx)
	case "mixes accounts":
		r.Account = "main"
	case "logs the token":
		slog.Info("delivered", "token", r.Token.AccessToken.Reveal())
	}
	err := m.Sink.Deliver(ctx, r)
	switch {
	case err != nil && m.defect == "tells a password":
		return fmt.Errorf("login with %s: %w", "hunter2-password", err)
	case err != nil && m.defect == "gives up":
		return fmt.Errorf("%w: %w", sdk.ErrRefused, err)
	}
	return err
}

func (m mutant) Restore(ctx context.Context, r sdk.RestoreRequest) (sdk.Restored, error) {
	restored, err := m.Sink.Restore(ctx, r)
	if m.defect == "invents a token" && err != nil {
		return sdk.Restored{}, nil
	}
	return restored, err
}

func (m mutant) Holds(ctx context.Context, r sdk.HoldsRequest) (sdk.Holding, error) {
	h, err := m.Sink.Holds(ctx, r)
	switch {
	case m.defect == "believes what it is told":
		return sdk.Holding{Version: r.Version}, nil
	case m.defect == "holds the first" && err == nil:
		return sdk.Holding{Version: 1}, nil
	}
	return h, err
}

func (m mutant) Test(ctx context.Context, r sdk.TestRequest) error {
	if m.defect == "tests with a token" {
		return m.Sink.Deliver(ctx, sdk.DeliverRequest{Settings: r.Settings, Account: r.Account, Content: sdk.NewSecret("x")})
	}
	return m.Sink.Test(ctx, r)
}

func (m mutant) Notify(ctx context.Context, r sdk.NotifyRequest) error {
	if m.defect == "loses notices" {
		return nil
	}
	return m.Sink.Notify(ctx, r)
}

const defectVariable = "SINKTEST_DEFECT"

// TestMutant is the suite over a sink with a defect, in the process that
// TestSuiteFindsDefects starts.
func TestMutant(t *testing.T) {
	defect := os.Getenv(defectVariable)
	if defect == "" {
		defect = "none"
	}
	s := folderSuite(func() sdk.Sink { return mutant{defect: defect} })
	if defect == "dies of signals" {
		s.Program = []string{os.Args[0], "sink"}
	}
	sinktest.Run(t, s)
}

func TestSuiteFindsDefects(t *testing.T) {
	t.Parallel()
	for defect, rule := range map[string]string{
		"none":                "",
		"hides a setting":     "InProcess/Describe",
		"delivers nothing":    "InProcess/Deliver",
		"keeps the first":     "InProcess/Deliver",
		"ignores the context": "InProcess/Hanging",
		"mixes accounts":      "InProcess/ConcurrentAccounts",
		"logs the token":      "InProcess/SameAgain",
		"tells a password":    "InProcess/Missing",
		"gives up":            "InProcess/Missing",
		"invents a token":     "InProcess/Restore",
		"tests with a token":  "InProcess/Test",
		"holds the first":     "InProcess/Holds",

		"believes what it is told": "InProcess/Holds",
		"loses notices":            "InProcess/Missing",
		"dies of signals":          "Program/Signals",
	} {
		t.Run(defect, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestMutant$", "-test.v")
			cmd.Env = append(os.Environ(), defectVariable+"="+defect)
			out, err := cmd.CombinedOutput()
			if rule == "" {
				if err != nil {
					t.Errorf("a sink without a defect fails:\n%s", out)
				}
				return
			}
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestMutant/"+rule) {
				t.Errorf("the rule %s did not fail:\n%s", rule, out)
			}
		})
	}
}
