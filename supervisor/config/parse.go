package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Fault is what is wrong with a value, before it is known where it stands.
type Fault struct{ Message, Hint string }

// parse reads a single value from its text, as it stands in YAML, in the
// environment and in a flag.
func parse(k Holding, raw string) (any, *Fault) {
	switch k {
	case Duration:
		return parseDuration(raw)
	case Number:
		n, err := strconv.Atoi(raw)
		if err != nil {
			return nil, &Fault{fmt.Sprintf("%q is not a whole number", raw), ""}
		}
		return n, nil
	case Boolean:
		if raw != "true" && raw != "false" {
			return nil, &Fault{fmt.Sprintf("%q is neither true nor false", raw), ""}
		}
		return raw == "true", nil
	case Mode:
		return parseMode(raw)
	default:
		if strings.ContainsRune(raw, 0) {
			return nil, &Fault{"holds a zero byte", "remove it"}
		}
		return raw, nil
	}
}

func parseDuration(raw string) (any, *Fault) {
	if _, err := strconv.ParseFloat(raw, 64); err == nil {
		return nil, &Fault{raw + " is a bare number where a duration belongs",
			fmt.Sprintf("write %ss for seconds or %sm for minutes", raw, raw)}
	}
	d, err := time.ParseDuration(raw)
	if err != nil {
		return nil, &Fault{fmt.Sprintf("%q is not a duration", raw), "write it like 90s, 5m or 1h30m"}
	}
	return d, nil
}

// parseMode reads 0600, 600 and 0o600 alike: nobody means decimal.
func parseMode(raw string) (any, *Fault) {
	digits := strings.TrimPrefix(strings.TrimPrefix(raw, "0o"), "0")
	n, err := strconv.ParseUint(digits, 8, 32)
	if err != nil || len(digits) != 3 {
		return nil, &Fault{fmt.Sprintf("%q is not a file mode", raw), `write it in octal, like "0600" or "0640"`}
	}
	return int(n), nil
}

// parseNode reads a single value from YAML, where a value has a type.
func parseNode(k Holding, n *yaml.Node) (any, *Fault) {
	if n.Kind != yaml.ScalarNode {
		return nil, wrongType(k, n)
	}
	switch tag := n.ShortTag(); tag {
	case "!!null":
		return nil, noValue()
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp":
		if (k == Number && tag != "!!int") || (k == Boolean && tag != "!!bool") {
			return nil, wrongType(k, n)
		}
		return parse(k, n.Value)
	default:
		return nil, &Fault{"has a YAML tag that means nothing here", "put text that begins with ! in quotes"}
	}
}

func noValue() *Fault { return &Fault{"has no value", "write one, or remove the line"} }

func wrongType(k Holding, n *yaml.Node) *Fault {
	return &Fault{Message: fmt.Sprintf("wrong type: this must be %s, not %s", wanted(k), found(n))}
}

func wanted(k Holding) string {
	switch k {
	case Nested, named, Table:
		return "a mapping (key: value)"
	case Words, Secrets:
		return "a list"
	case SecretOrList:
		return "text, or a list of it"
	case rows:
		return "a list of mappings: [{key: value}]"
	case Duration:
		return "a duration like 5m"
	case Number:
		return "a whole number"
	case Boolean:
		return "true or false"
	case Mode:
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
