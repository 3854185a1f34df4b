package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/plugins/saxo"
	"github.com/tokenkeeper/tokenkeeper/plugins/schwab"
	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// providerVerb is what the supervisor runs this program with, followed by a
// name, to have a built-in provider in a process of its own.
const providerVerb = "provider"

// builtins are the names of the providers in this program.
func builtins() []string { return []string{"saxo", "schwab"} }

// builtin returns the provider of that name; ok is false if there is none.
func builtin(name string) (p sdk.Provider, ok bool) {
	switch name {
	case "saxo":
		return saxo.New(), true
	case "schwab":
		return schwab.New(), true
	default:
		return nil, false
	}
}

// needsSecret says whether the broker of a built-in provider takes no client without a
// secret. Of another provider nobody knows.
func needsSecret(name string) bool {
	p, _ := builtin(name)
	needs, ok := p.(interface{ NeedsClientSecret() bool })
	return ok && needs.NeedsClientSecret()
}

// builtinCommand is how the supervisor starts a built-in provider. The program
// is the one that runs, even if the file on disk has been replaced since.
func builtinCommand(name string) (command []string, ok bool) {
	if _, ok := builtin(name); !ok {
		return nil, false
	}
	return []string{"/proc/self/exe", providerVerb, name}, true
}

// serveProvider is the hidden verb: it returns when the supervisor ends the
// process.
func serveProvider(args []string, stderr io.Writer) int {
	if len(args) == 1 {
		if p, ok := builtin(args[0]); ok {
			// Or else it is called "exe", after the link that it was started
			// from, where a person is told who holds a lock.
			_ = os.WriteFile("/proc/self/comm", []byte("provider-"+args[0]), 0)
			sdk.Serve(p)
			return exitOK
		}
	}
	_, _ = fmt.Fprintf(stderr, "tokenkeeper: usage: tokenkeeper %s NAME, where NAME is one of: %s\n", providerVerb, strings.Join(builtins(), ", "))
	return exitUsage
}
