package config

import (
	"fmt"
	"net/url"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts"
)

// Object reads the keys of one mapping of the configuration, as it stands in the
// file, the environment and flags together, and reports what is wrong with them. A
// value that is missing, or can't be read, is the default of its field.
type Object struct {
	l      *loader
	e      *entry // nil: nothing was written
	fields Fields // what may stand in it
	each   *Field // what stands in it, if its keys are the user's own
	path   string // dotted
}

// Down is the mapping under key.
func (o Object) Down(key string) Object {
	f := o.each
	if f == nil {
		sub := o.fields[key]
		f = &sub
	}
	return Object{o.l, o.e.under(key), f.Fields, f.Each, o.dotted(key)}
}

func (o Object) dotted(key string) string {
	if o.path == "" {
		return key
	}
	return o.path + "." + key
}

// rowsOf are the entries of a list of objects that can be used, in order.
func rowsOf(o Object, key string) (all []Object) {
	list := o.Down(key)
	for n := 0; list.Given(strconv.Itoa(n)); n++ {
		if n := strconv.Itoa(n); !list.Broken(n) {
			all = append(all, list.Down(n))
		}
	}
	return all
}

// Keys are those under which something can be used, in order.
func (o Object) Keys() []string { return o.e.keys() }

// At is where key was written, or if it was not, where the mapping was that
// should hold it.
func (o Object) At(key string) Place {
	at := Place{file: o.l.file}
	if e := o.e.under(key); e.given() {
		at = e.at
	} else if o.e.given() {
		at = o.e.at
	}
	if at.layer == inFile {
		at.key = o.dotted(key)
	}
	return at
}

// Given says whether key was written at all, be it right or wrong.
func (o Object) Given(key string) bool { return o.e.under(key).given() }

// Broken says whether key was written and can't be used, which has been reported.
func (o Object) Broken(key string) bool { return o.e.under(key).isBroken() }

// Report tells of something that is wrong, in words that quote no secret: what it
// is, and what to do about it ("" if nothing can be said).
func (o Object) Report(at Place, message, hint string) { o.l.report(at, message, hint) }

// Warn tells of something that works but should be put right.
func (o Object) Warn(at Place, message, hint string) { o.l.warn(at, message, hint) }

// Reject reports the value of key, which is then broken.
func (o Object) Reject(key string, wrong *Fault) {
	o.l.reject(o.e.make(key), o.At(key), wrong)
}

// value is that of key, or the default of its field.
func (o Object) value(key string) any {
	if e := o.e.under(key); e != nil && e.value != nil {
		return e.value
	}
	return o.fields[key].Default
}

// Word, Number, Boolean and Duration return a value or the default of its field.
func (o Object) Word(key string) string  { v, _ := o.value(key).(string); return v }
func (o Object) Number(key string) int   { v, _ := o.value(key).(int); return v }
func (o Object) Boolean(key string) bool { v, _ := o.value(key).(bool); return v }
func (o Object) Duration(key string) time.Duration {
	v, _ := o.value(key).(time.Duration)
	return v
}

// Words returns a copy of a list, or nil for an empty one.
func (o Object) Words(key string) []string {
	v, _ := o.value(key).([]string)
	return append([]string(nil), v...)
}

// Item is where the i-th item of a list was written.
func (o Object) Item(key string, i int) Place {
	at := o.At(key)
	if e := o.e.under(key); e != nil && i < len(e.items) && e.items[i].file != "" {
		item := e.items[i]
		item.key = at.key
		return item
	}
	return at
}

// Text resolves references; referenced says whether there was one.
func (o Object) Text(key string) (value string, referenced bool) {
	raw := o.Word(key)
	if isPlain(raw) {
		return raw, false
	}
	value, referenced, ok := o.l.references.expand(o.At(key), raw)
	if !ok {
		o.e.make(key).broken = true
	}
	return value, referenced
}

// Secret is text that should not stand in a file that others can read.
// Each check looks at the value and must not quote it.
func (o Object) Secret(key string, checks ...func(string) *Fault) sdk.Secret {
	value, referenced := o.Text(key)
	for _, check := range checks {
		if f := check(value); f != nil && !o.Broken(key) {
			o.Reject(key, f)
		}
	}
	if value != "" && !referenced {
		o.InClear(key)
	}
	return sdk.NewSecret(value)
}

// InClear warns if the value of key can be read by others.
func (o Object) InClear(key string) { o.l.inClearAt(o.At(key)) }

// Path makes a path absolute, and resolves references.
func (o Object) Path(key string) string {
	raw := o.Word(key)
	if f := notExpanded(raw); f != nil {
		o.Reject(key, f)
		return ""
	}
	value, _ := o.Text(key)
	if value == "" {
		if o.Given(key) && !o.Broken(key) {
			o.Reject(key, &Fault{"is empty", "write a path, or remove the line"})
		}
		return ""
	}
	if !filepath.IsAbs(value) {
		value = filepath.Join(o.l.folders.base(o.At(key)), value)
	}
	return answering(o, key, filepath.Clean(value))
}

