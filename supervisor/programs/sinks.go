package programs

import (
	"fmt"
	"path/filepath"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/hearsay"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/plugin"
)

// OfSink returns how the process of a sink that is a plugin is started: by
// the command that the configuration names, or else by its type's program in
// the plugin directory. The error says where it was looked for.
func OfSink(cfg *config.Config, s config.Sink) (*process.Command, error) {
	own, ok := plugin.Of(s)
	if !ok {
		return nil, fmt.Errorf("sink %s: type %s is built in and has no program of its own", s.Name, s.Type)
	}
	c := &process.Command{
		Kind: process.Sink, Name: s.Name, Trust: cfg.Trust, SHA256: own.SHA256, SocketDir: filepath.Join(cfg.StateDir, "sockets"),
		Secrets: hearsay.NewDeclared(cfg.SecretSettings),
	}
	inDir := filepath.Join(cfg.Plugins.Dir, config.SinkBinary+s.Type)
	switch {
	case len(own.Command) > 0:
		c.Path, c.Args = own.Command[0], own.Command[1:]
	case cfg.Plugins.Dir != "" && exists(inDir):
		c.Path = inDir
	default:
		return nil, fmt.Errorf("sink %s: its type %s is not built in, and there is no %s and no sinks.%s.command; "+
			"put the plugin there or correct the sink's type", s.Name, s.Type, inDir, s.Name)
	}
	return c, nil
}
