package config

import (
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
)

// Directions of a Unix-socket sink.
const (
	directionDial   = "dial"
	directionListen = "listen"
)

func (o objectReader) listen() *Listen {
	return &Listen{Mode: fs.FileMode(o.number("mode")), MaxConsumers: o.number("max_consumers"), TrustFolder: o.boolean("trust_folder")}
}

// users reads names and numbers of users.
func (o objectReader) users(key string) []int {
	var all []int
	for i, word := range o.words(key) {
		number := word
		if _, err := strconv.ParseUint(word, 10, 31); err != nil {
			u, err := user.Lookup(word)
			if err != nil {
				o.report(o.item(key, i), fmt.Sprintf("there is no user %q on this machine", word), "create it, or write its number")
				continue
			}
			number = u.Uid
		}
		uid, err := strconv.ParseUint(number, 10, 31)
		if err != nil {
			o.report(o.item(key, i), fmt.Sprintf("%q is no user's number", number), "write what id -u prints for the user")
			continue
		}
		all = append(all, int(uid))
	}
	return all
}

func (o objectReader) validateListen(s *UnixSocketSink, taken map[string]string) {
	foreign, other := []string{"mode", "max_consumers", "trust_folder"}, directionListen
	if s.Listen != nil {
		foreign, other = []string{"ack"}, directionDial
	}
	for _, key := range foreign {
		if o.given(key) {
			o.report(o.at(key), "has no effect with direction "+o.word("direction"), "remove the line, or write direction: "+other)
		}
	}
	if s.Listen == nil {
		return
	}
	atLeast(o, "max_consumers", s.Listen.MaxConsumers, 1)
	if len(s.AllowUIDs) > 0 && s.Listen.Mode&0o022 == 0 {
		o.warn(o.at("allow_uids"), fmt.Sprintf("other users can't connect to a socket of mode %#o", s.Listen.Mode),
			`write mode: "0666", which lets everybody reach it and those in allow_uids in`)
	}
	if s.Path == "" {
		return
	}
	path := o.canonical(s.Path)
	if by, ok := taken[path]; ok {
		o.report(o.at("path"), "the socket's path is that of "+by+" too", "choose another path")
		return
	}
	taken[path] = "a sink's socket" + inLine(o.at("path"))
}
