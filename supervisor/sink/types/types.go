// Package types lists the types of sinks that are part of the program.
package types

import (
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/command"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/file"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/notify"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/plugin"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/unixsocket"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/webhook"
)

// BuiltIn are all of them, in the order in which the reference of the configuration
// speaks of them.
func BuiltIn() []sink.Type {
	return []sink.Type{
		file.Type{},
		unixsocket.Type{},
		webhook.Type{},
		command.Type{},
		notify.Type{},
	}
}

// Of is the type of that name; ok is false if none is built in.
func Of(name string) (t sink.Type, ok bool) {
	for _, t := range BuiltIn() {
		if t.Name() == name {
			return t, true
		}
	}
	return nil, false
}

// Config is what a configuration may name: these, and plugins.
func Config() config.SinkTypes {
	c := config.SinkTypes{Plugin: plugin.Type{}}
	for _, t := range BuiltIn() {
		c.BuiltIn = append(c.BuiltIn, t)
	}
	return c
}
