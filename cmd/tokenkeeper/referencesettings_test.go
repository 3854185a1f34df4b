package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReferenceHasEachSetting: the reference of the configuration names the settings of
// the built-in providers, one that not all of them have as its own, and none that there
// is not.
func TestReferenceHasEachSetting(t *testing.T) {
	text, err := os.ReadFile("../../configs/reference.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(text), "    # Settings of all its accounts;")
	part, _, found := strings.Cut(part, "\n    settings:\n")
	if !found {
		t.Fatal("the reference does not say which settings there are")
	}
	has := map[string][]string{} // by its name, who has it
	for _, name := range builtins() {
		p, _ := builtin(name)
		d, err := p.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range d.Settings {
			has[s.Name] = append(has[s.Name], name)
			for _, word := range append(s.OneOf, s.Name) {
				if !regexp.MustCompile(`\b` + word + `\b`).MatchString(part) {
					t.Errorf("the reference does not name %s of %s", word, name)
				}
			}
		}
	}
	for setting, names := range has {
		own := regexp.MustCompile("Of " + strings.Join(names, " and ") + " alone: [^.]*\\b" + setting + `\b`).MatchString(part)
		if own != (len(names) < len(builtins())) {
			t.Errorf("%s is a setting of %v, and the reference says that it is one of theirs alone: %t", setting, names, own)
		}
	}
	for _, word := range regexp.MustCompile(`\b[a-z]+_[a-z_]+\b`).FindAllString(part, -1) {
		if has[word] == nil {
			t.Errorf("the reference names a setting %s, which no built-in provider has", word)
		}
	}
}
