package sink

import (
	"encoding/json"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// MarshalJSON writes the notice as consumers of a command or of a socket read
// it: {"kind": "alert", "id": …, "alert": {…}} or {"kind": "lifecycle", "id":
// …, "event": {…}}, with "test": true if it is one. Nothing that holds a token
// has a "kind".
func (n Notice) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Kind  Kind         `json:"kind"`
		ID    string       `json:"id"`
		Test  bool         `json:"test,omitempty"`
		Alert *event.Alert `json:"alert,omitempty"`
		Event *event.Event `json:"event,omitempty"`
	}{n.Kind, n.ID, n.Test, n.Alert, n.Event})
}
