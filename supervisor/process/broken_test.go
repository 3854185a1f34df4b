package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

func TestBrokenPrograms(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	everybodys := func(path string) string {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
		return path
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		command Command
		want    FaultKind // "": no Fault, may be tried again
		text    string
	}{
		{"missing", Command{Path: filepath.Join(dir, "nothing")}, NoProgram, "does not exist"},
		{"missing in PATH", Command{Path: "tokenkeeper-provider-of-nobody"}, NoProgram, "does not exist"},
		{"directory", Command{Path: dir}, NoProgram, "is a directory"},
		{"not executable", Command{Path: file("plain", "#!/bin/sh\n", 0o600)}, NoProgram, "chmod +x"},
		{"text", Command{Path: file("text", "hello\n", 0o700)}, NotAPlugin, "no program"},
		{"everybody's", Command{Path: everybodys(file("open", "#!/bin/sh\n", 0o700))}, Untrusted, "can be changed by everybody"},
		{"everybody's, for an interpreter", Command{Path: "sh", Args: []string{"-u", everybodys(file("given", "exit\n", 0o600))}}, Untrusted, "given ("},
		{"everybody's configuration", Command{Path: self, Args: []string{"oldplugin", "--with=" + everybodys(file("with", "", 0o600))}}, Untrusted, "with ("},
		{"everybody's interpreter", Command{Path: file("led", "#!"+everybodys(file("leader", "#!/bin/sh\n", 0o700))+"\n", 0o700)}, Untrusted, "leader ("},
		{"no interpreter", Command{Path: file("lost", "#!/no/such/shell\n", 0o700)}, NoProgram, "interpreter"},
		{"ends at once", Command{Path: "/bin/true"}, NotAPlugin, "ended at once"},
		{"a script", Command{Path: file("script", "#!/bin/sh\necho hello\nexec sleep 100\n", 0o700)}, NotAPlugin, `"hello"`},
		{"fails", Command{Path: file("fails", "#!/bin/sh\necho alas >&2\nexit 3\n", 0o700)}, "", `exit status 3 (its last words: "alas")`},
		{"other version", Command{Path: self, Args: []string{"oldplugin"}}, WrongProtocol, "version 0 of the provider protocol, this Tokenkeeper 1 and 2; install a version of the provider that"},
		{"needs what is newer", Command{Path: self, Args: []string{"tomorrow"}}, WrongProtocol,
			"version 3 of the provider protocol, this Tokenkeeper 1 and 2; upgrade Tokenkeeper, or install an older version of the provider"},
		{"other go-plugin", Command{Path: file("core", "#!/bin/sh\necho '2|1|unix|/x|grpc|'\n", 0o700)}, WrongProtocol, "version 2 of go-plugin"},
		{"net/rpc", Command{Path: file("rpc", "#!/bin/sh\necho '1|1|unix|/x|netrpc|'\n", 0o700)}, WrongProtocol, "net/rpc"},
		{"endless line", Command{Path: file("endless", "#!/bin/sh\nexec cat /dev/zero\n", 0o700)}, NotAPlugin, "instead of a plugin's handshake"},
		{"wrong checksum", Command{Path: self, Args: []string{"provider"}, SHA256: strings.Repeat("ab", 32)}, WrongChecksum, "providers.real.sha256"},
		{"other provider", Command{Name: "unreal", Path: self, Args: []string{"provider"}}, WrongProvider, `"real", not "unreal"`},
		{"panics when asked", Command{Path: self, Args: []string{"provider", "panic"}}, "", "the provider panicked: string"},
		{"dies when asked", Command{Path: self, Args: []string{"provider", "die"}}, "", "exit status 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.command.Name == "" {
				c.command.Name = "real"
			}
			if c.name == "not executable" && os.Getuid() == 0 {
				t.Log("also root may execute only what somebody may")
			}
			ctx, cancel := waittest.Context(context.Background(), waittest.Patience)
			defer cancel()
			_, err := Inspect(ctx, c.command)
			if err == nil {
				t.Fatal("no error")
			}
			var fault *Fault
			if errors.As(err, &fault) != (c.want != "") || (fault != nil && fault.Kind != c.want) {
				t.Errorf("fault %+v, want %q: %v", fault, c.want, err)
			}
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %q does not say %q", err, c.text)
			}
		})
	}
}

func TestInspect(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	sum, err := checksum(self)
	if err != nil {
		t.Fatal(err)
	}
	info, err := Inspect(context.Background(), Command{
		Name: "real", Path: self, Args: []string{"provider"}, SHA256: strings.ToUpper(sum),
		SocketDir: "/tmp/" + strings.Repeat("long", 30),
	})
	if err != nil {
		t.Fatal(err)
	}
	if info.SHA256 != sum || info.Path != self || info.Protocol != 1 || info.Description.Version != "v1" {
		t.Errorf("info %+v", info)
	}
}

// A provider has a spool's folder of its own whenever it starts, also to be asked who it
// is: one in another language may not come so far without it.
func TestSpoolDirIsThereBeforeTheStart(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("TMPDIR", t.TempDir())
	open := filepath.Join(root, "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(root, "state", "spool", "real"), open} {
		c := Command{Name: "real", Path: self, Args: []string{"provider", "spool"}, SpoolDir: dir, SocketDir: shortDir(t)}
		info, err := Inspect(t.Context(), c)
		mode, asked, _ := strings.Cut(info.Version, " ")
		if err != nil || mode != "drwx------" || asked == filepath.Base(dir) || asked == "" {
			t.Errorf("asked who it is: its spool is %q (%v)", info.Version, err)
		}
		if _, err := os.Stat(filepath.Join(os.Getenv("TMPDIR"), asked)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", asked, err)
		}
		c.Args = append(c.Args, dir)
		in, err := c.Launch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d, err := sdk.NewRemote(in.Conn()).Describe(t.Context())
		in.End(5 * time.Second)
		if err != nil || d.Version != "drwx------ "+filepath.Base(dir) {
			t.Errorf("started: its spool is %q (%v), want %s", d.Version, err, dir)
		}
	}
}

// A folder for temporary files that is not there is no reason not to answer.
func TestInspectWithoutATemporaryFolder(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	if info, err := Inspect(t.Context(), Command{Name: "real", Path: self, Args: []string{"provider"}}); err != nil || info.Version != "v1" {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestDiscover(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"tokenkeeper-provider-b", "tokenkeeper-provider-a1", "tokenkeeper-provider-", "tokenkeeper-provider-A", "other",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "tokenkeeper-provider-dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	found, err := Discover(dir)
	if err != nil || len(found) != 2 || found[0].Name != "a1" || found[1].Name != "b" {
		t.Errorf("found %+v, %v", found, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenkeeper-sink-a2"), nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if found, err := DiscoverSinks(dir); err != nil || len(found) != 1 || found[0].Name != "a2" {
		t.Errorf("found the sinks %+v, %v", found, err)
	}
	if found, err := Discover(filepath.Join(dir, "nothing")); err != nil || found != nil {
		t.Errorf("nothing: %+v, %v", found, err)
	}
}
