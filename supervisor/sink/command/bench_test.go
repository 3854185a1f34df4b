package command_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/command"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
)

func BenchmarkDeliver(b *testing.B) {
	b.Run("exec", func(b *testing.B) {
		s, err := command.New(command.Config{Command: []string{"true"}, Encode: encode})
		if err != nil {
			b.Fatal(err)
		}
		sinktest.Benchmark(b, s)
	})
	b.Run("signal", func(b *testing.B) {
		cmd := exec.Command("env", "--ignore-signal=HUP", "cat")
		input, err := cmd.StdinPipe() // open and silent
		if err != nil {
			b.Fatal(err)
		}
		output, err := cmd.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		// Once it answers, it ignores the signal.
		if _, err := input.Write([]byte("x")); err != nil {
			b.Fatal(err)
		}
		if _, err := output.Read(make([]byte, 1)); err != nil {
			b.Fatal(err)
		}
		pidfile := filepath.Join(b.TempDir(), "pid")
		if err := os.WriteFile(pidfile, []byte(strconv.Itoa(cmd.Process.Pid)), 0o644); err != nil {
			b.Fatal(err)
		}
		s, err := command.NewSignaller(command.SignalConfig{PIDFile: pidfile, Signal: "HUP"})
		if err != nil {
			b.Fatal(err)
		}
		sinktest.Benchmark(b, s)
	})
}
