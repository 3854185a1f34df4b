package store

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// An intent is stored as its fields stand, and keeps those that a newer program
// has added.

// plainIntent is an Intent without what it does not know.
type plainIntent Intent

// MarshalJSON writes the intent with what it does not know.
func (in Intent) MarshalJSON() ([]byte, error) {
	b, err := json.Marshal(plainIntent(in))
	if err != nil || in.Unknown == "" {
		return b, err
	}
	b[len(b)-1] = ','
	return append(b, in.Unknown[1:]...), nil
}

// UnmarshalJSON reads what MarshalJSON wrote, or a newer program.
func (in *Intent) UnmarshalJSON(b []byte) error {
	var fields, unknown map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		return err
	}
	for name, raw := range fields {
		if knownIntent[name] {
			continue
		}
		// encoding/json would take "ATTEMPT" for "attempt".
		delete(fields, name)
		if name == "sum" { // of what is stored, see sign
			continue
		}
		if unknown == nil {
			unknown = map[string]json.RawMessage{}
		}
		unknown[name] = raw
	}
	known, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	*in = Intent{}
	if err := json.Unmarshal(known, (*plainIntent)(in)); err != nil || unknown == nil {
		return err
	}
	more, err := json.Marshal(unknown)
	if err != nil {
		return fmt.Errorf("what a newer program wrote is no JSON: %w", err)
	}
	in.Unknown = string(more)
	return nil
}

// knownIntent holds the names of an intent's fields.
var knownIntent = fieldNames(reflect.TypeFor[Intent]())
