package trust

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// Operands are the files that decide what a command does beside its program, by
// the word of the command that names each: its arguments, and under 0 the
// interpreter of a program that is a script. command[0] is the path of the
// program, and relative arguments are relative to dir.
//
// Of a plugin, whose targets are in its settings, every file counts. With onlyRun
// a file may be one that the program writes, and what counts is what looks like a
// program, and the first one that an interpreter is given. A word without a slash
// is a file's name for an interpreter alone. Folders are not looked into, nor what
// a shell is told to do by a text.
func Operands(command []string, dir string, onlyRun bool) map[int]string {
	found := map[int]string{}
	if len(command) == 0 {
		return found
	}
	if path, _ := script(command[0]); path != "" {
		found[0] = path
	}
	interprets := isInterpreter(command[0]) // and was given nothing so far
	for i, word := range command[1:] {
		path := operand(word, dir, interprets)
		if path == "" {
			continue
		}
		if interprets || !onlyRun || isRunnable(path) {
			found[i+1] = path
		}
		interprets = interprets && isInterpreter(path)
	}
	return found
}

// Operands refuses with a [*Refusal] what [Operands] finds of a command and
// somebody could have put there, or could change, who is not trusted by the rule.
func (j Judge) Operands(command []string, dir string, onlyRun bool, rule Rule) error {
	found := Operands(command, dir, onlyRun)
	for _, word := range slices.Sorted(maps.Keys(found)) {
		var refusal *Refusal
		if _, err := j.Examine(found[word], rule); errors.As(err, &refusal) {
			return refusal
		}
	}
	return nil
}

// operand is the file that an argument names: as a whole, after "=", or after an
// option's letter; "": none.
func operand(word, dir string, bareNames bool) string {
	candidates := []string{word}
	if _, value, ok := strings.Cut(word, "="); ok {
		candidates = append(candidates, value)
	}
	if i := strings.IndexByte(word, '/'); i > 0 && strings.HasPrefix(word, "-") {
		candidates = append(candidates, word[i:])
	}
	for _, path := range candidates {
		if path == "" || !strings.Contains(path, "/") && !bareNames {
			continue
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// isRunnable goes by what is said of a file: that it may be executed, what its
// interpreter is, or which language it is written in.
func isRunnable(path string) bool {
	_, isScript := script(path)
	info, err := os.Stat(path)
	return isScript || err == nil && info.Mode().Perm()&0o111 != 0 || languages().MatchString(path)
}

func languages() *regexp.Regexp {
	return regexp.MustCompile(`\.(py|pyc|pyz|js|mjs|cjs|ts|rb|pl|pm|sh|bash|zsh|lua|php|jar|class|tcl|r|R|jl|exs?|scm|rkt|awk|sed|so)$`)
}

// isInterpreter goes by the name, also by that to which a link leads.
func isInterpreter(program string) bool {
	names := []string{filepath.Base(program)}
	if real, err := filepath.EvalSymlinks(program); err == nil {
		names = append(names, filepath.Base(real))
	}
	for _, name := range names {
		if interpreters().MatchString(name) {
			return true
		}
	}
	return false
}

// interpreters run what they are given, or run a program that is given something.
func interpreters() *regexp.Regexp {
	return regexp.MustCompile(`^((|a|ba|da|z|k|mk|pdk|c|tc|fi)sh|busybox|(python|pypy|perl|ruby|node|nodejs|php|lua|luajit|tclsh|guile|java)[0-9.]*|` +
		`deno|bun|Rscript|groovy|kotlin|scala|elixir|erl|julia|racket|osascript|expect|m?awk|gawk|sed|make|` +
		`env|nice|ionice|chrt|taskset|timeout|nohup|setsid|stdbuf|setpriv|sudo|doas|runuser|su|chroot|unshare|nsenter|flock|xargs|systemd-run|systemd-inhibit)$`)
}

// script says whether a file is one that names its interpreter (execve(2)).
func script(path string) (interpreter string, isScript bool) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", false
	}
	defer func() { _ = f.Close() }()
	const longest = 256 // BINPRM_BUF_SIZE
	line, _ := bufio.NewReaderSize(io.LimitReader(f, longest), longest).ReadString('\n')
	rest, isScript := strings.CutPrefix(line, "#!")
	if words := strings.Fields(rest); isScript && len(words) > 0 && filepath.IsAbs(words[0]) {
		interpreter = words[0]
	}
	return interpreter, isScript
}
