package config

import (
	"fmt"
	"io/fs"
)

// Directions of a Unix-socket sink.
const (
	directionDial   = "dial"
	directionListen = "listen"
)

func (o Object) listen() *Listen {
	return &Listen{Mode: fs.FileMode(o.Number("mode")), MaxConsumers: o.Number("max_consumers"), TrustFolder: o.Boolean("trust_folder")}
}

func (o Object) validateListen(s *UnixSocketSink, taken map[string]string) {
	foreign, other := []string{"mode", "max_consumers", "trust_folder"}, directionListen
	if s.Listen != nil {
		foreign, other = []string{"ack"}, directionDial
	}
	for _, key := range foreign {
		if o.Given(key) {
			o.Report(o.At(key), "has no effect with direction "+o.Word("direction"), "remove the line, or write direction: "+other)
		}
	}
	if s.Listen == nil {
		return
	}
	AtLeast(o, "max_consumers", s.Listen.MaxConsumers, 1)
	if len(s.AllowUIDs) > 0 && s.Listen.Mode&0o022 == 0 {
		o.Warn(o.At("allow_uids"), fmt.Sprintf("other users can't connect to a socket of mode %#o", s.Listen.Mode),
			`write mode: "0666", which lets everybody reach it and those in allow_uids in`)
	}
	if s.Path == "" {
		return
	}
	path := o.l.folders.canonical(s.Path)
	if by, ok := taken[path]; ok {
		o.Report(o.At("path"), "the socket's path is that of "+by+" too", "choose another path")
		return
	}
	taken[path] = "a sink's socket" + inLine(o.At("path"))
}
