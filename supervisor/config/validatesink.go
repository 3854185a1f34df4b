package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func (l *loader) validateSinks(cfg *Config, taken map[string]string) {
	sinks := l.merged.Down("sinks")
	if len(cfg.Sinks) == 0 && l.nothingUnder("sinks") {
		l.warn(l.merged.At("sinks"), "there is no sink: tokens are kept fresh, but delivered nowhere",
			"write one, or read them with \"tokenkeeper token ACCOUNT\"")
	}
	used := l.usedProviders(cfg)
	for _, name := range keysOf(cfg.Sinks) {
		o, s := sinks.Down(name), cfg.Sinks[name]
		o.validateRouting(cfg, s, used)
		if !o.validateType(cfg) {
			continue
		}
		o.foreignKeys(s.Type)
		o.validateEvents(s)
		switch s.Type {
		case SinkFile:
			o.validateFile(cfg, s, taken)
		case SinkUnixSocket:
			o.validateUnixSocket(s.UnixSocket, taken)
		case SinkWebhook:
			o.validateWebhook(s)
		case SinkExec:
			o.validateExec(s.Exec)
		case SinkNotify:
			o.validateNotify(s.Notify)
		default:
			o.validatePluginSink(s.Plugin)
		}
		if s.Type != SinkNotify && !(s.Exec != nil && s.Exec.Signal != nil) {
			o.validateContent(s)
		}
	}
}

// foreignKeys reports keys that belong to another type of sink.
func (o Object) foreignKeys(typ string) {
	own, common := o.l.sinks.of(typ), commonSinkFields()
	for _, key := range keysOf(o.l.schema.Fields["sinks"].Each.Fields) {
		_, isOwn := own[key]
		_, isCommon := common[key]
		if isOwn || isCommon || !(o.Given(key) || o.values[key] != nil) {
			continue
		}
		o.Report(o.At(key), fmt.Sprintf("unknown key in a sink of type %s", typ), suggest(key, keysOf(own)))
	}
}

// takenPaths are the files that tokens must not be written to, by their
// canonical path, each with what it is.
func (l *loader) takenPaths(cfg *Config) map[string]string {
	taken := map[string]string{l.folders.canonical(cfg.Control.Socket): "the control socket"}
	if cfg.Log.File != "" {
		taken[l.folders.canonical(cfg.Log.File)] = "log.file"
	}
	if l.source.Bytes == nil && l.source.Path != "" {
		taken[l.folders.canonical(filepath.Join(l.folders.dir, filepath.Base(l.source.Path)))] = "this configuration"
	}
	return taken
}

func (o Object) validateFile(cfg *Config, s Sink, taken map[string]string) {
	o.validateSignal(s.File.Signal)
	if s.File.Mode&0o004 != 0 && s.IncludeRefreshToken {
		o.Warn(o.At("mode"), fmt.Sprintf("everyone on this machine will be able to read the refresh token (mode %#o)", s.File.Mode),
			`write mode: "0600", or "0640" with an owner of :group`)
	}
	if !o.Given("mode") && s.IncludeRefreshToken {
		o.warnOfWideFiles(s.File.Path)
	}
	if o.Given("mode") && s.File.Mode&0o400 == 0 && !o.Broken("mode") {
		o.Report(o.At("mode"), "the file's owner could not read it", `write "0600" or "0640"`)
	}
	if o.Given("owner") && !regexp.MustCompile(`^([^\s:/]+(:[^\s:/]+)?|:[^\s:/]+)$`).MatchString(s.File.Owner) {
		o.Report(o.At("owner"), fmt.Sprintf("%q is not an owner", s.File.Owner), "write user, user:group or :group")
	}
	if Required(o, "path", "/var/lib/bots/{account}.json") {
		o.validateFilePath(cfg, s, taken)
	}
}

func (o Object) validateFilePath(cfg *Config, s Sink, taken map[string]string) {
	at := o.At("path")
	for _, m := range regexp.MustCompile(`\{[^{}]*\}`).FindAllString(s.File.Path, -1) {
		if m != "{account}" && m != "{provider}" {
			o.Report(at, "holds a placeholder that is unknown", "{account} and {provider} are known")
			return
		}
	}
	accounts := cfg.SinkAccounts(s)
	if len(accounts) > 1 && !strings.Contains(s.File.Path, "{account}") {
		o.Report(at, fmt.Sprintf("%d accounts would write the same file", len(accounts)),
			"put {account} into the path, or name one account")
		return
	}
	for _, a := range accounts {
		path := o.l.folders.canonical(strings.NewReplacer("{account}", a.Name, "{provider}", a.Provider).Replace(s.File.Path))
		if by, ok := taken[path]; ok {
			if strings.HasPrefix(by, sharedFileOf) {
				o.Report(at, fmt.Sprintf("the file for account %q is %s", a.Name, by),
					"choose another path, or remove the sink: a shared file gets every new token")
			} else {
				o.Report(at, fmt.Sprintf("the file for account %q is that of %s too", a.Name, by), "choose another path")
			}
			return
		}
		taken[path] = fmt.Sprintf("sink %q%s", s.Name, inLine(at))
	}
}

func inLine(at Place) string {
	if at.line == 0 {
		return ""
	}
	return fmt.Sprintf(" (line %d)", at.line)
}

func (o Object) validateUnixSocket(s *UnixSocketSink, taken map[string]string) {
	Choice(o, "ack", "ok", "none")
	if Choice(o, "direction", directionDial, directionListen) {
		o.validateListen(s, taken)
	}
	AtLeast(o, "timeout", s.Timeout, time.Millisecond)
	AtLeast(o, "attempts", s.Attempts, 1)
	AtLeast(o, "interval", s.Interval, 0)
	if Required(o, "path", "/run/bot/token.sock") && len(s.Path) > maxSocketPath {
		o.Report(o.At("path"), tooLong(len(s.Path)), "choose a shorter one")
	}
}
