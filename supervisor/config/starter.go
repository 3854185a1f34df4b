package config

import (
	_ "embed" // for the starting configuration
	"slices"
)

//go:embed starter.yaml
var starter []byte

// Reference returns the commented configuration to begin with, as
// "tokenkeeper init" writes it. It loads once the variables that it refers to
// are set.
func Reference() []byte { return slices.Clone(starter) }
