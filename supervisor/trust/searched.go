package trust

import (
	"io/fs"
	"regexp"
	"strings"
)

// isSearched says whether a folder that a word of a command names is one in which the
// program looks for what it runs or goes by: that of a variable like PYTHONPATH, of an
// option like -I or --config-dir, or what an interpreter is given instead of a script,
// if it awaits one. before is the word before it.
func isSearched(before, word string, awaits bool) bool {
	if variables().MatchString(word) || options().MatchString(word) {
		return true
	}
	if strings.HasPrefix(before, "-") {
		return !strings.Contains(before, "=") && options().MatchString(before)
	}
	return awaits && !strings.HasPrefix(word, "-") && !strings.ContainsAny(word, "=:"+blanks)
}

// codes are options of interpreters that are followed by what to run: a text, or the
// name of a module.
func codes() *regexp.Regexp {
	return regexp.MustCompile(`^(-[a-z]*[cem]|-r|--eval)$`)
}

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
