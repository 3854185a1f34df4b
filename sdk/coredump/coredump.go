// Package coredump keeps what a process holds in memory out of core files and
// debuggers: a core holds every token and client secret.
package coredump

import "os"

// EnvAllow, set to 1 in a process's environment, leaves everything as it is:
// for debugging. "tokenkeeper run --debug-dumpable" sets it for plugins too.
const EnvAllow = "TOKENKEEPER_DEBUG_DUMPABLE"

// Forbid keeps this process from writing a core and other processes of the same
// user from looking into its memory, its environment and its descriptors, unless
// [EnvAllow] says otherwise. Processes that it starts have the limit for cores
// (which they may raise again) and nothing else of it.
func Forbid() error {
	if os.Getenv(EnvAllow) == "1" {
		return nil
	}
	return forbid()
}
