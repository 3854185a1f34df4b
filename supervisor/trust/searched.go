package trust

import (
	"io/fs"
	"regexp"
	"strings"
)

// isSearched says whether a folder that a word of a command names is one in which the
// program looks for what it runs or goes by: that of a variable like PYTHONPATH, of an
// option like -I or --config-dir, or what an interpreter is given instead of a script,
// if it awaits one. before is the word before it. Options of letters take no folder of
// data from an interpreter: it runs what follows (python3 -u) or loads from there. Of
// other programs -I and -L alone say nothing, since of many they are about links or the
// like (rsync, find): a program that looks for something in the folder behind them is
// not known by that.
func isSearched(before, word string, awaits bool) bool {
	if variables().MatchString(word) || options().MatchString(word) {
		return true
	}
	if strings.HasPrefix(before, "-") {
		isLetters := letters().MatchString(before)
		return awaits && isLetters || before != "-I" && before != "-L" && !strings.Contains(before, "=") && options().MatchString(before)
	}
	return awaits && !strings.HasPrefix(word, "-") && !strings.ContainsAny(word, "=:"+blanks)
}

// codes are options of interpreters that are followed by what to run: a text, or the
// name of a module.
func codes() *regexp.Regexp {
	return regexp.MustCompile(`^(-[a-z]*[cem]|-r|--eval)$`)
}

// isClass says whether a word tells an interpreter by its name what to run, as java is
// told a class: it is no path, and no option's. Behind an option that takes no value
// (java -server Main) it is taken for one's value, and a folder that follows is judged
// though it is data.
func isClass(before, word string) bool {
	return !strings.HasPrefix(before, "-") && !strings.HasPrefix(word, "-") && !strings.ContainsAny(word, "/=:"+blanks)
}

// valueless are options that no interpreter gives a value: what follows is run.
func valueless() *regexp.Regexp { return regexp.MustCompile(`^-[BEbqsuw]+$`) }

func letters() *regexp.Regexp { return regexp.MustCompile(`^-[A-Za-z]+$`) }

func variables() *regexp.Regexp {
	return regexp.MustCompile(`^([A-Z0-9_]*PATH|PERL5LIB|RUBYLIB|PYTHONHOME|LD_PRELOAD|LD_AUDIT)=`)
}

func options() *regexp.Regexp {
	return regexp.MustCompile(`^(-I|-L|-cp|-classpath|--?([a-z]+-)*(config|conf|plugins?|modules?|lib|library|include|class|load|python)(-?(dir|path|directory|folder))?)(=|/|\.|$)`)
}

// asFolder marks the path of a folder that is searched: it ends with a slash.
func asFolder(path string, info fs.FileInfo) string {
	if info.IsDir() {
		return path + "/"
	}
	return path
}
