package config

import (
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts"
)

// These are the checks that several kinds of objects need.

// Choice reports a value that is not one of options.
func Choice(o Object, key string, options ...string) bool {
	v := o.Word(key)
	if slices.Contains(options, v) {
		return true
	}
	if !o.Broken(key) {
		o.Report(o.At(key), fmt.Sprintf("unknown %s %q", key, v), suggest(v, options))
	}
	return false
}

// typed is a number or duration as people write it: 5m, where Go prints 5m0s.
func typed[T int | time.Duration](v T) string {
	s := fmt.Sprint(v)
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// Within reports a number or duration outside of its bounds.
func Within[T int | time.Duration](o Object, key string, v, low, high T) {
	if (v < low || v > high) && !o.Broken(key) {
		o.Report(o.At(key), typed(v)+" is out of bounds", fmt.Sprintf("write %s to %s", typed(low), typed(high)))
	}
}

// AtLeast reports a number or duration below its bound.
func AtLeast[T int | time.Duration](o Object, key string, v, low T) {
	if v < low && !o.Broken(key) {
		o.Report(o.At(key), typed(v)+" is too small", "write at least "+typed(low))
	}
}

// Zone reports a name of a time zone of which this machine has no data.
func Zone(o Object, key, name string) {
	if _, err := moment.Zone(name); err != nil {
		o.Report(o.At(key), fmt.Sprintf("unknown time zone %q", name),
			"write one like Europe/Copenhagen, and install the package tzdata if it is missing")
	}
}

// Required reports that a sink lacks key, and says whether it can be used. what is an
// example of its value.
func Required(o Object, key, what string) bool {
	if o.Given(key) {
		return !o.Broken(key)
	}
	o.Report(o.At(key), "the sink has no "+key, "write "+key+": "+what)
	return false
}

// Program checks the program of a plugin.
func Program(o Object) {
	if sum := o.Word("sha256"); o.Given("sha256") && !o.Broken("sha256") {
		if raw, err := hex.DecodeString(sum); err != nil || len(raw) != 32 {
			o.Report(o.At("sha256"), "is not a SHA-256 sum", "write the 64 hexadecimal digits that sha256sum prints")
		}
	}
	if o.Given("command") && !o.Broken("command") {
		if c := o.Words("command"); len(c) == 0 || c[0] == "" {
			o.Report(o.At("command"), "is empty", "write [program, argument, …], or remove the line")
		} else {
			SteeredProgram(o, append([]string{o.executable(c[0])}, c[1:]...), o.l.folders.cwd, true)
		}
	}
}

// URL reports what is no address of http or https, without quoting it: it may hold
// a secret. It returns nil for one that is not there or wrong.
func URL(o Object, key, value string) *url.URL {
	if value == "" {
		if o.Given(key) && !o.Broken(key) {
			o.Report(o.At(key), "is empty", "write an address, or remove the line")
		}
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		o.Report(o.At(key), "is not an address", "write it like https://127.0.0.1:8182")
		return nil
	}
	return u
}

// ReadFile reads the whole file at path, which key names. One that can't be read is
// told of as by [BadFile], unless its file system does not answer, which was told when
// the key was read.
func ReadFile(o Object, key, path string) (data []byte, mode fs.FileMode, ok bool) {
	data, mode, err := o.l.read(path, maxSecretSize)
	if err != nil && !mounts.IsSilent(err) {
		unreadableFile(o, key, err)
	}
	return data, mode, err == nil
}

func unreadableFile(o Object, key string, err error) {
	BadFile(o, key, "the file can't be read: "+reason(err), remedy(err, "name the right file, or remove the line"))
}

// BadFile tells of a file that key names and that can't be used: a problem for who
// checks a configuration, and a warning at a start, because only this sink needs it
// and it may come later.
func BadFile(o Object, key, message, hint string) {
	if o.l.source.StrictFiles {
		o.Report(o.At(key), message, hint)
	} else {
		o.Warn(o.At(key), message, hint)
	}
}

// SocketPath reports a path that is too long for that of a Unix socket.
func SocketPath(o Object, key, path string) {
	if len(path) > maxSocketPath {
		o.Report(o.At(key), tooLong(len(path)), "choose a shorter one")
	}
}
