package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// This file runs a verb as systemd would run the service: as its user, with its
// secrets, and with no more of the machine to be seen.

// unitFlag is how a verb is told to.
const unitFlag = "unit"

func addUnitFlag(cmd *cobra.Command, unit *string) {
	cmd.Flags().StringVar(unit, unitFlag, "", "as this `service` of systemd would, as its user and with what it may see (takes root)")
}

// unit is what there is to know of a service.
type unit struct {
	program string
	config  string // the file that the service names; "": none
	// settings are all that decides what it is and may see, as KEY=VALUE.
	settings []string
}

// readUnit takes a unit apart as "systemctl cat" shows it, with what was added to it.
func readUnit(text string) (unit, error) {
	var u unit
	inService := false
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = strings.TrimSpace(line)
		key, value, assigns := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case strings.HasPrefix(line, "#"), strings.HasPrefix(line, ";"):
		case strings.HasPrefix(line, "["):
			inService = line == "[Service]"
		case !inService || !assigns:
		case key == "ExecStart" && value != "":
			u.program, u.config = commandOf(value)
		case key == "RuntimeDirectory" && value != "":
			// The service's own goes when whoever has it ends.
			u.settings = append(u.settings, fmt.Sprintf("RuntimeDirectory=tokenkeeper-%d", os.Getpid()))
		case decidesSight(key):
			u.settings = append(u.settings, key+"="+value)
		}
	}
	if !strings.HasPrefix(filepath.Base(u.program), "tokenkeeper") {
		return u, fmt.Errorf("it does not start tokenkeeper: its ExecStart runs %q", u.program)
	}
	return u, nil
}

// commandOf is the program of a command line, and the configuration that it names.
func commandOf(line string) (program, config string) {
	words := strings.Fields(line)
	for i, word := range words {
		words[i] = strings.Trim(word, `"'`)
	}
	for i, word := range words {
		if name, value, joined := strings.Cut(word, "="); joined && name == "--config" {
			config = value
		} else if (word == "-c" || word == "--config") && i+1 < len(words) {
			config = words[i+1]
		}
	}
	return strings.TrimLeft(words[0], "@-:+!"), config
}

// decidesSight says whether a setting decides who the service is, what it is given and
// what it may see and do (systemd.exec(5)), and not how it is started, watched and
// ended.
func decidesSight(key string) bool {
	for _, prefix := range []string{
		"Protect", "Private", "Restrict", "Bind", "SystemCall", "IPAddress", "LoadCredential", "SetCredential", "ImportCredential",
		"StateDirectory", "CacheDirectory", "LogsDirectory", "ConfigurationDirectory",
	} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return slices.Contains([]string{
		"User", "Group", "DynamicUser", "SupplementaryGroups", "UMask", "WorkingDirectory", "RootDirectory", "RootImage", "RuntimeDirectoryMode",
		"Environment", "EnvironmentFile", "PassEnvironment", "UnsetEnvironment",
		"ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths", "TemporaryFileSystem", "DeviceAllow", "DevicePolicy",
		"NoNewPrivileges", "CapabilityBoundingSet", "AmbientCapabilities", "SecureBits", "LockPersonality", "MemoryDenyWriteExecute",
		"ProcSubset", "NetworkNamespacePath", "AppArmorProfile", "SELinuxContext", "LimitNOFILE",
	}, key)
}

// asService runs the command once more as the service would run, with stdin, and
// ends as that does.
func (e *env) asService(cmd *cobra.Command, name string, stdin io.Reader, args ...string) error {
	ctx := cmd.Context()
	if os.Geteuid() != 0 {
		return usageErrorf("only root can do what a service does: sudo tokenkeeper %s --unit %s", cmd.Name(), name)
	}
	u, err := findUnit(ctx, name)
	if err != nil {
		return err
	}
	run := []string{"--quiet", "--collect", "--wait", "--pipe", "--service-type=exec"}
	for _, terminal := range []string{"TERM", "NO_COLOR"} {
		if value := e.getenv(terminal); value != "" {
			run = append(run, "--setenv="+terminal+"="+value)
		}
	}
	for _, setting := range u.settings {
		run = append(run, "--property="+setting)
	}
	again, err := commandAgain(cmd, u, e.configFile != "", args)
	if err != nil {
		return err
	}
	inner := exec.CommandContext(ctx, "systemd-run", append(append(run, "--", u.program), again...)...)
	inner.Stdin, inner.Stdout, inner.Stderr = stdin, e.stdout, e.stderr
	err = inner.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return &exitError{exit.ExitCode(), errSaid}
	} else if err != nil {
		return fmt.Errorf("systemd-run, which does as a service would, can't be run: %w", err)
	}
	return nil
}

// findUnit asks systemd for a service.
func findUnit(ctx context.Context, name string) (unit, error) {
	text, err := exec.CommandContext(ctx, "systemctl", "cat", "--no-pager", "--", name).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return unit{}, fmt.Errorf("systemd does not know the service %s: %s", name, strings.TrimSpace(string(exit.Stderr)))
	} else if err != nil {
		return unit{}, fmt.Errorf("ask systemd for the service %s: %w", name, err)
	}
	u, err := readUnit(string(text))
	if err != nil {
		return unit{}, fmt.Errorf("service %s: %w", name, err)
	}
	return u, nil
}

// commandAgain is the command line of cmd less the flag of the unit, as it means the same from
// any folder. configured: it names the configuration.
func commandAgain(cmd *cobra.Command, u unit, configured bool, args []string) (words []string, err error) {
	words = strings.Fields(cmd.CommandPath())[1:]
	cmd.Flags().Visit(func(f *pflag.Flag) {
		value := f.Value.String()
		switch f.Name {
		case unitFlag:
			return
		case "config", "socket":
			if absolute, wrong := filepath.Abs(value); wrong != nil {
				err = wrong
			} else {
				value = absolute
			}
		}
		words = append(words, "--"+f.Name+"="+value)
	})
	if !configured && u.config != "" {
		words = append(words, "--config="+u.config)
	}
	return append(append(words, "--"), args...), err
}
