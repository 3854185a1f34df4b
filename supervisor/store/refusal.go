package store

import (
	"encoding/json"
	"fmt"
)

// refusalLayout is the health of an account that has no record, because its broker has
// refused the key from which the first token was to be minted. It is written as a
// whole, and gone with the first record.
type refusalLayout struct {
	Account string       `json:"account"`
	Health  healthLayout `json:"health"`
	Sum     string       `json:"sum,omitempty"` // as in recordLayout
}

// readRefusal returns what stands under an account's key. What can't be read refuses
// nothing: the broker says it once more.
func readRefusal(account string, b []byte) (Health, bool) {
	var l refusalLayout
	if b == nil || !checkSum(b) || json.Unmarshal(b, &l) != nil || l.Account != account {
		return Health{}, false
	}
	return Health(l.Health), true
}

// putRefusal keeps the health of an account without a record, if its key was refused.
func (d draft) putRefusal(account string, h Health) error {
	if h.KeyRefused == "" {
		d.delete(refusalKey(account))
		return nil
	}
	b, err := json.Marshal(refusalLayout{Account: account, Health: layOutHealth(h)})
	if err != nil {
		return fmt.Errorf("the refusal of account %s's key can't be stored: %w", account, err)
	}
	d.put(refusalKey(account), sign(b))
	return nil
}
