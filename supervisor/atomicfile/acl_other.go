//go:build !linux

package atomicfile

import "github.com/tokenkeeper/tokenkeeper/sdk/files"

func getACL(files.System, string) ([]byte, error) { return nil, nil }
func setACL(files.File, []byte) error             { return nil }
