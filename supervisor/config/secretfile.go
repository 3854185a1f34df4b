package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// resolveFile returns the text that ${file:PATH} or ${file:PATH#key} refers
// to.
func (l *loader) resolveFile(at place, ref string) (string, *fault) {
	written, key := ref, ""
	if i := strings.LastIndexByte(ref, '#'); i >= 0 {
		written, key = ref[:i], ref[i+1:]
		if key == "" {
			return "", &fault{"the reference to " + written + " has no key after #", "name one, or leave out the #"}
		}
	}
	path, fault := l.referencedPath(at, written)
	if fault != nil {
		return "", fault
	}
	if !l.ownsSecret(path) { // whose programs are trusted with what it holds
		l.steered(at, path)
	}
	file := l.secretFile(path)
	if file.err != nil {
		return l.lastKnown(at, path, written, key, unreadable(written, l.base(at), file.err))
	}
	if perm := file.mode; perm&0o004 != 0 && !l.told[path] {
		l.told[path] = true
		l.warn(at, fmt.Sprintf("everyone on this machine can read the secret file %s (mode %#o)", written, perm),
			"chmod 600 "+written)
	}
	value, fault := file.value(written, key)
	if fault != nil {
		return l.lastKnown(at, path, written, key, fault)
	}
	return value, nil
}

// secretFile reads a file that is referred to, once for all accounts.
func (l *loader) secretFile(path string) *secretText {
	if l.secrets[path] == nil {
		data, mode, err := readText(path, maxSecretSize)
		l.secrets[path] = newSecretText(data)
		l.secrets[path].mode, l.secrets[path].err = mode, err
	}
	return l.secrets[path]
}

func unreadable(written, base string, err error) *fault {
	hint := "let the user who runs tokenkeeper read it"
	if errors.Is(err, fs.ErrNotExist) {
		hint = "create it with chmod 600"
		if !filepath.IsAbs(written) {
			hint += "; its path is relative to " + base
		}
	}
	return &fault{fmt.Sprintf("the secret file %s can't be read: %s", written, reason(err)), hint}
}

// referencedPath makes the path of a ${file:…} absolute. Variables may stand
// in it, as in ${file:${env:CREDENTIALS_DIRECTORY}/name}.
func (l *loader) referencedPath(at place, written string) (string, *fault) {
	if f := notExpanded(written); f != nil {
		return "", f
	}
	path, _, f := l.substitute(at, written, false)
	if f != nil {
		return "", f
	}
	if path == "" {
		return "", &fault{"the reference ${file:…} has no path", "write ${file:PATH}"}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.base(at), path)
	}
	return path, nil
}
