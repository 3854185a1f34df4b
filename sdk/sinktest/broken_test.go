package sinktest_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
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
		t.Skip("for TestSuiteFindsDefects")
	}
	sinktest.Run(t, folderSuite(func() sdk.Sink { return mutant{defect: defect} }))
}

func TestSuiteFindsDefects(t *testing.T) {
	t.Parallel()
	for defect, rule := range map[string]string{
		"none":                "",
		"hides a setting":     "Describe",
		"delivers nothing":    "Deliver",
		"keeps the first":     "Deliver",
		"ignores the context": "Hanging",
		"mixes accounts":      "ConcurrentAccounts",
		"logs the token":      "SameAgain",
		"tells a password":    "Missing",
		"gives up":            "Missing",
		"invents a token":     "Restore",
		"tests with a token":  "Test",
		"loses notices":       "Missing",
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
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestMutant/InProcess/"+rule) {
				t.Errorf("the rule %s did not fail:\n%s", rule, out)
			}
		})
	}
}
