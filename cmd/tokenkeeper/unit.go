package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tokenkeeper/tokenkeeper/supervisor"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/doctor"
)

// This file runs a verb as systemd would run the service: as its user, with its
// secrets, and with no more of the machine to be seen.

// unitFlag is how a verb is told to.
const unitFlag = "unit"

func addUnitFlag(cmd *cobra.Command, unit *string) {
	cmd.Flags().StringVar(unit, unitFlag, "", "as this `service` of systemd would, as its user and with what it may see (takes root)")
}

// usualUnit is what configs/systemd calls the service.
const usualUnit = "tokenkeeper.service"

// installedUnit is the usual service, if the system below root runs systemd and has one,
// and who asks could do as that does; "" also for a service, which is one already.
func installedUnit(root string, uid int, getenv func(string) string) string {
	running, err := os.Stat(filepath.Join(root, "run/systemd/system")) // sd_booted(3)
	if uid != 0 || err != nil || !running.IsDir() || getenv("INVOCATION_ID") != "" {
		return ""
	}
	for _, folder := range []string{"etc", "run", "usr/local/lib", "usr/lib", "lib"} { // systemd.unit(5)
		info, err := os.Stat(filepath.Join(root, folder, "systemd/system", usualUnit))
		switch {
		case err != nil:
		case info.Mode().IsRegular():
			return usualUnit
		default: // it is masked
			return ""
		}
	}
	return ""
}

// unit is what there is to know of a service.
type unit struct {
	program string
	config  string // the file that the service names; "": none
	user    string // as the unit names it; "": root
	dynamic bool   // systemd makes the user up
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
			var stateDir string
			if u.program, u.config, stateDir = commandOf(value); stateDir != "" {
				u.settings = append(u.settings, "Environment=TOKENKEEPER_STATE_DIR="+stateDir)
			}
		case key == "RuntimeDirectory" && value != "":
			// The service's own goes when whoever has it ends.
			u.settings = append(u.settings, fmt.Sprintf("RuntimeDirectory=tokenkeeper-%d", os.Getpid()))
		case decidesSight(key):
			u.settings = append(u.settings, key+"="+value)
		}
		if inService && key == "User" {
			u.user = value
		} else if inService && key == "DynamicUser" {
			u.dynamic = slices.Contains([]string{"yes", "true", "on", "1"}, value)
		}
	}
	switch at := slices.IndexFunc(append(u.settings, u.program, u.config), func(s string) bool { return strings.Contains(s, "%") }); {
	case u.dynamic && u.user == "":
		return u, errors.New("its DynamicUser has no User, so systemd would make up another one for this, and give him the state directory: write User= into it")
	case at >= 0 && at < len(u.settings):
		key, _, _ := strings.Cut(u.settings[at], "=") // the rest may be a secret
		return u, fmt.Errorf("its %s holds a %%, which only systemd can resolve, and not for this", key)
	case at >= 0:
		return u, errors.New("its ExecStart holds a %, which only systemd can resolve, and not for this")
	}
	if !strings.HasPrefix(filepath.Base(u.program), "tokenkeeper") {
		return u, fmt.Errorf("it does not start tokenkeeper: its ExecStart runs %q", u.program)
	}
	return u, nil
}

