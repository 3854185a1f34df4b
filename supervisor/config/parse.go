package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// fault is what is wrong with a value, before it is known where it stands.
type fault struct{ message, hint string }

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)

func validName(s string) bool { return namePattern.MatchString(s) }

// parse reads a single value from its text, as it stands in YAML, in the
// environment and in a flag.
func parse(k kind, raw string) (any, *fault) {
	switch k {
	case duration:
		return parseDuration(raw)
	case number:
		n, err := strconv.Atoi(raw)
		if err != nil {
			return nil, &fault{fmt.Sprintf("%q is not a whole number", raw), ""}
		}
		return n, nil
	case boolean:
		if raw != "true" && raw != "false" {
			return nil, &fault{fmt.Sprintf("%q is neither true nor false", raw), ""}
		}
		return raw == "true", nil
	case mode:
		return parseMode(raw)
	default:
		if strings.ContainsRune(raw, 0) {
			return nil, &fault{"holds a zero byte", "remove it"}
		}
		return raw, nil
	}
}

func parseDuration(raw string) (any, *fault) {
	if _, err := strconv.ParseFloat(raw, 64); err == nil {
		return nil, &fault{raw + " is a bare number where a duration belongs",
			fmt.Sprintf("write %ss for seconds or %sm for minutes", raw, raw)}
	}
	d, err := time.ParseDuration(raw)
	if err != nil {
		return nil, &fault{fmt.Sprintf("%q is not a duration", raw), "write it like 90s, 5m or 1h30m"}
	}
	return d, nil
}

// parseMode reads 0600, 600 and 0o600 alike: nobody means decimal.
func parseMode(raw string) (any, *fault) {
	digits := strings.TrimPrefix(strings.TrimPrefix(raw, "0o"), "0")
	n, err := strconv.ParseUint(digits, 8, 32)
	if err != nil || len(digits) != 3 {
		return nil, &fault{fmt.Sprintf("%q is not a file mode", raw), `write it in octal, like "0600" or "0640"`}
	}
	return int(n), nil
}

// parseNode reads a single value from YAML, where a value has a type.
func parseNode(k kind, n *yaml.Node) (any, *fault) {
	if n.Kind != yaml.ScalarNode {
		return nil, wrongType(k, n)
	}
	switch tag := n.ShortTag(); tag {
	case "!!null":
		return nil, &fault{"has no value", "write one, or remove the line"}
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp":
		if (k == number && tag != "!!int") || (k == boolean && tag != "!!bool") {
			return nil, wrongType(k, n)
		}
		return parse(k, n.Value)
	default:
		return nil, &fault{"has a YAML tag that means nothing here", "put text that begins with ! in quotes"}
	}
}

func wrongType(k kind, n *yaml.Node) *fault {
	return &fault{message: fmt.Sprintf("wrong type: this must be %s, not %s", wanted(k), found(n))}
}

func wanted(k kind) string {
	switch k {
	case object, named, table:
		return "a mapping (key: value)"
	case words, secrets:
		return "a list"
	case rows:
		return "a list of mappings: [{key: value}]"
	case duration:
		return "a duration like 5m"
	case number:
		return "a whole number"
	case boolean:
		return "true or false"
	case mode:
		return `a file mode like "0600"`
	default:
		return "text"
	}
}

// found says what a node is without quoting it.
func found(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	default:
		return "text"
	}
}
