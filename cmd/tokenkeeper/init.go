package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

func newInitCommand(e *env) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "init [FILE] [--force]",
		Short: "Write a commented configuration to start from",
		Long: `Write a commented configuration to start from.

FILE is ./tokenkeeper.yaml unless it or -c names another; "-" prints it. Only
its owner may read it, because it may come to hold secrets.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageErrorf("%q is one argument too many: tokenkeeper init [FILE]", args[1])
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			path := "tokenkeeper.yaml"
			if e.configFile != "" {
				path = e.configFile
			}
			if len(args) == 1 {
				path = args[0]
			}
			if path == "-" {
				return e.write(string(config.Reference()))
			}
			if err := writeNew(path, config.Reference(), force); err != nil {
				return err
			}
			if e.json {
				return e.printJSON(map[string]string{"file": path})
			}
			return e.print("%s is written. Name your accounts in it, then:\n\n  tokenkeeper check -c %[1]s\n  tokenkeeper run -c %[1]s\n  tokenkeeper login ACCOUNT -c %[1]s      or import, for its first token", path)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "overwrite FILE if it exists")
	return cmd
}

// writeNew writes a file that only its owner may read.
func writeNew(path string, data []byte, force bool) error {
	how := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		how = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(path, how, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already and is left as it is; --force overwrites it", path)
	}
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Chmod(0o600), f.Close())
}
