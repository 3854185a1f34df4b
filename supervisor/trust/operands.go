package trust

import (
	"bufio"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// Operands are the files that decide what a command does beside its program, by
// the word of the command that names them: its arguments, and under 0 the
// interpreter of a program that is a script. command[0] is the path of the
// program, and relative arguments are relative to dir.
//
// Of a plugin, whose targets are in its settings, every file counts. With onlyRun
// a file may be one that the program writes, and what counts is what looks like a
// program, and what an interpreter is given, up to the first file that is no
// option's. What an interpreter is to run may be missing, or be a pipe: whoever
// puts it there has it run. A folder counts in which the program looks for what it
// runs or goes by, and its path then ends with a slash; it is not looked into, nor is
// what a shell is told to do by a text, of which only files that look like programs
// count.
func Operands(command []string, dir string, onlyRun bool) map[int][]string {
	found := map[int][]string{}
	if len(command) == 0 {
		return found
	}
	if path, _ := script(command[0]); path != "" {
		found[0] = []string{path}
	}
	is := kindOf(command[0])
	wraps := is == wrapper // and what it runs may be an interpreter, wherever that stands
	told := false          // an interpreter what to run, in words: what follows is for that
	for i, word := range command[1:] {
		if next := kindOf(word); wraps && next != program && filepath.Base(word) == word {
			is = next // its name is enough, which is looked for like any program's
			continue
		}
		isOptions := strings.HasPrefix(word, "-") || strings.HasPrefix(command[i], "-") && !valueless().MatchString(command[i])
		for _, f := range operands(command[i], word, dir, is, told) {
			if is != program && !f.inText || !onlyRun || isRunnable(f.path) {
				found[i+1] = append(found[i+1], f.path)
			}
			switch next := kindOf(f.path); {
			case wraps && next != program:
				is = next
			case is == wrapper && isRunnable(f.path) && !strings.HasSuffix(f.path, "/"), is == interpreter && !isOptions && !f.inText:
				is = program // what follows is what that one is given
			}
		}
		told = told || is == interpreter && (codes().MatchString(command[i]) || isClass(command[i], word))
	}
	return found
}

// Operands refuses with a [*Refusal] what [Operands] finds of a command and
// somebody could have put there, or could change, who is not trusted by the rule.
func (j Judge) Operands(command []string, dir string, onlyRun bool, rule Rule) error {
	found := Operands(command, dir, onlyRun)
	for _, word := range slices.Sorted(maps.Keys(found)) {
		for _, path := range found[word] {
			if err := j.Steered(path, rule); err != nil {
				return err
			}
		}
	}
	return nil
}

// named is a file that a word of a command names.
type named struct {
	path   string
	inText bool // the word is a text, and the file is named in it
}

// operands are the files that an argument names: as a whole, in a list, after "=",
// after an option's letter, or in a text. before is the word before it; told: an
// interpreter knows already what to run.
func operands(before, word, dir string, is kind, told bool) (found []named) {
	at := func(name string) (string, fs.FileInfo) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		info, err := os.Stat(name)
		if err != nil {
			return name, nil
		}
		return name, info
	}
	takes := func(info fs.FileInfo) bool {
		return info != nil && (steers(info) || info.IsDir() && isSearched(before, word, is == interpreter && !told))
	}
	if path, info := at(word); takes(info) && (strings.Contains(word, "/") || is != program) {
		return []named{{asFolder(path, info), false}}
	} else if info == nil && is == interpreter && strings.Contains(word, "/") && !strings.ContainsAny(word, blanks+"=:") && !strings.HasPrefix(word, "-") {
		return []named{{path, false}}
	}
	inText := strings.ContainsAny(word, blanks)
	for _, name := range strings.FieldsFunc(word, func(r rune) bool { return strings.ContainsRune(blanks+"=:,;|&()<>'\"", r) }) {
		if i := strings.IndexByte(name, '/'); i > 0 && strings.HasPrefix(name, "-") {
			name = name[i:] // without the option's letter
		}
		if path, info := at(name); strings.Contains(name, "/") && takes(info) {
			found = append(found, named{asFolder(path, info), inText})
		}
	}
	return found
}

const blanks = " \t\n"

// steers says whether what is read of a file may be somebody's word: a device's is
// nobody's.
func steers(info fs.FileInfo) bool {
	return info.Mode()&(fs.ModeDir|fs.ModeDevice|fs.ModeCharDevice|fs.ModeSocket) == 0
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

// kind of a program.
type kind int

const (
	program     kind = iota
	interpreter      // runs what it is given
	wrapper          // runs a program that is given something
)

// kindOf goes by the name, also by that to which a link leads.
func kindOf(path string) kind {
	names := []string{filepath.Base(path)}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		names = append(names, filepath.Base(real))
	}
	for _, name := range names {
		switch {
		case interpreters().MatchString(name):
			return interpreter
		case wrappers().MatchString(name):
			return wrapper
		}
	}
	return program
}

func interpreters() *regexp.Regexp {
	return regexp.MustCompile(`^((|a|ba|da|z|k|mk|pdk|c|tc|fi)sh|busybox|(python|pypy|perl|ruby|node|nodejs|php|lua|luajit|tclsh|guile|java)[0-9.]*|` +
		`deno|bun|Rscript|groovy|kotlin|scala|elixir|erl|julia|racket|osascript|expect|m?awk|gawk|sed|make|dotnet|mono|gdb)$`)
}

func wrappers() *regexp.Regexp {
	return regexp.MustCompile(`^(env|nice|ionice|chrt|taskset|timeout|nohup|setsid|stdbuf|setpriv|sudo|doas|runuser|su|chroot|unshare|nsenter|flock|xargs|` +
		`systemd-run|systemd-inhibit|tini|dumb-init|setarch|strace|ltrace|time|script|bwrap|firejail|chpst|softlimit)$`)
}

// script says whether a file is one that names its interpreter (execve(2)).
func script(path string) (interpreter string, isScript bool) {
	// A pipe is left alone: what is in it is for its reader.
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return "", false
	}
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
