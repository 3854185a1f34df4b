package main

import (
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
		RunE:  func(*cobra.Command, []string) error { return e.printVersion() },
	}
}

func (e *env) printVersion() error {
	v := control.VersionOf(programVersion())
	if e.json {
		return e.printJSON(v)
	}
	return e.print("tokenkeeper %s (%s; protocols of providers: %s, of sinks: %s)", v.Version, v.Go,
		sdk.VersionsText(v.Providers), sdk.VersionsText(v.Sinks))
}

// programVersion is the module's version as the Go tool noted it.
func programVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
