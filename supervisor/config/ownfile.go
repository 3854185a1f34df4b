package config

import "fmt"

// ownFile is the shared file of an account, while the account is read. Other
// programs write it too, so that it may be damaged at a start; a secret that
// stands in it, of this account alone, is then what it was when the file was
// whole, and the supervisor puts the file right.
type ownFile struct{ account, path string }

func ownFileOf(account string, s *SharedFile) ownFile {
	if s == nil || s.Path == "" {
		return ownFile{}
	}
	return ownFile{account, s.Path}
}

// ownsSecret says whether path is the shared file of the account that is being
// read.
func (r *references) ownsSecret(path string) bool {
	return r.own.path != "" && r.folders.canonical(path) == r.folders.canonical(r.own.path)
}

// lastKnown is what a reference that has failed with f stood for before; f if
// it leads anywhere else than into the account's own shared file.
func (r *references) lastKnown(at Place, path, written, key string, f *Fault) (string, *Fault) {
	if key == "" || r.source.LastWhole == nil || !r.ownsSecret(path) || !r.answers(r.stateDir) {
		return "", f
	}
	value, missing := newSecretText(r.source.LastWhole(r.stateDir, r.own.account, r.own.path)).value(written, key)
	if missing != nil {
		return "", f
	}
	r.warn(at, fmt.Sprintf("%s; the value that it held when it was whole is used", f.Message),
		"nothing need be done: the supervisor puts the file right, with what was in it, once it runs")
	return value, nil
}
