//go:build race

package sdk_test

import "os"

// Nothing but the race detector takes C. What the tests build is built without it, and
// with C all that knows package net would be compiled once more for that.
func init() {
	if err := os.Setenv("CGO_ENABLED", "0"); err != nil {
		panic(err)
	}
}
