//go:build !linux

package atomicfile

import "errors"

func obstacle(string) error   { return nil }
func isMounted(error) bool    { return false }
func errMounted(string) error { return errors.ErrUnsupported }
