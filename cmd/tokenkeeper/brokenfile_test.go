package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// While the configuration is being written, or somebody has broken it, the supervisor goes on
// with what it has read, and so does whoever asks it: programs get their tokens, and a reload
// is refused by the supervisor, which tells of it.
func TestVerbsOfAFileThatIsNoYAML(t *testing.T) {
	refused := control.Errorf(control.CodeConflict, "the configuration was not read again: line 9")
	socket, _, _ := serve(t, &fake{refused: refused, status: func() control.Status { return control.Status{} }})
	const broken = "accounts:\n  main: {provider: schwab\n"
	for name, text := range map[string]string{
		"in one line":                     "control: {socket: %q}\n" + broken,
		"in several":                      broken + "\n# where it listens\ncontrol: # of ours\n\n  # here\n  socket: %q\nsinks: [\n",
		"with readers":                    "control:\n  readers: [{user: nobody-of-that-name, accounts: [main]}]\n  socket: %q\n" + broken,
		"cut off in what names no socket": "control: {socket: %q}\nlog: {level: \"in",
		"by its folder":                   "state_dir: " + filepath.Dir(socket) + "\n#%s\n" + broken,
	} {
		t.Run(name, func(t *testing.T) {
			if name == "by its folder" {
				if err := os.Symlink(socket, filepath.Join(filepath.Dir(socket), "control.sock")); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(t.TempDir(), "tk.yaml")
			write(t, path, fmt.Sprintf(text, socket))
			command(t, "", "token", "main", "-c", path).says(t, exitOK, "secret-access-token\n")
			command(t, "", "reload", "-c", path).says(t, exitFailure, "", "the configuration was not read again: line 9")
		})
	}
	remember(t, filepath.Dir(socket), event.Event{Time: now, Type: event.Refreshed, Account: "main", Message: "token refreshed"})
	path := filepath.Join(t.TempDir(), "tk.yaml")
	write(t, path, fmt.Sprintf("control: {socket: %q}\nstate_dir: %s\n", socket, filepath.Dir(socket))+broken)
	if got := command(t, "", "logs", "main", "-c", path); got.code != exitOK || !strings.Contains(got.stdout, "token refreshed") {
		t.Errorf("logs: %+v", got)
	}
}

// Where nobody answers it is said what is wrong with the file, and not that nobody runs.
func TestNobodyAnswersOfAFileThatIsNoYAML(t *testing.T) {
	for name, text := range map[string]string{
		"another socket":           "control: {socket: /nonexistent/c.sock}\nlog: {",
		"broken where it names it": "control: {socket: \"/none\nlog: {}\n",
		"nothing that names it":    "log: {",
	} {
		path := filepath.Join(t.TempDir(), "tk.yaml")
		write(t, path, text)
		got := command(t, "", "status", "-c", path)
		if want := path + " is not valid YAML: run \"tokenkeeper check\"\nuntil that is mended the control socket is not known"; got.code != exitUsage || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
