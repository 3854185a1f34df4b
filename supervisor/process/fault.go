package process

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/hashicorp/go-plugin"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// FaultKind is why a plugin can't run.
type FaultKind string

const (
	// NoProgram: nothing is there, or it can't be executed.
	NoProgram FaultKind = "no_program"
	// WrongChecksum: it is not the program that the configuration names.
	WrongChecksum FaultKind = "wrong_checksum"
	// Untrusted: somebody else could have put it there.
	Untrusted FaultKind = "untrusted"
	// NotAPlugin: it runs, but does not speak go-plugin's protocol.
	NotAPlugin FaultKind = "not_a_plugin"
	// WrongProtocol: a plugin, but of another protocol or version.
	WrongProtocol FaultKind = "wrong_protocol"
	// WrongProvider: a provider, but another one.
	WrongProvider FaultKind = "wrong_provider"
	// WrongSink: a sink, but of another type.
	WrongSink FaultKind = "wrong_sink"
)

// Fault is a start that fails until a person changes something: the plugin
// is parked.
type Fault struct {
	Kind FaultKind
	// Message says what is wrong, Remedy what to do.
	Message, Remedy string
}

func (f *Fault) Error() string { return f.Message + "; " + f.Remedy }

// startErrno sorts the kernel's refusal to execute path. Only what waiting
// can't mend is a Fault: a file that is just being written, or a machine out of
// memory, is not.
func (k Kind) startErrno(path string, err error) error {
	remedy := fmt.Sprintf("install the %s there, or correct its command in the configuration", k)
	fault := func(message, remedy string) error {
		return &Fault{Kind: NoProgram, Message: fmt.Sprintf("%s %s", path, message), Remedy: remedy}
	}
	switch {
	case errors.Is(err, syscall.ENOENT):
		return fault("does not exist (or the interpreter that it needs does not)", remedy)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP):
		return fault(fmt.Sprintf("can't be reached (%v)", err), remedy)
	case errors.Is(err, syscall.EISDIR):
		return fault("is a directory", remedy)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fault("may not be executed", "make it executable for the user of the supervisor: chmod +x "+path)
	case errors.Is(err, syscall.ENOEXEC):
		return &Fault{
			Kind: NotAPlugin, Message: path + " is no program for this machine",
			Remedy: fmt.Sprintf("install a build of the %s for this operating system and architecture", k),
		}
	}
	return fmt.Errorf("start %s: %w", path, err)
}

// handshakeFault judges the first line that a program wrote to its standard
// output; nil: nothing is wrong with it. The line is documented in go-plugin's
// docs/internals.md: CORE|VERSION|NETWORK|ADDRESS|PROTOCOL|CERTIFICATE.
func (k Kind) handshakeFault(path, line string) error {
	notAPlugin := &Fault{
		Kind:    NotAPlugin,
		Message: fmt.Sprintf("%s is no %s: instead of a plugin's handshake it wrote %q", path, k, clip(line, 80)),
		Remedy:  k.remedy(),
	}
	parts := strings.Split(strings.TrimSpace(line), "|")
	if len(parts) < 4 {
		return notAPlugin
	}
	core, err := strconv.Atoi(parts[0])
	if err != nil {
		return notAPlugin
	}
	version, err := strconv.Atoi(parts[1])
	if err != nil {
		return notAPlugin
	}
	wrong := func(what, remedy string) error {
		return &Fault{Kind: WrongProtocol, Message: fmt.Sprintf("%s speaks %s", path, what), Remedy: remedy}
	}
	versions := sdk.Versions(k.pluginName())
	rebuilt := fmt.Sprintf("install a version of the %s that is built for this version of Tokenkeeper", k)
	switch {
	case core != plugin.CoreProtocolVersion:
		return wrong(fmt.Sprintf("version %d of go-plugin's protocol, this Tokenkeeper %d", core, plugin.CoreProtocolVersion), rebuilt)
	case version > slices.Max(versions):
		return wrong(fmt.Sprintf("version %d of the %s protocol, this Tokenkeeper %s", version, k, sdk.VersionsText(versions)),
			fmt.Sprintf("upgrade Tokenkeeper, or install an older version of the %s", k))
	case !slices.Contains(versions, version):
		return wrong(fmt.Sprintf("version %d of the %s protocol, this Tokenkeeper %s", version, k, sdk.VersionsText(versions)), rebuilt)
	case len(parts) < 5 || parts[4] != string(plugin.ProtocolGRPC):
		return wrong("net/rpc instead of gRPC", rebuilt)
	}
	return nil
}

// clip bounds text that comes from elsewhere.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
