package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Info is what a plugin's program says of itself.
type Info struct {
	Path   string
	SHA256 string
	// Interpreter that runs it, if it is a script; a checksum says nothing of it.
	Interpreter string
	Protocol    int
	// Version of the plugin.
	Version string
	// Description of a provider; Sink of a sink.
	Description sdk.Description
	Sink        sdk.SinkDescription
}

// Inspect starts a provider's program, asks it who it is, and ends it. It
// spends nothing, and the spool that it gives the provider is none of a
// supervisor's: it goes with the process. On an error the fields that are known
// are set; a [*Fault] says what a person has to change.
func Inspect(ctx context.Context, c Command) (Info, error) { return inspect(ctx, c, c.Name) }

// InspectSink is [Inspect] for the program of sinks of a type.
func InspectSink(ctx context.Context, c Command, typ string) (Info, error) {
	c.Kind = Sink
	return inspect(ctx, c, typ)
}

func inspect(ctx context.Context, c Command, name string) (Info, error) {
	info := Info{Path: c.Path}
	path, err := c.locate()
	if err != nil {
		return info, err
	}
	info.Path = path
	program, err := os.Open(path)
	if err != nil {
		return info, fmt.Errorf("read %s for its checksum: %w", path, err)
	}
	defer program.Close()
	info.Interpreter = interpreterOf(program)
	if _, err := program.Seek(0, io.SeekStart); err != nil {
		return info, fmt.Errorf("read %s for its checksum: %w", path, err)
	}
	if info.SHA256, err = c.verify(path, program); err != nil {
		return info, err
	}
	// A running supervisor's sockets and spool are not touched.
	c.SocketDir, c.SpoolDir, c.SpoolFallback, c.HandOver = "", "", "", 0
	if c.Kind == Provider {
		dir, ok := temporaryDir(math.MaxInt)
		if !ok {
			return info, fmt.Errorf("no folder can be made for the spool of provider %s, which is asked who it is: set TMPDIR to one that is writable", c.Name)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		c.SpoolDir = dir
	}
	in, err := c.launch(ctx)
	if err != nil {
		return info, err
	}
	info.Protocol = in.client.NegotiatedVersion()
	id, err := c.Kind.meet(ctx, in, name, startTimeout)
	info.Version, info.Description, info.Sink = id.version, id.provider, id.sink
	in.End(time.Second)
	return info, err
}

// Found is a file in the plugin directory.
type Found struct {
	// Name of the provider, or type of the sinks.
	Name string
	Path string
}

// Discover lists the files in dir that are called tokenkeeper-provider-NAME,
// in the order of their names. A directory that does not exist holds none.
// Whether they can run is not looked at.
func Discover(dir string) ([]Found, error) { return discover(dir, Provider) }

// DiscoverSinks is [Discover] for tokenkeeper-sink-NAME.
func DiscoverSinks(dir string) ([]Found, error) { return discover(dir, Sink) }

func discover(dir string, kind Kind) ([]Found, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []Found
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), kind.programPrefix())
		if !ok || !sdk.ValidName(name) || e.IsDir() {
			continue
		}
		found = append(found, Found{Name: name, Path: filepath.Join(dir, e.Name())})
	}
	return found, nil
}
