package config

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts"
)

// steering asks who could change what decides what this process does.
type steering struct {
	*findings
	trusted  []int // users, by "trust"
	verdicts map[string]error
}

// steered reports a path that decides what this process does, and that somebody
// could change who is not trusted. What is missing, or on a file system that does not
// answer, is for others to report.
func (s *steering) steered(at Place, path string) {
	if s.source.Steers == nil || path == "" || !s.answers(path) {
		return
	}
	err, asked := s.verdicts[path]
	if !asked {
		err = s.source.Steers(path, s.trusted)
		s.verdicts[path] = err
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.report(at, err.Error(), "")
	}
}

// Steered reports the path of key if somebody could change it who is not trusted, or if
// that can't be told.
func Steered(o Object, key, path string) {
	if err := o.l.source.Mounts.Ask(path); err != nil && o.l.source.Steers != nil && path != "" {
		o.Report(o.At(key), err.Error(), mounts.Remedy)
		return
	}
	o.l.steering.steered(o.At(key), path)
}

// SteeredProgram is [Steered] for the first word of a command, and for the files
// among the others: of a plugin any, of another program those that it runs. dir is
// where it is run.
func SteeredProgram(o Object, command []string, dir string, isPlugin bool) {
	if len(command) == 0 || o.Broken("command") {
		return
	}
	program := command[0]
	if filepath.Base(program) == program {
		found, err := exec.LookPath(program)
		if err != nil {
			return // told when it is started
		}
		program = found
	}
	if o.l.source.Steers != nil && !wordsAnswer(o, append([]string{program}, command[1:]...), dir, isPlugin) {
		return
	}
	o.l.steering.steered(o.Item("command", 0), program)
	if o.l.source.Operands == nil {
		return
	}
	found := o.l.source.Operands(append([]string{program}, command[1:]...), dir, !isPlugin)
	for _, word := range slices.Sorted(maps.Keys(found)) {
		for _, path := range found[word] {
			o.l.steering.steered(o.Item("command", word), path)
		}
	}
	if !isPlugin {
		warnOfTexts(o, append([]string{program}, command[1:]...), dir, found)
	}
}

// wordsAnswer tells of a program, or of a file among the other words of a command, whose
// file system does not answer. A plugin can't be asked who it is then.
func wordsAnswer(o Object, command []string, dir string, isPlugin bool) bool {
	for i, word := range command {
		if _, value, option := strings.Cut(word, "=/"); option { // --config=/etc/bot
			word = "/" + value
		}
		if !filepath.IsAbs(word) {
			word = filepath.Join(dir, word)
		}
		switch err := o.l.source.Mounts.Ask(word); {
		case err == nil:
		case isPlugin:
			o.Report(o.Item("command", i), err.Error(), mounts.Remedy)
			return false
		default:
			o.l.silent(o.Item("command", i), err)
			return false
		}
	}
	return true
}

// warnOfTexts warns of a file that is named in a text among a command's words, as one
// for sh -c, and that others can change: the text alone does not say whether it is
// read, run or written. found are those that are refused in that case.
func warnOfTexts(o Object, command []string, dir string, found map[int][]string) {
	isText := func(word string) bool { return strings.ContainsAny(word, " \t\n") }
	if o.l.source.Steers == nil || !slices.ContainsFunc(command[1:], isText) {
		return
	}
	all := o.l.source.Operands(command, dir, false)
	for _, word := range slices.Sorted(maps.Keys(all)) {
		for _, path := range all[word] {
			if !isText(command[word]) || slices.Contains(found[word], path) {
				continue
			}
			if err := o.l.source.Steers(path, o.l.steering.trusted); err != nil && !errors.Is(err, fs.ErrNotExist) {
				o.Warn(o.Item("command", word), "names a file that others can change, and who does so steers this command if it reads or runs it: "+err.Error(), "if it is only written to, leave it as it is")
			}
		}
	}
}

// steeredPlugins is steered for the folder of plugins, if it is there.
func steeredPlugins(plugins Object, dir string) {
	if !plugins.l.answers(dir) {
		return // told when the key was read
	}
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		Steered(plugins, "dir", dir)
	}
}
