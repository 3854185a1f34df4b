// Command tokenkeeper keeps the OAuth tokens of trading systems alive. It is
// the supervisor, the tool that asks it, and, run again as "tokenkeeper
// provider NAME", each of the built-in providers.
package main

import (
	"context"
	"io"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program less the process: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	// A provider's start is on the way to the first delivery: nothing of the
	// command is built for it.
	if len(args) > 0 && args[0] == providerVerb {
		return serveProvider(args[1:], stderr)
	}
	if err := checkZone(os.Getenv("TZ")); err != nil {
		e := newEnv(stdin, stdout, stderr)
		e.json = asksForJSON(args)
		e.fail(exitUsage, err)
		return exitUsage
	}
	return newEnv(stdin, stdout, stderr).execute(ctx, args)
}
