package store

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// salvage finds every whole record in the bytes of a damaged file, also in
// pages that nothing refers to any more. It returns the newest of each
// account: a token is newest if its version is the highest, wherever it stood.
// ErrNewerFormat if a newer program wrote one of them.
func salvage(file []byte) (map[string]Record, error) {
	found := map[string]Record{}
	begin := []byte(`{"format":"`)
	for {
		at := bytes.Index(file, begin)
		if at < 0 {
			return found, nil
		}
		file = file[at:]
		var raw json.RawMessage
		if json.NewDecoder(bytes.NewReader(file[:min(len(file), longestRecord)])).Decode(&raw) == nil {
			r, ok, err := recordIn(raw)
			if err != nil {
				return nil, err
			}
			if ok && newer(r, found[r.Account]) {
				found[r.Account] = r
			}
		}
		file = file[len(begin):]
	}
}

// longestRecord bounds how far the end of a record is looked for.
const longestRecord = 1 << 20

func recordIn(raw []byte) (r Record, ok bool, err error) {
	var head struct {
		Format  string `json:"format"`
		Account string `json:"account"`
	}
	if json.Unmarshal(raw, &head) != nil || checkName("an account", head.Account) != nil {
		return Record{}, false, nil
	}
	major, _, err := checkFormat(head.Format)
	if major > formatMajor && checkSum(raw) {
		return Record{}, false, err
	}
	r, err = open(head.Account, raw)
	return r, err == nil, nil
}

// newer says whether a holds the newer token of two records of one account.
func newer(a, b Record) bool {
	if a.Version != b.Version {
		return a.Version > b.Version
	}
	if !a.StoredAt.Equal(b.StoredAt) {
		return a.StoredAt.After(b.StoredAt)
	}
	return a.setAside().After(b.setAside())
}

// setAside is when something was last kept beside the record, which makes no
// version of its own.
func (r Record) setAside() (last time.Time) {
	for _, e := range r.Evidence {
		last = moment.Later(last, e.At)
	}
	if c := r.Candidate; c != nil {
		last = moment.Later(last, c.LoginAt)
	}
	return last
}
