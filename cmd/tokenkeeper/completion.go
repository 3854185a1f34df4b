package main

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// shell is one that a completion script can be written for.
type shell struct {
	name  string
	write func(root *cobra.Command, w io.Writer) error
}

func shells() []shell {
	return []shell{
		{"bash", func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) }},
		{"fish", func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) }},
		{"powershell", func(root *cobra.Command, w io.Writer) error { return root.GenPowerShellCompletionWithDesc(w) }},
		{"zsh", func(root *cobra.Command, w io.Writer) error { return root.GenZshCompletion(w) }},
	}
}

// completionScript is what "completion SHELL --json" prints.
type completionScript struct {
	Shell  string `json:"shell"`
	Script string `json:"script"`
}

func newCompletionCommand(e *env) *cobra.Command {
	var names []string
	for _, s := range shells() {
		names = append(names, s.name)
	}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print what lets a shell complete command lines",
		Long: `Print what lets a shell complete verbs, options, and the names of accounts,
sinks and providers that stand in the configuration. SHELL is bash, fish,
powershell or zsh.

  bash        tokenkeeper completion bash \
                > /etc/bash_completion.d/tokenkeeper
              with the package bash-completion; or for this session:
              source <(tokenkeeper completion bash)
  fish        tokenkeeper completion fish \
                > ~/.config/fish/completions/tokenkeeper.fish
  zsh         tokenkeeper completion zsh > "${fpath[1]}/_tokenkeeper"
  powershell  tokenkeeper completion powershell | Out-String |
                Invoke-Expression`,
		Example:   "  tokenkeeper completion bash",
		ValidArgs: names,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := exactArgs("SHELL")(cmd, args); err != nil {
				return usageErrorf("%w; SHELL is one of: %s", err, strings.Join(names, ", "))
			}
			if !slices.Contains(names, args[0]) {
				return usageErrorf("there is no completion for %q; there is for: %s", args[0], strings.Join(names, ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			at := slices.Index(names, args[0])
			var script bytes.Buffer
			if err := shells()[at].write(cmd.Root(), &script); err != nil {
				return err
			}
			if e.json {
				return e.printJSON(completionScript{args[0], script.String()})
			}
			return e.write(script.String())
		},
	}
}
