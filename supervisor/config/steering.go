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
)

// steered reports a path that decides what this process does, and that somebody
// could change who is not trusted. What is missing is for others to report.
func (l *loader) steered(at place, path string) {
	if l.source.Steers == nil || path == "" {
		return
	}
	err, asked := l.verdicts[path]
	if !asked {
		err = l.source.Steers(path, l.trusted)
		l.verdicts[path] = err
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.report(at, err.Error(), "")
	}
}

// steeredProgram is steered for the first word of a command, and for the files
// among the others: of a plugin any, of another program those that it runs. dir is
// where it is run.
func (o objectReader) steeredProgram(command []string, dir string, isPlugin bool) {
	if len(command) == 0 || o.broken[o.dotted("command")] {
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
	o.steered(o.item("command", 0), program)
	if o.source.Operands == nil {
		return
	}
	found := o.source.Operands(append([]string{program}, command[1:]...), dir, !isPlugin)
	for _, word := range slices.Sorted(maps.Keys(found)) {
		for _, path := range found[word] {
			o.steered(o.item("command", word), path)
		}
	}
	if !isPlugin {
		o.warnOfTexts(append([]string{program}, command[1:]...), dir, found)
	}
}

// warnOfTexts warns of a file that is named in a text among a command's words, as one
// for sh -c, and that others can change: the text alone does not say whether it is
// read, run or written. found are those that are refused in that case.
func (o objectReader) warnOfTexts(command []string, dir string, found map[int][]string) {
	isText := func(word string) bool { return strings.ContainsAny(word, " \t\n") }
	if o.source.Steers == nil || !slices.ContainsFunc(command[1:], isText) {
		return
	}
	all := o.source.Operands(command, dir, false)
	for _, word := range slices.Sorted(maps.Keys(all)) {
		for _, path := range all[word] {
			if !isText(command[word]) || slices.Contains(found[word], path) {
				continue
			}
			if err := o.source.Steers(path, o.trusted); err != nil && !errors.Is(err, fs.ErrNotExist) {
				o.warn(o.item("command", word), "names a file that others can change, and who does so steers this command if it reads or runs it: "+err.Error(), "if it is only written to, leave it as it is")
			}
		}
	}
}

// steeredPlugins is steered for the folder of plugins, if it is there.
func (l *loader) steeredPlugins(cfg *Config) {
	if info, err := os.Stat(cfg.Plugins.Dir); err == nil && info.IsDir() {
		l.steered(l.merged.down("plugins").at("dir"), cfg.Plugins.Dir)
	}
}
