package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

func newVersionCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			v := control.VersionAnswer{Version: programVersion(), Go: runtime.Version(), Protocol: sdk.ProtocolVersion}
			if e.json {
				return e.printJSON(v)
			}
			return e.print("tokenkeeper %s (%s, plugin protocol %d)", v.Version, v.Go, v.Protocol)
		},
	}
}

// programVersion is the module's version as the Go tool noted it.
func programVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
