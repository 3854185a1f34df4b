//go:build !linux

package atomicfile

import "github.com/tokenkeeper/tokenkeeper/sdk/files"

func getACL(files.System, string) ([]byte, error) { return nil, nil }
func setACL(files.File, []byte) error             { return nil }

type label struct{}

func getLabels(files.System, string) []label { return nil }
func setLabels(files.File, []label)          {}
