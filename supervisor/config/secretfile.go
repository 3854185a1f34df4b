package config

import (
	"fmt"
	"path/filepath"
	"strings"
)

// resolveFile returns the text that ${file:PATH} or ${file:PATH#key} refers
// to.
func (r *references) resolveFile(at Place, ref string) (string, *Fault) {
	written, key := ref, ""
	if i := strings.LastIndexByte(ref, '#'); i >= 0 {
		written, key = ref[:i], ref[i+1:]
		if key == "" {
			return "", &Fault{"the reference to " + written + " has no key after #", "name one, or leave out the #"}
		}
	}
	path, fault := r.referencedPath(at, written)
	if fault != nil {
		return "", fault
	}
	if given := r.environ[credentials]; given != "" && filepath.Dir(path) == filepath.Clean(given) {
		r.fixed["${file:"+ref+"}"] = true
	}
	file := r.secretFile(path)
	if !r.ownsSecret(path) { // whose programs are trusted with what it holds, and write it all the time
		r.steering.steered(at, path)
		file.steady = true
	}
	if file.err != nil {
		return r.lastKnown(at, path, written, key, unreadable(written, r.folders.base(at), file.err))
	}
	if perm := file.mode; perm&0o004 != 0 && !r.told[path] {
		r.told[path] = true
		hint := "chmod 600 " + written
		if !r.ownsSecret(path) && !r.ofService(path) {
			hint = "make it the service's user's and " + hint + ", or write " + credential
		}
		r.warn(at, fmt.Sprintf("everyone on this machine can read the secret file %s (mode %#o)", written, perm), hint)
	}
	value, fault := file.value(written, key)
	if fault != nil {
		return r.lastKnown(at, path, written, key, fault)
	}
	what := "the secret in " + written
	if key != "" {
		what += " under " + key
	}
	r.tellOfDirt(at, what, value)
	return value, nil
}

// secretFile reads a file that is referred to, once for all accounts.
func (r *references) secretFile(path string) *secretText {
	if r.secrets[path] == nil {
		data, mode, err := r.read(path, maxSecretSize)
		r.secrets[path] = newSecretText(data)
		if r.secrets[path].mode, r.secrets[path].err = mode, err; err == nil {
			r.secrets[path].stamp = stampOf(path)
		}
	}
	return r.secrets[path]
}

func unreadable(written, base string, err error) *Fault {
	missing := "create it with chmod 600"
	if !filepath.IsAbs(written) {
		missing += "; its path is relative to " + base
	}
	return &Fault{fmt.Sprintf("the secret file %s can't be read: %s", written, reason(err)), remedy(err, missing)}
}

// referencedPath makes the path of a ${file:…} absolute. Variables may stand
// in it, as in ${file:${env:CREDENTIALS_DIRECTORY}/name}.
func (r *references) referencedPath(at Place, written string) (string, *Fault) {
	if f := notExpanded(written); f != nil {
		return "", f
	}
	path, _, f := r.substitute(at, written, false)
	if f != nil {
		return "", f
	}
	if path == "" {
		return "", &Fault{"the reference ${file:…} has no path", "write ${file:PATH}"}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.folders.base(at), path)
	}
	return path, nil
}
