package config

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// syntax reports an error of the YAML parser about data, at the line of the
// fault. What it quotes is left out: it may be a piece of a secret that should
// have been in quotes.
func (d *document) syntax(data []byte, err error) {
	_, what := lineIn(err)
	line, within := faultLine(data, what)
	what = regexp.MustCompile("(?s)(anchor )'.*'|'[^' ]{2,}'|`.*`").ReplaceAllString(what, "${1}…")
	if within != line && strings.Contains(what, "','") {
		what += fmt.Sprintf(" of the brackets that begin in line %d", within)
	}
	d.report(Place{file: d.file, line: line}, "not valid YAML: "+what,
		"look at the indentation, and put text with special characters in quotes")
}

// ofParser tells an error about how tokens follow each other from one about a
// token by itself. The former names the line where the list or mapping begins
// that holds the fault, and only if that is not the first one does it name any;
// the latter counts its lines from another number.
var ofParser = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^did not find expected (key|node content|'-'|','|<)|^found (undefined tag|duplicate %|incompatible)`)
})

// lineEnds are all that end a line for the parser (YAML 1.1, section 5.4).
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

// faultLine is the line of data where the fault is that the parser's error
// tells of (0: it can't be told), and the one where what holds it begins, if
// that is known.
func faultLine(data []byte, what string) (line, within int) {
	data = []byte(lineEnds.Replace(string(data)))
	if strings.Contains(what, "control characters") || strings.Contains(what, "UTF-8") {
		return oddCharacter(data), 0
	}
	if m := regexp.MustCompile(`^unknown anchor '(.*)' referenced`).FindStringSubmatch(what); m != nil {
		if at := regexp.MustCompile(`\*` + regexp.QuoteMeta(m[1]) + `(?:[\s,\]}]|$)`).FindIndex(data); at != nil {
			return 1 + bytes.Count(data[:at[0]], []byte("\n")), 0
		}
	}
	// Below an empty line nothing is in the parser's line 0, which it takes for none.
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	line, same := lineIn(parserError(append([]byte("\n"), data...)))
	switch {
	case same != what || line == 0:
		return 0, 0
	case strings.Contains(what, "a tab character"): // it names the line where the text before it begins
		return tabbed(data, line-1), 0
	case !ofParser().MatchString(what):
		return line - 1, 0
	}
	// In line 0, what holds the fault is not named, but the fault is.
	within = line
	lines := bytes.SplitAfter(data, []byte("\n"))
	rest := bytes.Join(lines[min(within-1, len(lines)):], nil)
	if further, same := lineIn(parserError(rest)); same == what {
		line = within + further
	}
	return line, within
}

// tabbed is the first line of data from the given one on that a tab indents; the given
// one if none is.
func tabbed(data []byte, from int) int {
	n := 0
	for line := range bytes.Lines(data) {
		if n++; n >= from && bytes.HasPrefix(bytes.TrimLeft(line, " "), []byte("\t")) {
			return n
		}
	}
	return from
}

// parserError is what the parser has against data; nil: nothing.
func parserError(data []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); err != nil {
			return err
		}
	}
}

// lineIn takes the line, as the parser counts it, off the parser's error.
func lineIn(err error) (line int, what string) {
	m := regexp.MustCompile(`(?s)^(?:yaml: )?(?:line (\d+): )?(.*)$`).FindStringSubmatch(err.Error())
	line, _ = strconv.Atoi(m[1])
	return line, m[2]
}

// oddCharacter is the first line of data that holds a character that YAML does
// not allow; 0: none does.
func oddCharacter(data []byte) int {
	line := 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == '\n':
			line++
		case r == utf8.RuneError && size == 1, r < ' ' && r != '\t' && r != '\r', r > '~' && r < 0xa0 && r != 0x85:
			return line
		}
		data = data[size:]
	}
	return 0
}