// answering tells of a path whose file system does not answer. What the whole
// supervisor needs is a problem then.
func answering(o Object, key, path string) string {
	err := o.l.source.Mounts.Ask(path)
	switch {
	case err == nil:
	case o.l.source.StrictFiles || !strings.HasPrefix(o.path, "sinks.") && !strings.HasPrefix(o.path, "accounts."):
		o.Reject(key, &Fault{err.Error(), mounts.Remedy})
		return ""
	default:
		o.l.silent(o.At(key), err)
	}
	return path
}

// Users reads names and numbers of users.
func (o Object) Users(key string) []int {
	var all []int
	for i, word := range o.Words(key) {
		number := word
		if _, err := strconv.ParseUint(word, 10, 31); err != nil {
			u, err := user.Lookup(word)
			if err != nil {
				o.Report(o.Item(key, i), fmt.Sprintf("there is no user %q on this machine", word), "create it, or write its number")
				continue
			}
			number = u.Uid
		}
		uid, err := strconv.ParseUint(number, 10, 31)
		if err != nil {
			o.Report(o.Item(key, i), fmt.Sprintf("%q is no user's number", number), "write what id -u prints for the user")
			continue
		}
		all = append(all, int(uid))
	}
	return all
}

// Secrets reads a list of secrets, or the single one, each with the place of its own. The check
// of each must not quote it. What is broken is left out.
func (o Object) Secrets(key string, check func(string) *Fault) []sdk.Secret {
	var all []sdk.Secret
	for i, raw := range o.Words(key) {
		at := o.Item(key, i)
		value, referenced, ok := o.l.references.expand(at, raw)
		if f := check(value); ok && f != nil {
			o.Report(at, fmt.Sprintf("item %d: %s", i+1, f.Message), f.Hint)
			ok = false
		}
		if !ok {
			o.e.make(key).broken = true
			continue
		}
		if value != "" && !referenced {
			o.l.inClearAt(at)
		}
		all = append(all, sdk.NewSecret(value))
	}
	return all
}

// Command reads a program and its arguments from "command". The program's path
// is made absolute.
func (o Object) Command() []string {
	command := o.Words("command")
	if len(command) > 0 {
		command[0] = o.executable(command[0])
	}
	return command
}

// executable makes a path absolute; a name without a slash is left to be
// looked up in $PATH.
func (o Object) executable(program string) string {
	if f := notExpanded(program); f != nil {
		at := o.Item("command", 0)
		o.Report(at, f.Message, "write the whole path")
	}
	if filepath.Base(program) == program || filepath.IsAbs(program) {
		return program
	}
	return filepath.Join(o.l.folders.base(o.Item("command", 0)), program)
}

// Settings reads the table "settings". A broken value is left out.
func (o Object) Settings() map[string]string {
	table, values := o.Down("settings"), map[string]string{}
	for _, key := range table.Keys() {
		value, referenced := table.Text(key)
		if !table.Broken(key) {
			values[key] = value
		}
		if referenced {
			o.l.referred[key] = true
		}
		if value != "" && !referenced && (SoundsSecret(key) || holdsPassword(value)) {
			table.InClear(key)
		}
	}
	return values
}

// holdsPassword says whether a value is an address with a password in it, as that of a
// proxy may be.
func holdsPassword(value string) bool {
	if !strings.Contains(value, "@") {
		return false
	}
	u, err := url.Parse(value)
	if err != nil || u.User == nil {
		return false
	}
	_, has := u.User.Password()
	return has
}

func (l *loader) inClearAt(at Place) {
	switch {
	case at.layer == inFlags:
		l.warn(at, "a secret in clear text in a flag: every process on this machine can read it",
			"use ${env:NAME} or ${file:PATH}")
	case at.layer == inFile && l.exposed != 0:
		who := "the file's group"
		if l.exposed&0o004 != 0 {
			who = "everyone on this machine"
		}
		hint := "move the secret out and write ${file:PATH} or ${env:NAME}, or " + credential
		if l.references.ofService(l.source.Path) {
			hint = "chmod 600 " + l.file + ", or move the secret out and write ${file:PATH} or ${env:NAME}"
		}
		l.warn(at, "a secret in clear text in a file that "+who+" can read", hint)
	}
}

var secretName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)secret|passw|passphrase|private_?key|api[-_]?key|authorization|cookie|[-_]token$|^token$`)
})

// SoundsSecret says whether the value under a name of the user's choice is
// probably a secret.
func SoundsSecret(key string) bool {
	return secretName().MatchString(key)
}
