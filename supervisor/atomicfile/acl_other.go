//go:build !linux

package atomicfile

import "os"

func getACL(string) ([]byte, error) { return nil, nil }
func setACL(*os.File, []byte) error { return nil }