// commandOf is the program of a command line, and the configuration and the state
// directory that it names.
func commandOf(line string) (program, config, stateDir string) {
	words := strings.Fields(line)
	for i, word := range words {
		words[i] = strings.Trim(word, `"'`)
	}
	for i, word := range words {
		name, value, joined := strings.Cut(word, "=")
		if !joined && i+1 < len(words) {
			value = words[i+1]
		}
		switch name {
		case "-c", "--config":
			config = value
		case "--state-dir":
			stateDir = value
		}
	}
	return strings.TrimLeft(words[0], "@-:+!"), config, stateDir
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
	if stop := stopsWithin(ctx, name); stop != "" {
		run = append(run, "--setenv="+envStops+"="+name+" "+stop)
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

// envStops tells who does as a service its name, and how long systemd waits for its end.
const envStops = "UNIT_STOPS_WITHIN"

// stopsWithin is how long systemd waits for the end of a service, as it shows that; "": it
// does not tell. That is no reason not to do as the service.
func stopsWithin(ctx context.Context, name string) string {
	text, err := exec.CommandContext(ctx, "systemctl", "show", "--property=TimeoutStopUSec", "--value", "--", name).Output()
	if _, known := doctor.Span(string(text)); err != nil || !known {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// warnOfStop warns of a service, as which this is checked, that has less time to end than
// an answer may take.
func warnOfStop(r *report, cfg *config.Config, service string) {
	name, span, _ := strings.Cut(service, " ")
	has, known := doctor.Span(span)
	needs := supervisor.LongestStop(cfg)
	if !known || needs <= has || len(cfg.Accounts) == 0 {
		return
	}
	byTimeout := func(a, b string) int {
		return cmp.Or(cmp.Compare(cfg.Accounts[b].Refresh.Timeout, cfg.Accounts[a].Refresh.Timeout), cmp.Compare(a, b))
	}
	longest := slices.SortedFunc(maps.Keys(cfg.Accounts), byTimeout)[0]
	message, remedy := doctor.StopTooShort(name, has, needs)
	r.Warnings = append(r.Warnings, finding{
		File: r.Config, Line: r.where().of("accounts", longest, "refresh", "timeout"), Key: "accounts." + longest + ".refresh.timeout",
		Message: message, Hint: remedy,
	})
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
	return u, u.runsAsItself(ctx, name)
}

// serviceFolders are the folders that systemd gives a service: the setting that names
// them, the variable that tells it which they are, and what they lie in
// (systemd.exec(5), RuntimeDirectory=).
var serviceFolders = [...]struct{ setting, variable, in string }{
	{"StateDirectory", "STATE_DIRECTORY", "/var/lib"},
	{"CacheDirectory", "CACHE_DIRECTORY", "/var/cache"},
	{"LogsDirectory", "LOGS_DIRECTORY", "/var/log"},
	{"ConfigurationDirectory", "CONFIGURATION_DIRECTORY", "/etc"},
}

// withServiceFolders is the environment with the folders of the service, if that runs
// with the configuration at path and who asks has not named them.
func withServiceFolders(environ []string, service, path string) []string {
	text, err := exec.Command("systemctl", "cat", "--no-pager", "--", service).Output()
	if err != nil {
		return environ // what lacks is told as of any variable
	}
	u, err := readUnit(string(text))
	if err != nil || u.config != path {
		return environ
	}
	return u.addFolders(environ)
}

func (u unit) addFolders(environ []string) []string {
	for _, f := range serviceFolders {
		named := slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, f.variable+"=") })
		var paths []string
		for _, setting := range u.settings {
			if key, value, _ := strings.Cut(setting, "="); key == f.setting {
				for folder := range strings.FieldsSeq(value) {
					folder, _, _ = strings.Cut(folder, ":") // what follows is a link to it
					paths = append(paths, filepath.Join(f.in, folder))
				}
			}
		}
		if !named && len(paths) > 0 {
			environ = append(environ, f.variable+"="+strings.Join(paths, ":"))
		}
	}
	return environ
}

// runsAsItself refuses a unit that runs as another user than it names now: systemd gives
// a state directory to whoever starts with it, and the service would be without one.
func (u unit) runsAsItself(ctx context.Context, name string) error {
	text, err := exec.CommandContext(ctx, "systemctl", "show", "--property=MainPID", "--value", "--", name).Output()
	if err != nil {
		return fmt.Errorf("ask systemd for the process of %s: %w", name, err)
	}
	pid := strings.TrimSpace(string(text))
	info, err := os.Stat("/proc/" + pid)
	environ, errRead := os.ReadFile("/proc/" + pid + "/environ")
	if err != nil || errRead != nil { // it does not run: its number is 0, or it has just ended
		return nil
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && !u.is(int(st.Uid), environ) {
		return fmt.Errorf("service %s runs as UID %d, and its unit names the user %q now, who would be given its state directory: stop it first (systemctl stop %[1]s)",
			name, st.Uid, cmp.Or(u.user, "root"))
	}
	return nil
}

// is says whether a process of that number and environment runs as the unit says. The
// name is in its environment, because a user whom systemd has made up may not be found
// by it; his number is one of systemd's own
// (https://systemd.io/UIDS-GIDS/, "Special systemd UID ranges").
func (u unit) is(uid int, environ []byte) bool {
	if madeUp := uid >= 61184 && uid <= 65519; madeUp && !u.dynamic {
		return false
	}
	if number, err := strconv.Atoi(u.user); err == nil {
		return number == uid
	}
	if u.user == "" || u.user == "root" {
		return uid == 0
	}
	return slices.Contains(strings.Split(string(environ), "\x00"), "USER="+u.user)
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
