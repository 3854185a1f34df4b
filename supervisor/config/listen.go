package config

import (
	"fmt"
	"io/fs"
	"strconv"
)

// Directions of a Unix-socket sink.
const (
	directionDial   = "dial"
	directionListen = "listen"
)

func (o objectReader) listen() *Listen {
	l := &Listen{Mode: fs.FileMode(o.number("mode")), MaxConsumers: o.number("max_consumers")}
	for i, word := range o.words("allow_uids") {
		uid, err := strconv.ParseUint(word, 10, 32)
		if err != nil {
			o.report(o.item("allow_uids", i), fmt.Sprintf("%q is not a user's number", word), "write what id -u prints for the user")
			continue
		}
		l.AllowUIDs = append(l.AllowUIDs, uint32(uid))
	}
	return l
}

func (o objectReader) validateListen(s *UnixSocketSink, taken map[string]string) {
	foreign, other := []string{"mode", "allow_uids", "max_consumers"}, directionListen
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
	if len(s.Listen.AllowUIDs) > 0 && s.Listen.Mode&0o022 == 0 {
		o.warn(o.at("allow_uids"), fmt.Sprintf("other users can't connect to a socket of mode %#o", s.Listen.Mode),
			`write mode: "0666", which lets everybody reach it and those in allow_uids in`)
	}
	if s.Path == "" {
		return
	}
	path := canonical(s.Path)
	if by, ok := taken[path]; ok {
		o.report(o.at("path"), "the socket's path is that of "+by+" too", "choose another path")
		return
	}
	taken[path] = "a sink's socket" + inLine(o.at("path"))
}
