package process

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/hashicorp/go-plugin"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// FaultKind is why a provider can't run.
type FaultKind string

const (
	// NoProgram: nothing is there, or it can't be executed.
	NoProgram FaultKind = "no_program"
	// WrongChecksum: it is not the program that the configuration names.
	WrongChecksum FaultKind = "wrong_checksum"
	// NotAPlugin: it runs, but does not speak go-plugin's protocol.
	NotAPlugin FaultKind = "not_a_plugin"
	// WrongProtocol: a plugin, but of another protocol or version.
	WrongProtocol FaultKind = "wrong_protocol"
	// WrongProvider: a provider, but another one.
	WrongProvider FaultKind = "wrong_provider"
)

// Fault is a start that fails until a person changes something: the provider
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
func startErrno(path string, err error) error {
	remedy := "install the provider there, or correct its command in the configuration"
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
			Remedy: "install a build of the provider for this operating system and architecture",
		}
	}
	return fmt.Errorf("start %s: %w", path, err)
}

// handshakeFault judges the first line that a program wrote to its standard
// output; nil: nothing is wrong with it. The line is documented in go-plugin's
// docs/internals.md: CORE|VERSION|NETWORK|ADDRESS|PROTOCOL|CERTIFICATE.
func handshakeFault(path, line string) error {
	notAPlugin := &Fault{
		Kind:    NotAPlugin,
		Message: fmt.Sprintf("%s is no provider: instead of a plugin's handshake it wrote %q", path, clip(line, 80)),
		Remedy:  "install a Tokenkeeper provider there, or correct its command in the configuration",
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
	wrong := func(what string) error {
		return &Fault{
			Kind: WrongProtocol, Message: fmt.Sprintf("%s speaks %s", path, what),
			Remedy: "install a version of the provider that is built for this version of Tokenkeeper",
		}
	}
	switch {
	case core != plugin.CoreProtocolVersion:
		return wrong(fmt.Sprintf("version %d of go-plugin's protocol, this Tokenkeeper %d", core, plugin.CoreProtocolVersion))
	case version != sdk.ProtocolVersion:
		return wrong(fmt.Sprintf("version %d of the provider protocol, this Tokenkeeper %d", version, sdk.ProtocolVersion))
	case len(parts) < 5 || parts[4] != string(plugin.ProtocolGRPC):
		return wrong("net/rpc instead of gRPC")
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
