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
func (l *loader) ownsSecret(path string) bool {
	return l.own.path != "" && l.canonical(path) == l.canonical(l.own.path)
}

// lastKnown is what a reference that has failed with f stood for before; f if
// it leads anywhere else than into the account's own shared file.
func (l *loader) lastKnown(at place, path, written, key string, f *fault) (string, *fault) {
	if key == "" || l.source.LastWhole == nil || !l.ownsSecret(path) {
		return "", f
	}
	value, missing := newSecretText(l.source.LastWhole(l.stateDir, l.own.account, l.own.path)).value(written, key)
	if missing != nil {
		return "", f
	}
	l.warn(at, fmt.Sprintf("%s; the value that it held when it was whole is used", f.message),
		"nothing need be done: the supervisor puts the file right, with what was in it, once it runs")
	return value, nil
}
