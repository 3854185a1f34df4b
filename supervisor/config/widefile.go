package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// warnOfWideFiles is for a sink that leaves its files the modes that they have:
// one that is there may let everybody read the refresh token. Account names
// stand in path as {account}.
func (o Object) warnOfWideFiles(path string) {
	// What else Glob reads as a pattern finds nothing to warn of, or the same.
	found, _ := filepath.Glob(regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(path, "*"))
	for _, file := range found {
		if info, err := os.Lstat(file); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o007 != 0 {
			o.Warn(o.At("path"), fmt.Sprintf("%s has mode %#o, which it keeps: everyone on this machine will be able to use the refresh token", file, info.Mode().Perm()),
				fmt.Sprintf(`write mode: "0640" if that is too much (and: chmod o= %s), or mode: "%#o" if it is meant so`, file, info.Mode().Perm()))
			return
		}
	}
}
