package hearsay

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// named are the names of settings whose values are secrets, but for those that
// are unnamed again.
var (
	named = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)secret|token|passw|passphrase|credential|private|code_verifier|api_?key|access_?key|^pin$|_key$|^key$`)
	})
	unnamed = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)(?:type|url|uri|endpoint|style|method|path|file|dir|name|_id|_at|_in|expiry|lifetime)$`)
	})
)

// secretsIn returns what is secret in a setting, or in anything else that has a
// name: nobody says which settings are. By its name, as a whole; by what it
// looks like; a document, line by line and value by value; of an address the
// password.
func secretsIn(name, value string) []string {
	if len(value) < shortest {
		return nil
	}
	var document any
	if strings.HasPrefix(strings.TrimSpace(value), "{") && json.Unmarshal([]byte(value), &document) == nil {
		return secretsOf(name, document, nil)
	}
	if u, err := url.Parse(value); err == nil && u.Scheme != "" && u.Host != "" {
		if password, ok := u.User.Password(); ok {
			return []string{password}
		}
		return nil
	}
	all := []string{}
	if named().MatchString(name) && !unnamed().MatchString(name) || isRandom(value) {
		all = append(all, value)
	}
	if strings.Contains(value, "\n") {
		all = append(all, value)
		for line := range strings.Lines(value) {
			if line = strings.TrimSpace(line); len(line) >= 2*shortest && !strings.HasPrefix(line, "-----") {
				all = append(all, line)
			}
		}
	}
	return all
}

// isServer says whether a setting is the address of a proxy and nothing more. People
// have to be told which one fails, also if the address is given by reference because of
// the password in it.
func isServer(name, value string) bool {
	u, err := url.Parse(value)
	return name == "proxy" && err == nil && u.Host != "" && strings.Trim(u.Path, "/")+u.RawQuery+u.Fragment == ""
}

// secretsOf walks a document.
func secretsOf(name string, document any, all []string) []string {
	switch v := document.(type) {
	case string:
		all = append(all, secretsIn(name, v)...)
	case map[string]any:
		for key, inner := range v {
			all = secretsOf(key, inner, all)
		}
	case []any:
		for _, inner := range v {
			all = secretsOf(name, inner, all)
		}
	}
	return all
}

// isRandom says whether a value looks like one that nobody has thought up: a
// long word of letters and digits.
func isRandom(value string) bool {
	if len(value) < 20 || value[0] == '/' || value[0] == '.' {
		return false
	}
	digits, letters := 0, 0
	for i := range len(value) {
		switch c := value[i]; {
		case c >= '0' && c <= '9':
			digits++
		case isAlnum(c):
			letters++
		case !isOfToken(c):
			return false
		}
	}
	return digits > 1 && letters > 1
}
